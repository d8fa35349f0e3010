"""Write chat requests for Cohere, as rows of a batch and as single /v2/chat calls (contracts: providers, 28.5).

Batches support fewer fields, and some differ: an image is a plain URL, the schema of a tool is JSON text (6).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from app.lib import json
from app.translate import media
from app.translate.errors import TranslationError
from app.translate.neutral import (
    Content,
    Json,
    Media,
    Refusal,
    Request,
    ResponseFormat,
    Role,
    Settings,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Written,
)
from app.translate.schemas.answering import NO_PARAMETERS, answer_tool, check_names

MAX_STOPS = 5
# Settings that are sent unchanged, and settings that Cohere bounds (the SDK's `V2Client.chat`).
SAME = {"max_tokens": "max_tokens", "temperature": "temperature", "logprobs": "logprobs"}
BOUNDED: dict[str, tuple[str, float, float]] = {
    "top_p": ("p", 0.01, 0.99),
    "top_k": ("k", 0, 500),
    "frequency_penalty": ("frequency_penalty", 0.0, 1.0),
    "presence_penalty": ("presence_penalty", 0.0, 1.0),
    "seed": ("seed", 0, 2**64 - 1),
}
# Thinking budgets in tokens; higher efforts set no budget, so the model decides.
BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192}


def write(request: Request) -> Written:
    """Write a row of a batch; the batch names the model. Raises TranslationError."""
    return _write(request, {}, BATCH)


def write_line(request: Request) -> Written:
    """Write the body of one /v2/chat call. Raises TranslationError."""
    return _write(request, {"model": request.model}, LIVE)


@dataclass(slots=True)
class _Flavour:
    """Differences between batch rows and single calls. `special` writes the settings that are more than a number."""

    is_batch: bool
    special: dict[str, Callable[[Written, Any], None]]


def _write(request: Request, body: Json, flavour: _Flavour) -> Written:
    written = Written(body, list(request.dropped))
    body["messages"] = [
        {"role": role, "content": [{"type": "text", "text": content}]}
        if type(content) is str
        else _write_message(role, content, written, flavour)
        for role, content in request.turns
    ]
    for name, value in request.settings.items():
        if (same := SAME.get(name)) is not None:
            body[same] = value
        elif (bounds := BOUNDED.get(name)) is not None:
            _write_bounded(written, name, bounds, cast(float, value))
        elif (write_special := flavour.special.get(name)) is not None:
            write_special(written, value)
        else:
            written.dropped.append(name)
    if request.tools:
        _write_tools(written, request, flavour)
    return written


def _write_bounded(written: Written, name: str, bounds: tuple[str, float, float], value: float) -> None:
    """Write a number, clamped to Cohere's bounds. Negative values have no close equivalent and are dropped."""
    own_name, minimum, maximum = bounds
    if value < minimum and not minimum:
        written.dropped.append(name)
    else:
        written.body[own_name] = min(max(value, minimum), maximum)


def _write_message(role: Role, content: Content, written: Written, flavour: _Flavour) -> Json:
    if isinstance(content, ToolResult):
        if content.is_error:
            written.dropped.append("is_error")
        parts = [content.content] if isinstance(content.content, str) else content.content
        return {"role": "tool", "tool_call_id": content.call_id, "content": [_text(part, "tool") for part in parts]}
    if role == "assistant":
        return _write_assistant(cast("list[Any]", content))
    if role == "user":
        return {"role": role, "content": [_part(part, written, flavour) for part in content]}
    return {"role": role, "content": [_text(part, role) for part in content]}


def _write_assistant(parts: list[Any]) -> Json:
    """Write an assistant message. Thinking before tool calls becomes Cohere's tool plan."""
    calls = [_call(part) for part in parts if isinstance(part, ToolCall)]
    thoughts = [part.text for part in parts if isinstance(part, Thinking) and part.text]
    texts = [_text(part, "assistant") for part in parts if not isinstance(part, ToolCall | Thinking)]
    if not calls:
        return {
            "role": "assistant",
            "content": [*({"type": "thinking", "thinking": text} for text in thoughts), *texts],
        }
    message: Json = {"role": "assistant", "tool_calls": calls}
    if thoughts:
        message["tool_plan"] = "".join(thoughts)
    if texts:
        message["content"] = texts
    return message


def _call(call: ToolCall) -> Json:
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _text(part: Any, role: str) -> Json:
    if isinstance(part, Media):
        raise TranslationError("messages", f"Cohere supports no {part.kind} in {role} messages.")
    return {"type": "text", "text": part.text if isinstance(part, Refusal) else part}


def _part(part: Any, written: Written, flavour: _Flavour) -> Json:
    if not isinstance(part, Media):
        return _text(part, "user")
    url = media.url_of(part)
    if part.kind != "image" or not url.startswith(("https:", "http:", "data:")):
        kind = part.kind if part.kind != "image" else f"image at {url.partition(':')[0]}:"
        raise TranslationError("messages", f"Cohere supports no {kind}, only images as an http(s) URL or a data URI.")
    if not flavour.is_batch:
        image = {"url": url} if part.detail is None else {"url": url, "detail": part.detail}
        return {"type": "image_url", "image_url": image}
    if part.detail is not None and part.detail != "auto":
        written.dropped.append("detail")
    return {"type": "image_url", "image_url": url}


def _write_tools(written: Written, request: Request, flavour: _Flavour) -> None:
    settings: Settings = request.settings
    tool_name = settings.get("tool_name")
    if flavour.is_batch and settings.get("tool_choice") == "none":
        return
    check_names(request.tools)
    tools = [tool for tool in request.tools if tool_name is None or tool.name == tool_name]
    if not tools:
        raise TranslationError("tool_choice", f"names {tool_name!r:.60}, which is not one of the tools.")
    if not flavour.is_batch and "response_format" in written.body:
        tools = _write_format(written, tools, settings["response_format"])
    written.body["tools"] = [_write_tool(tool, flavour) for tool in tools]
    if any(tool.strict for tool in tools):
        if flavour.is_batch:
            written.dropped.append("strict")
        else:
            written.body["strict_tools"] = True


def _write_format(written: Written, tools: list[Tool], spec: ResponseFormat) -> list[Tool]:
    """Replace the response format, which Cohere refuses beside tools; returns the tools, with one more for a schema."""
    del written.body["response_format"]
    if spec.schema is None:
        written.dropped.append("response_format")
        return tools
    choice = written.body.get("tool_choice")
    if choice == "REQUIRED":
        return tools  # the answer must be a call
    written.body["tool_choice"] = "REQUIRED"
    asking = answer_tool(spec)
    return [asking] if choice == "NONE" else [*tools, asking]


def _write_tool(tool: Tool, flavour: _Flavour) -> Json:
    parameters = tool.parameters or NO_PARAMETERS
    function: Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = json.dumps(parameters).decode() if flavour.is_batch else parameters
    return {"type": "function", "function": function}


def _require_one_choice(written: Written, value: int) -> None:
    if value != 1:
        raise TranslationError("n", "Cohere supports only 1.")


def _drop_if_false(written: Written, value: bool) -> None:
    if not value:
        written.dropped.append("parallel_tool_calls")


def _choice_in_batch(written: Written, value: str) -> None:
    """Reject `required`, which batches do not support; for `none`, the tools are left out."""
    if value == "required":
        raise TranslationError("tool_choice", "Cohere's batches cannot force a tool call.")


def _name_in_batch(written: Written, value: str) -> None:
    raise TranslationError("tool_choice", "Cohere's batches cannot force a tool call.")


def _format_in_batch(written: Written, value: ResponseFormat) -> None:
    raise TranslationError("response_format", "is not supported by Cohere's batches.")


def _effort_in_batch(written: Written, value: str) -> None:
    written.body["reasoning"] = value != "none"
    if value in BUDGETS:
        written.body.setdefault("thinking_budget", BUDGETS[value])


def _budget_in_batch(written: Written, value: int) -> None:
    written.body["reasoning"] = value > 0
    written.body["thinking_budget"] = value
    if value <= 0:
        del written.body["thinking_budget"]


def _stop(written: Written, value: list[str]) -> None:
    if len(value) > MAX_STOPS:
        raise TranslationError("stop", f"Cohere accepts at most {MAX_STOPS} stop sequences.")
    written.body["stop_sequences"] = value


def _choice(written: Written, value: str) -> None:
    if value != "auto":
        written.body["tool_choice"] = value.upper()


def _name(written: Written, value: str) -> None:
    """Force a call of one tool; the other tools are left out."""
    written.body["tool_choice"] = "REQUIRED"


def _format(written: Written, value: ResponseFormat) -> None:
    response_format: Json = {"type": "json_object"}
    if value.schema is not None:
        response_format["json_schema"] = value.schema
    written.body["response_format"] = response_format


def _effort(written: Written, value: str) -> None:
    if value == "none":
        written.body.setdefault("thinking", {"type": "disabled"})
    elif value in BUDGETS:
        written.body.setdefault("thinking", {"type": "enabled", "token_budget": BUDGETS[value]})
    else:
        written.body.setdefault("thinking", {"type": "enabled"})


def _budget(written: Written, value: int) -> None:
    written.body["thinking"] = {"type": "enabled", "token_budget": value} if value > 0 else {"type": "disabled"}


COMMON: dict[str, Callable[[Written, Any], None]] = {
    "n": _require_one_choice,
    "parallel_tool_calls": _drop_if_false,
}
BATCH = _Flavour(
    is_batch=True,
    special={
        **COMMON,
        "tool_choice": _choice_in_batch,
        "tool_name": _name_in_batch,
        "response_format": _format_in_batch,
        "reasoning_effort": _effort_in_batch,
        "thinking_budget": _budget_in_batch,
    },
)
LIVE = _Flavour(
    is_batch=False,
    special={
        **COMMON,
        "stop": _stop,
        "tool_choice": _choice,
        "tool_name": _name,
        "response_format": _format,
        "reasoning_effort": _effort,
        "thinking_budget": _budget,
    },
)
