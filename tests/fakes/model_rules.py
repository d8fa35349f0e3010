"""What models refuse although their APIs know it: rules of the vendors' pages, independent of the code under test."""

import re
from collections.abc import Iterator
from typing import Any

from tests.fakes.openai_app import Refusal

Body = dict[str, Any]

BUDGETS = {"gemini-2.5-pro": (128, 32768), "gemini-2.5-flash-lite": (512, 24576), "gemini-2.5-flash": (0, 24576)}
# The start of a model's name, and the levels of thinking that it has.
LEVELS = {
    "gemini-3-pro": ("LOW", "HIGH"),
    "gemini-3.1-pro": ("LOW", "MEDIUM", "HIGH"),
    "gemini-3.7": ("LOW", "MEDIUM", "HIGH"),
    "gemini-3.8": ("LOW", "MEDIUM", "HIGH"),
}
ALL_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
NO_PREFILL = ("gemini-3.5-flash-lite", "gemini-3.6", "gemini-3.7", "gemini-3.8")
UNENFORCED = re.compile(
    r"(exclusive)?(minimum|maximum)|m(in|ax)(Length|Properties)|maxItems|multipleOf|pattern|uniqueItems|not|if|oneOf",
    re.IGNORECASE,
)
BUDGETED = re.compile(r"claude-(3-7|[a-z]+-4(-[0-5])?(-|@|$)|[a-z]+-4-20)")
NO_STRICT = re.compile(r"claude-(opus-4-[78]|sonnet-5|opus-5-5|fable-5-1)")
AFTER = {"assistant": ("assistant", "user", "tool"), "tool": ("assistant", "tool")}


def gemini(request: Body, model: str, *, vertex: bool) -> None:
    """Rules of ai.google.dev and of Vertex for a GenerateContentRequest."""
    config = request.get("generationConfig", {})
    is_new = model.startswith("gemini-3")
    if is_new or "2.5" in model:
        _expect(not {"frequencyPenalty", "presencePenalty"} & set(config), "Penalty is not enabled for this model")
    is_json = config.get("responseMimeType") == "application/json"
    _expect(is_new or not (is_json and request.get("tools")), "Function calling with application/json is unsupported")
    _expect(config.get("responseModalities", ["TEXT"]) == ["TEXT"], "Image and audio are paid for and thrown away")
    _thinking(config.get("thinkingConfig", {}), model)
    last = request["contents"][-1].get("role")
    _expect(last != "model" or not model.startswith(NO_PREFILL), "The last turn must not be the model's")
    if vertex and not is_new:
        for content in request["contents"]:
            for part in content["parts"]:
                inner = part.get("functionCall", part.get("functionResponse", {}))
                _expect("id" not in inner, "Invalid JSON payload received. Unknown name \"id\" at 'function_call'")


def _thinking(thinking: Body, model: str) -> None:
    for start, (least, most) in BUDGETS.items():
        if "thinkingBudget" in thinking and model.startswith(start):
            budget = thinking["thinkingBudget"]
            is_off = budget == 0 and start != "gemini-2.5-pro"
            _expect(is_off or least <= budget <= most, f"The thinking budget {budget} is invalid")
            break
    levels = next((own for start, own in LEVELS.items() if model.startswith(start)), ALL_LEVELS)
    _expect(thinking.get("thinkingLevel", "HIGH") in levels, "Thinking level is not supported for this model.")


def claude(params: Body) -> None:
    """Rules of platform.claude.com for a message: schemas, thinking over tool calls, tools of the history."""
    strict = [tool["input_schema"] for tool in params.get("tools") or () if tool.get("strict")]
    wanted = params.get("output_config", {}).get("format")
    for schema in [*strict, *([wanted["schema"]] if wanted else [])]:
        for node in _schemas(schema):
            bad = [name for name in node if UNENFORCED.fullmatch(name)]
            _expect(not bad, f"For '{node.get('type')}' type, properties {bad} are not supported")
            is_open = node.get("type") == "object" and node.get("additionalProperties") is not False
            _expect(not is_open, "For 'object' type, 'additionalProperties' must be explicitly set to false")
    for tool in params.get("tools") or ():
        at_top = {"anyOf", "oneOf", "allOf"} & set(tool["input_schema"])
        _expect(not at_top, "input_schema does not support oneOf, allOf, or anyOf at the top level")
    turns = params["messages"]
    has_calls = any(block["type"] == "tool_use" for turn in turns for block in _blocks(turn))
    _expect(not has_calls or params.get("tools"), "Requests which include tool_use blocks must define tools")
    if params.get("thinking", {}).get("type") == "enabled" and BUDGETED.search(params["model"]):
        _begins_with_thinking(turns)
    user = params.get("metadata", {}).get("user_id", "")
    _expect("@" not in user, "metadata.user_id: must not contain personally identifiable information")


def _begins_with_thinking(turns: list[Body]) -> None:
    first: Body | None = None
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            first = turn
        elif not any(block["type"] == "tool_result" for block in _blocks(turn)):
            break
    if first is not None:
        blocks = _blocks(first)
        kind = blocks[0]["type"] if blocks else "text"
        _expect(kind in ("thinking", "redacted_thinking"), f"Expected `thinking`, but found `{kind}`.")


def bedrock_claude(params: Body) -> None:
    """Rules of Bedrock for Claude."""
    is_strict = any("strict" in tool for tool in params.get("tools") or ())
    _expect(
        not (is_strict and NO_STRICT.search(params["model"])), "tools.0.custom.strict: Extra inputs are not permitted"
    )


def nova(given: Body, model: str) -> None:
    """Rules of docs.aws.amazon.com for Nova, and for documents of any model."""
    names: list[str] = []
    has_calls = False
    for turn in given["messages"]:
        kinds = [kind for block in turn["content"] for kind in block]
        has_calls = has_calls or "toolUse" in kinds or "toolResult" in kinds
        names += [block["document"]["name"] for block in turn["content"] if "document" in block]
        _expect("document" not in kinds or "text" in kinds, "A text block must accompany a document")
        _expect("micro" not in model or not {"image", "document"} & set(kinds), "This model takes text only")
    _expect(len(set(names)) == len(names), "Messages should contain documents with different names")
    tools = given.get("toolConfig", {}).get("tools", [])
    _expect(not has_calls or tools, "The toolConfig field must be defined when using toolUse and toolResult blocks")
    for tool in tools:
        extra = set(tool["toolSpec"]["inputSchema"]["json"]) - {"type", "properties", "required"}
        _expect(not extra, f"inputSchema/json: extraneous key {sorted(extra)} is not permitted")


def mistral(messages: list[Body]) -> None:
    """Rules of mistral-common for the order of turns."""
    _expect(bool(messages), "Conversation must have at least one message")
    calls = 0
    for before, message in zip([{}, *messages], messages, strict=False):
        role, previous = message["role"], before.get("role", "")
        _expect(role in AFTER.get(previous, (role,)) or not previous, f"Unexpected role '{role}' after '{previous}'")
        if role == "tool":
            calls -= 1
        elif role == "assistant":
            _expect(calls == 0, "Not the same number of function calls and responses")
            calls = len(message.get("tool_calls") or ())
            _expect(message.get("content") or calls, "Assistant message must have either content or tool_calls")
    _expect(calls == 0, "Not the same number of function calls and responses")
    last = messages[-1]
    ends = last["role"] in ("user", "tool") or last.get("prefix") is True or len(messages) == 1
    _expect(ends, f"Expected last role User or Tool (or Assistant with prefix True) but got {last['role']}")


def _blocks(turn: Body) -> list[Body]:
    return turn["content"] if isinstance(turn["content"], list) else []


def _schemas(node: Any) -> Iterator[Body]:
    """A schema and all within it."""
    if isinstance(node, list):
        for item in node:
            yield from _schemas(item)
    elif isinstance(node, dict):
        yield node
        for name, inner in node.items():
            if name in ("properties", "$defs"):
                for item in inner.values():
                    yield from _schemas(item)
            elif name in ("items", "anyOf", "allOf"):
                yield from _schemas(inner)


def _expect(holds: Any, message: str) -> None:
    if not holds:
        raise Refusal(400, message)
