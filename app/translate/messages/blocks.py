"""Blocks of Anthropic's Messages, of which turns and answers are made (contracts: providers, 28.1)."""

import base64
import binascii
import hashlib
import re
from typing import Any, Literal

from app.lib import json
from app.translate.errors import TranslationError
from app.translate.media import PDF
from app.translate.neutral import Json, Media, Refusal, Role, Thinking, ToolCall, ToolResult

Flavour = Literal["anthropic", "bedrock", "vertex"]
IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
TEXT = "text/plain"
CALL_ID = re.compile(r"[a-zA-Z0-9_-]+", re.ASCII)
CALL_ID_DIGITS = 24
ARGUMENTS = "messages.tool_calls.function.arguments"
# Arguments are a text in chats, and become a part of the body, which has levels of its own.
DEEPEST = json.MAX_WRITE_DEPTH - 24


def blocks(role: Role, parts: list[Any], flavour: Flavour, dropped: list[str]) -> list[Json]:
    """The blocks of a turn. Adds to `dropped`; raises TranslationError naming what cannot be said."""
    made: list[Json] = []
    for part in parts:
        if type(part) is str:
            # Blocks of nothing but white space are refused.
            if part and not part.isspace():
                made.append({"type": "text", "text": part})
        elif isinstance(part, Media):
            if role == "assistant":
                raise TranslationError(
                    "messages", f"{part.kind} data in a turn of the assistant goes to no Claude model."
                )
            made.append(_media(part, flavour, dropped))
        elif isinstance(part, ToolCall):
            made.append({"type": "tool_use", "id": call_id(part.id), "name": part.name, "input": arguments(part)})
        elif isinstance(part, Thinking):
            _thought(part, made, dropped)
        elif isinstance(part, Refusal) and part.text and not part.text.isspace():
            made.append({"type": "text", "text": part.text})
    return made


def result(told: ToolResult, flavour: Flavour, dropped: list[str]) -> Json:
    """The block of a tool's result. Adds to `dropped`; raises TranslationError."""
    block: Json = {"type": "tool_result", "tool_use_id": call_id(told.call_id)}
    content = told.content
    if isinstance(content, list):
        content = content[0] if len(content) == 1 and isinstance(content[0], str) else content
    if isinstance(content, str):
        if content:
            block["content"] = content
    elif inner := blocks("tool", content, flavour, dropped):
        block["content"] = inner
    if told.is_error:
        block["is_error"] = True
    return block


def call_id(given: str) -> str:
    """An id of a call in the letters that are allowed, the same for the same id."""
    if CALL_ID.fullmatch(given):
        return given
    return "call_" + hashlib.sha256(given.encode(errors="surrogatepass")).hexdigest()[:CALL_ID_DIGITS]


def arguments(call: ToolCall) -> Json:
    """The object that the arguments of a call are. Raises TranslationError when they are no JSON object."""
    given = call.arguments
    if isinstance(given, dict):
        return given
    if not given or given.isspace():
        return {}
    try:
        value = json.loads(given)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise TranslationError(ARGUMENTS, f"of {call.name!r:.60} must be a JSON object.")
    if given.count("{") + given.count("[") > DEEPEST and _is_deep(value):
        raise TranslationError(ARGUMENTS, f"of {call.name!r:.60} are nested too deep.")
    return value


def _is_deep(value: Json) -> bool:
    """True for what could not be written within the body of a request."""
    wrapped: Any = value
    for _ in range(json.MAX_WRITE_DEPTH - DEEPEST):
        wrapped = [wrapped]
    try:
        json.dumps(wrapped)
    except json.JSONEncodeError:
        return True
    return False


def _thought(part: Thinking, made: list[Json], dropped: list[str]) -> None:
    """What was thought goes back only with the signature of the model that thought it."""
    if part.redacted is not None:
        made.append({"type": "redacted_thinking", "data": part.redacted})
    elif part.signature is not None:
        made.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
    elif "reasoning_content" not in dropped:
        dropped.append("reasoning_content")


def _media(item: Media, flavour: Flavour, dropped: list[str]) -> Json:
    if item.kind == "audio":
        raise TranslationError("messages", "sound (input_audio) goes to no Claude model.")
    if item.detail not in (None, "auto") and "detail" not in dropped:
        dropped.append("detail")
    block: Json = {"type": item.kind, "source": _source(item, flavour)}
    if item.kind == "document" and item.name:
        block["title"] = item.name
    return block


def _source(item: Media, flavour: Flavour) -> Json:
    if item.url is not None:
        if not item.url.startswith(("http://", "https://")):
            raise TranslationError(
                "messages", f"Claude reads no {item.kind} at {item.url.partition(':')[0]} addresses."
            )
        if flavour == "bedrock":
            raise TranslationError("messages", f"an {item.kind} must be in base64 here: addresses are not read.")
        return {"type": "url", "url": item.url}
    kind = "image/jpeg" if item.media_type == "image/jpg" else item.media_type
    if kind in IMAGES if item.kind == "image" else kind == PDF:
        return {"type": "base64", "media_type": kind, "data": item.data}
    if item.kind == "document" and kind == TEXT:
        return {"type": "text", "media_type": TEXT, "data": _text(item.data or "")}
    raise TranslationError("messages", f"Claude reads no {item.kind} of type {item.media_type}.")


def _text(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise TranslationError("messages", "a document of type text/plain must be UTF-8 text in base64.") from None
