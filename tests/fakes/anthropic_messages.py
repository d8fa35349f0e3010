"""Bodies of Anthropic's Messages, checked as Anthropic does and turned into chats for the model of the fakes, and back.

The checks are for models up to 4.5 (which take sampling and prefill) and for those after.
"""

import re
import uuid
from typing import Any

import orjson

from tests.fakes import model_rules
from tests.fakes.openai_app import Refusal

Body = dict[str, Any]
FIELDS = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "system",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "metadata",
        "service_tier",
        "cache_control",
        "container",
        "inference_geo",
        "speed",
        "stream",
        "anthropic_version",
        "anthropic_beta",
    }
)
BLOCKS = {
    "text": ("text", "cache_control", "citations"),
    "image": ("source", "cache_control"),
    "document": ("source", "title", "context", "citations", "cache_control"),
    "container_upload": ("file_id", "cache_control"),
    "tool_use": ("id", "name", "input", "cache_control"),
    "tool_result": ("tool_use_id", "content", "is_error", "cache_control"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}
SOURCES = {"base64": {"media_type", "data"}, "url": {"url"}, "file": {"file_id"}, "text": {"media_type", "data"}}
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
TOOL = ("name", "description", "input_schema", "strict", "type", "cache_control", "defer_loading", "input_examples")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
ID = re.compile(r"[a-zA-Z0-9_-]+")
OLD = re.compile(r"claude-[a-z]*-?[34](-[0-5])?(-|@|$)")
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def chat_of(params: Body) -> Body:
    """The chat that these parameters are, after all checks. Raises Refusal."""
    _check(params)
    chat: Body = {"model": params["model"], "messages": [], "max_tokens": params["max_tokens"]}
    system = params.get("system", [])
    for text in [system] if isinstance(system, str) else [block["text"] for block in system]:
        chat["messages"].append({"role": "system", "content": text})
    for message in params["messages"]:
        chat["messages"] += _messages(message)
    if params.get("tools"):
        chat["tools"] = [
            {"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}}
            for tool in params["tools"]
        ]
    choice = params.get("tool_choice", {})
    if choice:
        named = {"type": "function", "function": {"name": choice.get("name")}}
        chat["tool_choice"] = {"any": "required", "tool": named}.get(choice["type"], choice["type"])
    if params.get("output_config", {}).get("format"):
        schema = {"name": "answer", "schema": params["output_config"]["format"]["schema"]}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    return chat


def message_of(chat: Body, *, tier: str) -> Body:
    """The answer of the model as a message."""
    [choice] = chat["choices"]
    content: list[Body] = []
    if choice["message"]["content"]:
        content.append({"type": "text", "text": choice["message"]["content"], "citations": None})
    for call in choice["message"].get("tool_calls") or []:
        function = call["function"]
        given = orjson.loads(function["arguments"])
        content.append({"type": "tool_use", "id": call["id"], "name": function["name"], "input": given})
    usage = chat["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": chat["model"],
        "content": content,
        "stop_reason": STOPS[choice["finish_reason"]],
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage["prompt_tokens"] - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": usage["completion_tokens"],
            "service_tier": tier,
        },
    }


def _messages(message: Body) -> list[Body]:
    role, content = message["role"], message["content"]
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    made: list[Body] = []
    parts: list[Body] = []
    calls: list[Body] = []
    for block in content:
        if block["type"] == "tool_result":
            text = block.get("content", "")
            text = text if isinstance(text, str) else "".join(inner.get("text", "") for inner in text)
            made.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": text})
        elif block["type"] == "tool_use":
            function = {"name": block["name"], "arguments": orjson.dumps(block["input"]).decode()}
            calls.append({"id": block["id"], "type": "function", "function": function})
        elif block["type"] == "text":
            parts.append({"type": "text", "text": block["text"]})
        elif block["type"] == "container_upload":
            parts.append({"type": "file", "file": {"file_id": block["file_id"]}})
        elif block["type"] in ("image", "document"):
            parts.append(_part(block["source"]))
    said = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts or None
    if said or calls:
        made.append({"role": role, "content": said, **({"tool_calls": calls} if calls else {})})
    return made


def _part(source: Body) -> Body:
    if source["type"] == "file":
        return {"type": "file", "file": {"file_id": source["file_id"]}}
    return {"type": "image_url", "image_url": {"url": _url(source)}}


def _url(source: Body) -> str:
    if source["type"] == "base64":
        return f"data:{source['media_type']};base64,{source['data']}"
    return str(source.get("url") or source["data"])


def _check(params: Body) -> None:
    _known(params, FIELDS, "")
    _expect(isinstance(params.get("model"), str) and params["model"], "model: Field required")
    limit = params.get("max_tokens")
    _expect(isinstance(limit, int) and limit > 0, "max_tokens: Field required")
    turns = params.get("messages")
    _expect(isinstance(turns, list) and turns, "messages: at least one message is required")
    system = params.get("system", "x")
    if isinstance(system, list):
        _expect(system and all(block["type"] == "text" for block in system), "system: must be text")
    for text in [system] if isinstance(system, str) else [block["text"] for block in system]:
        _expect(isinstance(text, str) and text.strip(), "system: text content blocks must be non-empty")
    asked: set[str] = set()
    for number, message in enumerate(turns):
        asked = _check_message(message, asked, f"messages.{number}")
    _check_last(params, turns[-1])
    _check_sampling(params)
    _check_tools(params)
    _check_output(params)
    model_rules.claude(params)


def _check_message(message: Body, asked: set[str], where: str) -> set[str]:
    """The ids of the calls in the message, which the next one has to answer: `asked` are those of the one before."""
    _known(message, ("role", "content"), where)
    role, content = message["role"], message["content"]
    _expect(role in ("user", "assistant"), f"{where}.role: must be user or assistant")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    _expect(isinstance(blocks, list) and blocks, f"{where}.content: must not be empty")
    made, results, others = set(), set(), False
    for block in blocks:
        _check_block(block, role, where)
        if block["type"] == "tool_use":
            made.add(block["id"])
        if block["type"] == "tool_result":
            _expect(not others, f"{where}: tool_result blocks must come first")
            results.add(block["tool_use_id"])
        others = others or block["type"] != "tool_result"
    _expect(results == asked, f"{where}: tool_use ids and tool_result blocks must match")
    return made


def _check_block(block: Body, role: str, where: str) -> None:
    kind = block.get("type")
    _expect(kind in BLOCKS, f"{where}.content: {kind} is no type of block")
    _known(block, ("type", *BLOCKS[kind]), where)
    assistants = kind in ("tool_use", "thinking", "redacted_thinking")
    users = kind in ("tool_result", "image", "document")
    _expect(not (assistants and role == "user") and not (users and role == "assistant"), f"{where}: {kind} of {role}")
    if kind == "text":
        _expect(block["text"].strip(), f"{where}: text content blocks must contain non-whitespace text")
    if kind in ("image", "document"):
        source = block["source"]
        _expect(set(source) - {"type"} == SOURCES.get(source["type"]), f"{where}.source: is not known")
        allowed = (*IMAGES, None) if kind == "image" else ("application/pdf", "text/plain", None)
        _expect(source.get("media_type") in allowed, f"{where}.source.media_type: is not known")
    if kind == "tool_use":
        _expect(ID.fullmatch(block["id"]), f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        _expect(isinstance(block["input"], dict), f"{where}.input: Input should be a valid dictionary")


def _check_last(params: Body, last: Body) -> None:
    if last["role"] == "assistant":
        _expect(OLD.search(params["model"]), "This model does not support assistant message prefill.")
        text = last["content"] if isinstance(last["content"], str) else last["content"][-1].get("text", "")
        _expect(text == text.rstrip(), "messages: final assistant content cannot end with trailing whitespace")


def _check_sampling(params: Body) -> None:
    given = {name: params[name] for name in ("temperature", "top_p", "top_k") if name in params}
    _expect(0 <= given.get("temperature", 0) <= 1, "temperature: range: 0..1")
    _expect(not {"temperature", "top_p"} <= set(given), "`temperature` and `top_p` cannot both be specified")
    if given and not OLD.search(params["model"]):
        _expect(all(value == 1 for value in given.values()), f"`{min(given)}` is deprecated for this model.")
    thinking = params.get("thinking", {"type": "disabled"})
    if thinking["type"] == "enabled":
        _expect(1024 <= thinking["budget_tokens"] < params["max_tokens"], "thinking.budget_tokens: out of range")
    if thinking["type"] in ("enabled", "adaptive"):
        _expect(given.get("temperature", 1) == 1 and "top_k" not in given, "`temperature` must be 1 with thinking")
    stops = params.get("stop_sequences", [])
    _expect(all(stop.strip() for stop in stops), "stop_sequences: each stop sequence must contain non-whitespace")


def _check_tools(params: Body) -> None:
    tools, choice = params.get("tools"), params.get("tool_choice")
    for tool in tools or []:
        _known(tool, TOOL, "tools")
        _expect(tool["input_schema"].get("type") == "object", "tools.input_schema.type: Field required")
    if choice is not None:
        _expect(tools, "tool_choice may only be specified while providing tools")
        _known(choice, ("type", "name", "disable_parallel_tool_use"), "tool_choice")
        _expect(choice["type"] in ("auto", "any", "tool", "none"), "tool_choice.type: is not known")
        thinks = params.get("thinking", {}).get("type") in ("enabled", "adaptive")
        _expect(not thinks or choice["type"] in ("auto", "none"), "Thinking may not be enabled when forcing tool use.")


def _check_output(params: Body) -> None:
    wanted = params.get("output_config", {})
    _known(wanted, ("effort", "format"), "output_config")
    _expect(wanted.get("effort", "low") in EFFORTS, "output_config.effort: is not known")
    if wanted.get("format"):
        _known(wanted["format"], ("type", "schema"), "output_config.format")
        schema = wanted["format"]["schema"]
        closed = schema.get("type") != "object" or schema.get("additionalProperties") is False
        _expect(closed, "output_config.format.schema: 'additionalProperties' must be explicitly set to false")
    _expect(params.get("service_tier", "auto") in ("auto", "standard_only"), "service_tier: is not known")
    _known(params.get("metadata", {}), ("user_id",), "metadata")


def _known(given: Body, names: Any, where: str) -> None:
    _expect(isinstance(given, dict), f"{where}: Input should be an object")
    unknown = set(given) - set(names)
    _expect(not unknown, f"{where}.{min(unknown, default='')}: Extra inputs are not permitted".lstrip("."))


def _expect(holds: Any, message: str) -> None:
    if not holds:
        raise Refusal(400, message)
