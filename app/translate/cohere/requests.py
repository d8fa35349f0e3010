"""Chats in Cohere's dialect: as a row of a batch takes them, and as /v2/chat does (contracts: providers, 28.5).

A batch takes fewer fields, and other forms of some: images are a text, schemas of tools are JSON in a text (6).
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

NO_PARAMETERS: Json = {"type": "object", "properties": {}}
# What is sent as it is (the SDK's `V2Client.chat`); others of these have bounds there.
SAME = {"max_tokens": "max_tokens", "temperature": "temperature", "logprobs": "logprobs"}
BOUNDED: dict[str, tuple[str, float, float]] = {
    "top_p": ("p", 0.01, 0.99),
    "top_k": ("k", 0, 500),
    "frequency_penalty": ("frequency_penalty", 0.0, 1.0),
    "presence_penalty": ("presence_penalty", 0.0, 1.0),
    "seed": ("seed", 0, 2**64 - 1),
}
# Tokens to think for; who wants more effort than these may think as long as the model likes.
BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192}


def write(request: Request) -> Written:
    """The body of a row of a batch, whose model is the batch's. Raises TranslationError."""
    return _written(request, {}, BATCH)


def write_line(request: Request) -> Written:
    """The body of a single /v2/chat. Raises TranslationError."""
    return _written(request, {"model": request.model}, LIVE)


@dataclass(slots=True)
class _Flavour:
    """What differs between rows and single lines. `special` are settings that are more than a number."""

    is_batch: bool
    special: dict[str, Callable[[Written, Any], None]]


def _written(request: Request, body: Json, flavour: _Flavour) -> Written:
    written = Written(body, list(request.dropped))
    body["messages"] = [
        {"role": role, "content": [{"type": "text", "text": content}]}
        if type(content) is str
        else _message(role, content, written, flavour)
        for role, content in request.turns
    ]
    for name, value in request.settings.items():
        if (same := SAME.get(name)) is not None:
            body[same] = value
        elif (bounds := BOUNDED.get(name)) is not None:
            _bounded(written, name, bounds, cast(float, value))
        elif (special := flavour.special.get(name)) is not None:
            special(written, value)
        else:
            written.dropped.append(name)
    if request.tools:
        _tools(written, request, flavour)
    return written


def _bounded(written: Written, name: str, bounds: tuple[str, float, float], value: float) -> None:
    """The nearest number that Cohere takes; what is below 0 has none that means nearly the same, and is left out."""
    own, least, most = bounds
    if value < least and not least:
        written.dropped.append(name)
    else:
        written.body[own] = min(max(value, least), most)


# Messages.


def _message(role: Role, content: Content, written: Written, flavour: _Flavour) -> Json:
    if isinstance(content, ToolResult):
        if content.is_error:
            written.dropped.append("is_error")
        said = [content.content] if isinstance(content.content, str) else content.content
        return {"role": "tool", "tool_call_id": content.call_id, "content": [_text(part, "tool") for part in said]}
    if role == "assistant":
        return _answered(cast("list[Any]", content))
    if role == "user":
        return {"role": role, "content": [_part(part, written, flavour) for part in content]}
    return {"role": role, "content": [_text(part, role) for part in content]}


def _answered(parts: list[Any]) -> Json:
    """What the assistant said: what it thought before its calls is its plan for them."""
    calls = [_call(part) for part in parts if isinstance(part, ToolCall)]
    thoughts = [part.text for part in parts if isinstance(part, Thinking) and part.text]
    said = [_text(part, "assistant") for part in parts if not isinstance(part, ToolCall | Thinking)]
    if not calls:
        return {"role": "assistant", "content": [*({"type": "thinking", "thinking": text} for text in thoughts), *said]}
    message: Json = {"role": "assistant", "tool_calls": calls}
    if thoughts:
        message["tool_plan"] = "".join(thoughts)
    if said:
        message["content"] = said
    return message


def _call(call: ToolCall) -> Json:
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _text(part: Any, role: str) -> Json:
    if isinstance(part, Media):
        raise TranslationError("messages", f"Cohere takes no {part.kind} in a message of the role {role}.")
    return {"type": "text", "text": part.text if isinstance(part, Refusal) else part}


def _part(part: Any, written: Written, flavour: _Flavour) -> Json:
    if not isinstance(part, Media):
        return _text(part, "user")
    url = media.url_of(part)
    if part.kind != "image" or not url.startswith(("https:", "http:", "data:")):
        kind = part.kind if part.kind != "image" else f"image at {url.partition(':')[0]}:"
        raise TranslationError("messages", f"Cohere takes no {kind}, only images by their web URL or as data.")
    if not flavour.is_batch:
        image = {"url": url} if part.detail is None else {"url": url, "detail": part.detail}
        return {"type": "image_url", "image_url": image}
    if part.detail is not None and part.detail != "auto":
        written.dropped.append("detail")
    return {"type": "image_url", "image_url": url}


# Tools.


def _tools(written: Written, request: Request, flavour: _Flavour) -> None:
    settings: Settings = request.settings
    wanted = settings.get("tool_name")
    if flavour.is_batch and settings.get("tool_choice") == "none":
        return
    tools = [tool for tool in request.tools if wanted is None or tool.name == wanted]
    if not tools:
        raise TranslationError("tool_choice", f"there is no tool {wanted!r:.60}.")
    written.body["tools"] = [_tool(tool, flavour) for tool in tools]
    if any(tool.strict for tool in tools):
        if flavour.is_batch:
            written.dropped.append("strict")
        else:
            written.body["strict_tools"] = True


def _tool(tool: Tool, flavour: _Flavour) -> Json:
    parameters = tool.parameters or NO_PARAMETERS
    function: Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = json.dumps(parameters).decode() if flavour.is_batch else parameters
    return {"type": "function", "function": function}


# Settings.


def _one(written: Written, value: int) -> None:
    if value != 1:
        raise TranslationError("n", "Cohere gives one answer to a request.")


def _texts_only(written: Written, value: list[str]) -> None:
    if value != ["text"]:
        raise TranslationError("modalities", "Cohere answers in text alone.")


def _unless_true(written: Written, value: bool) -> None:
    if not value:
        written.dropped.append("parallel_tool_calls")


def _choice_in_batch(written: Written, value: str) -> None:
    """`none` goes without tools at all; a call cannot be demanded."""
    if value == "required":
        raise TranslationError("tool_choice", "Cohere's batches can't demand a call of a tool.")


def _name_in_batch(written: Written, value: str) -> None:
    raise TranslationError("tool_choice", "Cohere's batches can't demand a call of a tool.")


def _format_in_batch(written: Written, value: ResponseFormat) -> None:
    raise TranslationError("response_format", "Cohere's batches answer in prose alone.")


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
    written.body["stop_sequences"] = value


def _choice(written: Written, value: str) -> None:
    if value != "auto":
        written.body["tool_choice"] = value.upper()


def _name(written: Written, value: str) -> None:
    """A call of one tool: the others are left out."""
    written.body["tool_choice"] = "REQUIRED"


def _format(written: Written, value: ResponseFormat) -> None:
    wanted: Json = {"type": "json_object"}
    if value.schema is not None:
        wanted["json_schema"] = value.schema
    written.body["response_format"] = wanted


def _effort(written: Written, value: str) -> None:
    if value == "none":
        written.body.setdefault("thinking", {"type": "disabled"})
    elif value in BUDGETS:
        written.body.setdefault("thinking", {"type": "enabled", "token_budget": BUDGETS[value]})
    else:
        written.body.setdefault("thinking", {"type": "enabled"})


def _budget(written: Written, value: int) -> None:
    written.body["thinking"] = {"type": "enabled", "token_budget": value} if value > 0 else {"type": "disabled"}


EITHER: dict[str, Callable[[Written, Any], None]] = {
    "n": _one,
    "modalities": _texts_only,
    "parallel_tool_calls": _unless_true,
}
BATCH = _Flavour(
    is_batch=True,
    special={
        **EITHER,
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
        **EITHER,
        "stop": _stop,
        "tool_choice": _choice,
        "tool_name": _name,
        "response_format": _format,
        "reasoning_effort": _effort,
        "thinking_budget": _budget,
    },
)
