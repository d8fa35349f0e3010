"""Requests of OpenAI's Chat Completions, read and written (contracts: providers, 28.1).

A batch has millions of them, so the plain message takes the short way.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from app.lib import json
from app.translate import media
from app.translate.errors import TranslationError
from app.translate.neutral import (
    Json,
    Media,
    Part,
    Refusal,
    Request,
    ResponseFormat,
    Role,
    Settings,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)

# Roles whose content may be a text alone.
PLAIN: dict[Any, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
PLAIN_ASSISTANT = 2  # members of a message of the assistant that has nothing but role and content
WRONG_TYPE = "wrong_type"


def read(body: Mapping[str, Any]) -> Request:
    """The request of a chat completion. Raises TranslationError naming the field that is wrong."""
    request = Request(body.get("model") or "", [], {})
    settings = cast(Json, request.settings)
    for name, value in body.items():
        if value is None or name in SEEN:
            continue
        check = SETTINGS.get(name)
        if check is not None:
            key, kinds = check
            if type(value) not in kinds:
                raise _wrong(name, kinds)
            settings[key] = value
        elif (special := SPECIAL.get(name)) is not None:
            special(request, value)
        else:
            request.dropped.append(name)
    messages = body.get("messages")
    if type(messages) is not list or not messages:
        raise TranslationError("messages", "must be a list of at least one message.", code=WRONG_TYPE)
    turns = request.turns
    for message in messages:
        try:
            role, content = message["role"], message["content"]
        except (KeyError, TypeError):
            role, content = None, None
        if type(content) is str and role in PLAIN and (role != "assistant" or len(message) == PLAIN_ASSISTANT):
            turns.append((PLAIN[role], content))
        else:
            turns.append(_turn(message, len(turns)))
    if "max_completion_tokens" in settings:
        settings["max_tokens"] = settings.pop("max_completion_tokens")
    return request


def write(request: Request) -> Written:
    """The request as a chat completion's."""
    settings: Settings = request.settings
    body: Json = {"model": request.model, "messages": [_message(turn) for turn in request.turns]}
    dropped = list(request.dropped)
    for name, value in settings.items():
        if name in WRITTEN:
            body[WRITTEN[name]] = value
        elif name not in ("response_format", "tool_name"):
            dropped.append(name)
    if request.tools:
        body["tools"] = [{"type": "function", "function": _function(tool)} for tool in request.tools]
    if "tool_name" in settings:
        body["tool_choice"] = {"type": "function", "function": {"name": settings["tool_name"]}}
    if "response_format" in settings:
        body["response_format"] = _format(settings["response_format"])
    return Written(body, dropped)


# Settings: the neutral name of each, and the types that its value may have.
NUMBER = (int, float)
SETTINGS: dict[str, tuple[str, tuple[type, ...]]] = {
    "max_tokens": ("max_tokens", (int,)),
    "max_completion_tokens": ("max_completion_tokens", (int,)),
    "temperature": ("temperature", NUMBER),
    "top_p": ("top_p", NUMBER),
    "top_k": ("top_k", (int,)),
    "n": ("n", (int,)),
    "seed": ("seed", (int,)),
    "frequency_penalty": ("frequency_penalty", NUMBER),
    "presence_penalty": ("presence_penalty", NUMBER),
    "logit_bias": ("logit_bias", (dict,)),
    "logprobs": ("logprobs", (bool,)),
    "top_logprobs": ("top_logprobs", (int,)),
    "parallel_tool_calls": ("parallel_tool_calls", (bool,)),
    "reasoning_effort": ("reasoning_effort", (str,)),
    "user": ("user", (str,)),
    "safety_identifier": ("user", (str,)),
    "service_tier": ("service_tier", (str,)),
    "metadata": ("metadata", (dict,)),
    "verbosity": ("verbosity", (str,)),
    "modalities": ("modalities", (list,)),
    "prediction": ("prediction", (dict,)),
}
# Read elsewhere, or without a meaning in a batch.
SEEN = frozenset({"model", "messages", "stream"})
WRITTEN = {
    **{name: name for name, (key, _) in SETTINGS.items() if name == key},
    "max_tokens": "max_completion_tokens",
    "stop": "stop",
    "tool_choice": "tool_choice",
}


def _wrong(name: str, kinds: tuple[type, ...]) -> TranslationError:
    words = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", dict: "an object"}
    wanted = "a number" if kinds == NUMBER else words.get(kinds[0], "a list")
    return TranslationError(name, f"must be {wanted}.", code=WRONG_TYPE)


def _stop(request: Request, value: Any) -> None:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise TranslationError("stop", "must be a string or a list of strings.", code=WRONG_TYPE)
    if stops:
        request.settings["stop"] = stops


def _tools(request: Request, value: Any) -> None:
    if not isinstance(value, list):
        raise TranslationError("tools", "must be a list.", code=WRONG_TYPE)
    for position, tool in enumerate(value):
        kind = tool.get("type") if isinstance(tool, dict) else None
        function = tool.get("function") if kind == "function" else None
        if not isinstance(function, dict):
            raise TranslationError(
                f"tools[{position}]", f"{kind or tool!r:.60} is no function, the only kind that goes elsewhere."
            )
        request.tools.append(_tool(function, f"tools[{position}].function"))


def _tool(function: Json, path: str) -> Tool:
    name, parameters = function.get("name"), function.get("parameters")
    if not isinstance(name, str) or not name:
        raise TranslationError(f"{path}.name", "must be a string.", code=WRONG_TYPE)
    if parameters is not None and not isinstance(parameters, dict):
        raise TranslationError(f"{path}.parameters", "must be a JSON schema.", code=WRONG_TYPE)
    return Tool(name, function.get("description"), parameters or None, function.get("strict"))


def _tool_choice(request: Request, value: Any) -> None:
    if value in ("auto", "none", "required"):
        request.settings["tool_choice"] = value
        return
    function = value.get("function") if isinstance(value, dict) and value.get("type") == "function" else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise TranslationError("tool_choice", "must be auto, none, required or name a function.")
    request.settings["tool_name"] = name


def _response_format(request: Request, value: Any) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return
    if kind == "json_object":
        request.settings["response_format"] = ResponseFormat()
        return
    told = value.get("json_schema") if kind == "json_schema" else None
    if not isinstance(told, dict) or not isinstance(told.get("schema", {}), dict):
        raise TranslationError("response_format", "must be text, json_object or a json_schema with its schema.")
    request.settings["response_format"] = ResponseFormat(
        told.get("schema") or {}, told.get("name") or "answer", told.get("description"), told.get("strict")
    )


SPECIAL: dict[str, Callable[[Request, Any], None]] = {
    "stop": _stop,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
}


def _turn(message: Any, position: int) -> Turn:
    """A turn that is more than a text."""
    path = f"messages[{position}]"
    role = message.get("role") if isinstance(message, dict) else None
    if role == "tool":
        call_id = message.get("tool_call_id")
        if not isinstance(call_id, str):
            raise TranslationError(f"{path}.tool_call_id", "must be a string.", code=WRONG_TYPE)
        return "tool", ToolResult(call_id, cast("list[str | Media]", _parts(message.get("content"), path)))
    if role == "assistant":
        return "assistant", _said(message, path)
    if role not in PLAIN:
        raise TranslationError(f"{path}.role", f"{role!r:.40} is no role of a message.")
    return PLAIN[role], _parts(message.get("content"), path)


def _said(message: Json, path: str) -> list[Part]:
    """The parts of what the assistant said: thoughts, words, then calls."""
    parts: list[Part] = []
    thought = message.get("reasoning_content")
    if isinstance(thought, str) and thought:
        parts.append(Thinking(thought))
    if message.get("content") is not None:
        parts += _parts(message["content"], path)
    if isinstance(message.get("refusal"), str):
        parts.append(Refusal(message["refusal"]))
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise TranslationError(f"{path}.tool_calls", "must be a list.", code=WRONG_TYPE)
    for number, call in enumerate(calls):
        parts.append(_call(call, f"{path}.tool_calls[{number}]"))
    if message.get("audio") is not None or message.get("function_call") is not None:
        raise TranslationError(path, "sound and function_call of earlier answers go to no other provider.")
    return parts


def _call(call: Any, path: str) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if (
        not isinstance(function, dict)
        or not isinstance(function.get("name"), str)
        or not isinstance(call.get("id"), str)
    ):
        raise TranslationError(path, "must be a call of a function with its id and name.")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        raise TranslationError(f"{path}.function.arguments", "must be JSON in a string.", code=WRONG_TYPE)
    return ToolCall(call["id"], function["name"], arguments)


def _parts(content: Any, path: str) -> list[Part]:
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        raise TranslationError(f"{path}.content", "must be a string or a list of parts.", code=WRONG_TYPE)
    return [_part(part, f"{path}.content[{number}]") for number, part in enumerate(content)]


def _part(part: Any, path: str) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    inner = part.get(kind) if isinstance(kind, str) else None
    if kind == "text" and isinstance(inner, str):
        return inner
    if kind == "refusal" and isinstance(inner, str):
        return Refusal(inner)
    if isinstance(inner, dict):
        if kind == "image_url" and isinstance(inner.get("url"), str):
            return media.image(inner["url"], path, detail=inner.get("detail"))
        if kind == "input_audio" and isinstance(inner.get("data"), str):
            return Media("audio", media_type=f"audio/{inner.get('format') or 'wav'}", data=inner["data"])
        if kind == "file" and isinstance(inner.get("file_data"), str):
            return media.document(inner["file_data"], path, name=inner.get("filename"))
    raise TranslationError(path, f"a part of type {kind!r:.40} cannot be said elsewhere, or is not complete.")


def _message(turn: Turn) -> Json:
    role, content = turn
    if type(content) is str:
        return {"role": role, "content": content}
    if isinstance(content, ToolResult):
        return {"role": "tool", "tool_call_id": content.call_id, "content": _content(content.content)}
    parts = cast("list[Part]", content)
    if role != "assistant":
        return {"role": role, "content": _content(parts)}
    return _answered(parts)


def _answered(parts: list[Part]) -> Json:
    said = [part for part in parts if isinstance(part, str | Media)]
    message: Json = {"role": "assistant", "content": _content(said) if said else None}
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = [written_call(call) for call in calls]
    refused = "".join(part.text for part in parts if isinstance(part, Refusal))
    if refused:
        message["refusal"] = refused
    return message


def written_call(call: ToolCall) -> Json:
    """A call as Chat Completions has it, in requests and answers."""
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _content(parts: "str | list[Any]") -> Any:
    """A text alone, else the parts."""
    if isinstance(parts, str):
        return parts
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0]
    return [_written(part) for part in parts]


def _written(part: Any) -> Json:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Media) and part.kind == "image":
        image: Json = {"url": media.url_of(part)}
        return {"type": "image_url", "image_url": image if part.detail is None else {**image, "detail": part.detail}}
    if isinstance(part, Media) and part.kind == "audio" and part.data:
        sound = {"data": part.data, "format": (part.media_type or "audio/wav").partition("/")[2]}
        return {"type": "input_audio", "input_audio": sound}
    if isinstance(part, Media) and part.data:
        return {"type": "file", "file": {"filename": part.name or "document.pdf", "file_data": media.url_of(part)}}
    raise TranslationError("messages", "a document by its URL has no form in Chat Completions.")


def _function(tool: Tool) -> Json:
    function: Json = {"name": tool.name}
    for name in ("description", "parameters", "strict"):
        value = getattr(tool, name)
        if value is not None:
            function[name] = value
    return function


def _format(wanted: ResponseFormat) -> Json:
    if wanted.schema is None:
        return {"type": "json_object"}
    schema: Json = {"name": wanted.name, "schema": wanted.schema}
    if wanted.description is not None:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}
