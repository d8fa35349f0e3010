"""Write the content blocks of Anthropic's Messages (contracts: providers, 28.1)."""

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
# Clouds where Claude takes no URLs of images and documents.
NOT_FETCHING: dict[Flavour, str] = {"bedrock": "Bedrock", "vertex": "Vertex"}
IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
TEXT = "text/plain"
CALL_ID = re.compile(r"[a-zA-Z0-9_-]+", re.ASCII)
CALL_ID_DIGITS = 24
ARGUMENTS = "messages.tool_calls.function.arguments"
# JSON nesting of tool arguments: a string in chats, they become part of the body here, which adds levels of its own.
MAX_DEPTH = json.MAX_WRITE_DEPTH - 24


def write_blocks(role: Role, parts: list[Any], flavour: Flavour, dropped: list[str]) -> list[Json]:
    """Write the parts of a turn. Adds to `dropped`; raises TranslationError that names the unsupported part."""
    blocks: list[Json] = []
    for part in parts:
        if type(part) is str:
            # Anthropic rejects whitespace-only blocks.
            if part and not part.isspace():
                blocks.append({"type": "text", "text": part})
        elif isinstance(part, Media):
            if role == "assistant":
                raise TranslationError("messages", f"Claude takes no {part.kind} data in assistant messages.")
            blocks.append(_write_media(part, flavour, dropped))
        elif isinstance(part, ToolCall):
            blocks.append(
                {"type": "tool_use", "id": valid_call_id(part.id), "name": part.name, "input": parse_arguments(part)}
            )
        elif isinstance(part, Thinking):
            _write_thinking(part, blocks, dropped)
        elif isinstance(part, Refusal) and part.text and not part.text.isspace():
            blocks.append({"type": "text", "text": part.text})
    return blocks


def write_result(result: ToolResult, flavour: Flavour, dropped: list[str]) -> Json:
    """Write a tool result as a block. Adds to `dropped`; raises TranslationError."""
    block: Json = {"type": "tool_result", "tool_use_id": valid_call_id(result.call_id)}
    content = result.content
    if isinstance(content, list):
        content = content[0] if len(content) == 1 and isinstance(content[0], str) else content
    if isinstance(content, str):
        if content:
            block["content"] = content
    elif blocks := write_blocks("tool", content, flavour, dropped):
        block["content"] = blocks
    if result.is_error:
        block["is_error"] = True
    return block


def valid_call_id(call_id: str) -> str:
    """Return a tool call id in the characters that Anthropic allows; equal ids give equal results."""
    if CALL_ID.fullmatch(call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode(errors="surrogatepass")).hexdigest()[:CALL_ID_DIGITS]


def parse_arguments(call: ToolCall) -> Json:
    """Parse a call's arguments. Raises TranslationError when they are not a JSON object."""
    arguments = call.arguments
    if isinstance(arguments, dict):
        return arguments
    if not arguments or arguments.isspace():
        return {}
    try:
        value = json.loads(arguments)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise TranslationError(ARGUMENTS, f"of {call.name!r:.60} must be a JSON object.")
    if arguments.count("{") + arguments.count("[") > MAX_DEPTH and _is_too_deep(value):
        raise TranslationError(ARGUMENTS, f"of {call.name!r:.60} are nested too deeply.")
    return value


def _is_too_deep(value: Json) -> bool:
    """True if the value could not be encoded within a request body."""
    wrapped: Any = value
    for _ in range(json.MAX_WRITE_DEPTH - MAX_DEPTH):
        wrapped = [wrapped]
    try:
        json.dumps(wrapped)
    except json.JSONEncodeError:
        return True
    return False


def _write_thinking(part: Thinking, blocks: list[Json], dropped: list[str]) -> None:
    """Write thinking, which Claude accepts only with the signature of the model that produced it."""
    if part.redacted is not None:
        blocks.append({"type": "redacted_thinking", "data": part.redacted})
    elif part.signature is not None:
        blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
    elif "reasoning_content" not in dropped:
        dropped.append("reasoning_content")


def _write_media(item: Media, flavour: Flavour, dropped: list[str]) -> Json:
    if item.kind == "audio":
        raise TranslationError("messages", "Claude takes no audio (input_audio).")
    if item.detail not in (None, "auto") and "detail" not in dropped:
        dropped.append("detail")
    block: Json = {"type": item.kind, "source": _source(item, flavour)}
    if item.kind == "document" and item.name:
        block["title"] = item.name
    return block


def _source(item: Media, flavour: Flavour) -> Json:
    if item.file is not None:
        return {"type": "file", "file_id": item.file}
    if item.url is not None:
        if not item.url.startswith(("http://", "https://")):
            scheme = item.url.partition(":")[0]
            raise TranslationError("messages", f"Claude fetches no {item.kind} from {scheme}: URLs.")
        if flavour in NOT_FETCHING:
            where = NOT_FETCHING[flavour]
            raise TranslationError(
                "messages", f"{where} fetches no URL for Claude: send the {item.kind} as base64 data."
            )
        return {"type": "url", "url": item.url}
    media_type = "image/jpeg" if item.media_type == "image/jpg" else item.media_type
    if media_type in IMAGES if item.kind == "image" else media_type == PDF:
        return {"type": "base64", "media_type": media_type, "data": item.data}
    if item.kind == "document" and media_type == TEXT:
        return {"type": "text", "media_type": TEXT, "data": _decode(item.data or "")}
    raise TranslationError("messages", f"Claude takes no {item.kind} of type {item.media_type}.")


def _decode(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise TranslationError("messages", "a text/plain document must be UTF-8 text encoded as base64.") from None
