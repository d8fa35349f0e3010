"""Messages of Chat Completions that are more than a text, read; and all of them written."""

from typing import Any, cast

from app.lib import json
from app.translate import media
from app.translate.errors import TranslationError, shown
from app.translate.neutral import Json, Media, Part, Refusal, Request, Thinking, ToolCall, ToolResult, Turn

WRONG_TYPE = "wrong_type"
REASONING = "reasoning_content"
# Members of messages that are read, or say nothing that is not said elsewhere.
KNOWN = {
    "system": frozenset({"role", "content"}),
    "developer": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "refusal", "tool_calls", REASONING, "audio", "function_call"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
DETAILS = ("auto", "low", "high", "original")
SOUNDS = ("wav", "mp3")
SOUND_FORMATS = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}


def read_turn(request: Request, message: Any, path: str) -> Turn:
    """A turn that is more than a text. What it leaves out goes into the request's `dropped`.

    Raises TranslationError naming the field that is wrong.
    """
    if not isinstance(message, dict):
        raise TranslationError(path, "must be an object.", code=WRONG_TYPE)
    role = message.get("role")
    if not isinstance(role, str) or (known := KNOWN.get(role)) is None:
        raise TranslationError(f"{path}.role", f"{shown(role)} is no role of a message.")
    for name, value in message.items():
        if value and name not in known:
            _drop(request, f"messages.{name}")
    if role == "assistant":
        return "assistant", _said(request, message, path)
    content = _content(request, message.get("content"), path, role)
    if role == "tool":
        call_id = message.get("tool_call_id")
        if not isinstance(call_id, str):
            raise TranslationError(f"{path}.tool_call_id", "must be a string.", code=WRONG_TYPE)
        return "tool", ToolResult(call_id, cast("str | list[str | Media]", content))
    return "user" if role == "user" else "system", content


def _said(request: Request, message: Json, path: str) -> str | list[Part]:
    """The parts of what the assistant said: thoughts, words, then calls."""
    for name in ("audio", "function_call"):
        if message.get(name) is not None:
            raise TranslationError(f"{path}.{name}", "of an earlier answer goes to no other provider.")
    parts: list[Part] = []
    thought, refusal = message.get(REASONING), message.get("refusal")
    if thought is not None:
        parts.append(Thinking(_string(thought, f"{path}.{REASONING}")))
    content = message.get("content")
    if content is not None:
        said = _content(request, content, path, "assistant")
        parts += [said] if isinstance(said, str) else said
    if refusal is not None:
        parts.append(Refusal(_string(refusal, f"{path}.refusal")))
    calls = message.get("tool_calls")
    if calls is not None:
        if not isinstance(calls, list):
            raise TranslationError(f"{path}.tool_calls", "must be a list.", code=WRONG_TYPE)
        parts += [_call(call, f"{path}.tool_calls[{number}]") for number, call in enumerate(calls)]
    if not parts:
        return ""
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise TranslationError(path, "must be a string.", code=WRONG_TYPE)
    return value


def _call(call: Any, path: str) -> ToolCall:
    if not isinstance(call, dict):
        raise TranslationError(path, "must be an object.", code=WRONG_TYPE)
    function, kind = call.get("function"), call.get("type")
    if kind not in (None, "function"):
        raise TranslationError(f"{path}.type", f"{shown(kind)} is no function, the only kind that goes elsewhere.")
    if not isinstance(function, dict):
        raise TranslationError(f"{path}.function", "must be an object.", code=WRONG_TYPE)
    return ToolCall(
        _string(call.get("id"), f"{path}.id"),
        _string(function.get("name"), f"{path}.function.name"),
        _string(function.get("arguments"), f"{path}.function.arguments"),
    )


def _content(request: Request, content: Any, path: str, role: str) -> str | list[Part]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise TranslationError(f"{path}.content", "must be a string or a list of parts.", code=WRONG_TYPE)
    return [_part(request, part, f"{path}.content[{number}]", role) for number, part in enumerate(content)]


def _part(request: Request, part: Any, path: str, role: str) -> Part:
    if not isinstance(part, dict):
        raise TranslationError(path, "must be an object.", code=WRONG_TYPE)
    kind = part.get("type")
    for name, value in part.items():
        if value and name not in ("type", kind):
            _drop(request, f"messages.content.{name}")
    inner = part.get(kind) if isinstance(kind, str) else None
    if kind == "text":
        return _string(inner, f"{path}.text")
    if kind == "refusal" and role == "assistant":
        return Refusal(_string(inner, f"{path}.refusal"))
    read = MEDIA.get(kind) if isinstance(kind, str) and role in ("user", "tool") else None
    if read is None:
        raise TranslationError(f"{path}.type", f"{shown(kind)} is no part of a message of the role {role}.")
    if not isinstance(inner, dict):
        raise TranslationError(f"{path}.{kind}", "must be an object.", code=WRONG_TYPE)
    return read(inner, f"{path}.{kind}")


def _drop(request: Request, name: str) -> None:
    if name not in request.dropped:
        request.dropped.append(name)


def _image(inner: Json, path: str) -> Media:
    detail = inner.get("detail")
    if detail is not None and detail not in DETAILS:
        raise TranslationError(f"{path}.detail", f"must be one of {', '.join(DETAILS)}.", code=WRONG_TYPE)
    return media.image(_string(inner.get("url"), f"{path}.url"), f"{path}.url", detail=detail)


def _sound(inner: Json, path: str) -> Media:
    form = inner.get("format")
    if form not in SOUNDS:
        raise TranslationError(f"{path}.format", "must be wav or mp3.", code=WRONG_TYPE)
    return Media("audio", media_type=f"audio/{form}", data=_string(inner.get("data"), f"{path}.data"))


def _file(inner: Json, path: str) -> Media:
    if inner.get("file_id") is not None:
        raise TranslationError(f"{path}.file_id", "is another provider's; send file_data.")
    name = inner.get("filename")
    if name is not None:
        _string(name, f"{path}.filename")
    return media.document(_string(inner.get("file_data"), f"{path}.file_data"), f"{path}.file_data", name=name)


MEDIA = {"image_url": _image, "input_audio": _sound, "file": _file}


# Written.


def written_turn(turn: Turn, dropped: list[str]) -> Json:
    """The message of a turn. Adds to `dropped` what it leaves out; raises TranslationError."""
    role, content = turn
    if type(content) is str:
        return {"role": role, "content": content}
    if isinstance(content, ToolResult):
        if content.is_error and "is_error" not in dropped:
            dropped.append("is_error")
        return {"role": "tool", "tool_call_id": content.call_id, "content": _texts(content.content, "tool")}
    parts = cast("list[Part]", content)
    if role == "assistant":
        return _answered(parts, dropped)
    if role == "system":
        return {"role": role, "content": _texts(parts, role)}
    if len(parts) == 1 and isinstance(parts[0], str):
        return {"role": role, "content": parts[0]}
    return {"role": role, "content": [_written(part) for part in parts] or ""}


def _texts(parts: "str | list[Any]", role: str) -> Any:
    """A text alone, else the parts, which may be nothing but texts in such a turn."""
    if isinstance(parts, str):
        return parts
    for part in parts:
        if not isinstance(part, str):
            what = f"{part.kind} data" if isinstance(part, Media) else "anything but text"
            raise TranslationError("messages", f"a message of the role {role} cannot hold {what} in Chat Completions.")
    if len(parts) < 2:
        return parts[0] if parts else ""
    return [{"type": "text", "text": part} for part in parts]


def _answered(parts: list[Part], dropped: list[str]) -> Json:
    calls = [written_call(part) for part in parts if isinstance(part, ToolCall)]
    refused = "".join(part.text for part in parts if isinstance(part, Refusal))
    said = [part for part in parts if isinstance(part, str | Media)]
    if REASONING not in dropped and any(isinstance(part, Thinking) for part in parts):
        dropped.append(REASONING)
    empty = None if calls or refused else ""
    message: Json = {"role": "assistant", "content": _texts(said, "assistant") if said else empty}
    if calls:
        message["tool_calls"] = calls
    if refused:
        message["refusal"] = refused
    return message


def written_call(call: ToolCall) -> Json:
    """A call as Chat Completions has it, in requests and answers."""
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _written(part: Any) -> Json:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Media):
        if part.kind == "image":
            image: Json = {"url": media.url_of(part)}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        if part.data is not None:
            return _data(part)
        raise TranslationError("messages", f"{part.kind} by its URL has no form in Chat Completions.")
    raise TranslationError("messages", "a message of the user holds nothing but text and media in Chat Completions.")


def _data(part: Media) -> Json:
    if part.kind == "document":
        return {"type": "file", "file": {"filename": part.name or "document.pdf", "file_data": media.url_of(part)}}
    kind = part.media_type or "audio/wav"
    form = SOUND_FORMATS.get(kind, kind.partition("/")[2])
    if form not in SOUNDS:
        raise TranslationError("messages", f"sound of type {kind:.40} has no form in Chat Completions.")
    return {"type": "input_audio", "input_audio": {"data": part.data, "format": form}}
