"""Read messages of Chat Completions that are more than plain text, and write all of them."""

from typing import Any, cast

from app.lib import json
from app.translate import media
from app.translate.errors import TranslationError, describe
from app.translate.neutral import Json, Media, Part, Refusal, Request, Thinking, ToolCall, ToolResult, Turn

WRONG_TYPE = "wrong_type"
REASONING = "reasoning_content"
# Members of messages that are read, or that repeat what another member says.
KNOWN = {
    "system": frozenset({"role", "content"}),
    "developer": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "refusal", "tool_calls", REASONING, "audio", "function_call"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
DETAILS = ("auto", "low", "high", "original")
AUDIO_FORMATS = ("wav", "mp3")
AUDIO_FORMATS_BY_TYPE = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}


def read_turn(request: Request, message: Any, path: str) -> Turn:
    """Read a message that is more than plain text; adds fields that it drops to `request.dropped`.

    Raises TranslationError that names the invalid field.
    """
    if not isinstance(message, dict):
        raise TranslationError(path, "must be an object.", code=WRONG_TYPE)
    role = message.get("role")
    if not isinstance(role, str) or (known := KNOWN.get(role)) is None:
        raise TranslationError(f"{path}.role", f"{describe(role)} is not a valid role.")
    for name, value in message.items():
        if value and name not in known:
            _drop(request, f"messages.{name}")
    if role == "assistant":
        return "assistant", _assistant_parts(request, message, path)
    content = _content(request, message.get("content"), path, role)
    if role == "tool":
        call_id = message.get("tool_call_id")
        if not isinstance(call_id, str):
            raise TranslationError(f"{path}.tool_call_id", "must be a string.", code=WRONG_TYPE)
        return "tool", ToolResult(call_id, cast("str | list[str | Media]", content))
    return "user" if role == "user" else "system", content


def _assistant_parts(request: Request, message: Json, path: str) -> str | list[Part]:
    """Read an assistant message: reasoning first, then text, then tool calls."""
    for name in ("audio", "function_call"):
        if message.get(name) is not None:
            raise TranslationError(f"{path}.{name}", "from an earlier answer is not supported by other providers.")
    parts: list[Part] = []
    thinking, refusal = message.get(REASONING), message.get("refusal")
    if thinking is not None:
        parts.append(Thinking(_string(thinking, f"{path}.{REASONING}")))
    content = message.get("content")
    if content is not None:
        text_parts = _content(request, content, path, "assistant")
        parts += [text_parts] if isinstance(text_parts, str) else text_parts
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
        raise TranslationError(f"{path}.type", f"{describe(kind)} is not supported: only functions are.")
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
        raise TranslationError(f"{path}.type", f"{describe(kind)} is not a valid part of a {role} message.")
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


def _audio(inner: Json, path: str) -> Media:
    audio_format = inner.get("format")
    if audio_format not in AUDIO_FORMATS:
        raise TranslationError(f"{path}.format", "must be wav or mp3.", code=WRONG_TYPE)
    return Media("audio", media_type=f"audio/{audio_format}", data=_string(inner.get("data"), f"{path}.data"))


def _file(inner: Json, path: str) -> Media:
    name = inner.get("filename")
    if name is not None:
        _string(name, f"{path}.filename")
    if inner.get("file_id") is not None:
        return media.stored(inner["file_id"], f"{path}.file_id", name=name)
    return media.document(_string(inner.get("file_data"), f"{path}.file_data"), f"{path}.file_data", name=name)


MEDIA = {"image_url": _image, "input_audio": _audio, "file": _file}


def write_turn(turn: Turn, dropped: list[str]) -> Json:
    """Write a turn as a message. Adds to `dropped` what it leaves out; raises TranslationError."""
    role, content = turn
    if type(content) is str:
        return {"role": role, "content": content}
    if isinstance(content, ToolResult):
        if content.is_error and "is_error" not in dropped:
            dropped.append("is_error")
        return {"role": "tool", "tool_call_id": content.call_id, "content": _write_texts(content.content, "tool")}
    parts = cast("list[Part]", content)
    if role == "assistant":
        return _write_assistant(parts, dropped)
    if role == "system":
        return {"role": role, "content": _write_texts(parts, role)}
    if len(parts) == 1 and isinstance(parts[0], str):
        return {"role": role, "content": parts[0]}
    return {"role": role, "content": [_write_part(part) for part in parts] or ""}


def _write_texts(parts: "str | list[Any]", role: str) -> Any:
    """Write plain text if there is one part, else a list; such a message takes text only."""
    if isinstance(parts, str):
        return parts
    for part in parts:
        if not isinstance(part, str):
            content = f"{part.kind} data" if isinstance(part, Media) else "anything but text"
            raise TranslationError("messages", f"{role} messages cannot hold {content} in Chat Completions.")
    if len(parts) < 2:
        return parts[0] if parts else ""
    return [{"type": "text", "text": part} for part in parts]


def _write_assistant(parts: list[Part], dropped: list[str]) -> Json:
    calls = [write_call(part) for part in parts if isinstance(part, ToolCall)]
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    texts = [part for part in parts if isinstance(part, str | Media)]
    if REASONING not in dropped and any(isinstance(part, Thinking) for part in parts):
        dropped.append(REASONING)
    empty = None if calls or refusal else ""
    message: Json = {"role": "assistant", "content": _write_texts(texts, "assistant") if texts else empty}
    if calls:
        message["tool_calls"] = calls
    if refusal:
        message["refusal"] = refusal
    return message


def write_call(call: ToolCall) -> Json:
    """Write a tool call; requests and answers have the same form."""
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _write_part(part: Any) -> Json:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Media):
        if part.file is not None:
            return {"type": "file", "file": {"file_id": part.file}}
        if part.kind == "image":
            image: Json = {"url": media.url_of(part)}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        if part.data is not None:
            return _write_data(part)
        raise TranslationError("messages", f"Chat Completions takes {part.kind} data, not a URL.")
    raise TranslationError("messages", "user messages hold only text and media in Chat Completions.")


def _write_data(part: Media) -> Json:
    if part.kind == "document":
        return {"type": "file", "file": {"filename": part.name or "document.pdf", "file_data": media.url_of(part)}}
    media_type = part.media_type or "audio/wav"
    audio_format = AUDIO_FORMATS_BY_TYPE.get(media_type, media_type.partition("/")[2])
    if audio_format not in AUDIO_FORMATS:
        raise TranslationError("messages", f"Chat Completions does not support audio of type {media_type:.40}.")
    return {"type": "input_audio", "input_audio": {"data": part.data, "format": audio_format}}
