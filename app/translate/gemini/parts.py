"""Parts of Gemini's contents, of which turns are made (contracts: providers, 28.3)."""

from pathlib import PurePosixPath
from typing import Any, Literal, cast
from urllib.parse import unquote, urlsplit

from app.translate.errors import TranslationError, shown
from app.translate.gemini.models import traits
from app.translate.messages.blocks import arguments
from app.translate.neutral import Json, Media, Refusal, Role, Thinking, ToolCall, ToolResult

Flavour = Literal["gemini", "vertex"]
# Signatures that came from Gemini, among those of others that it would refuse.
SIGNED = "gemini:"
# What Google has for calls that another model made (ai.google.dev, thought signatures).
UNSIGNED = "skip_thought_signature_validator"
# Gemini reads addresses here with the rights of the account: they name its files.
FILES = "generativelanguage.googleapis.com"
MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".bmp": "image/bmp",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".html": "text/html",
    ".csv": "text/csv",
    ".mp3": "audio/mp3",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
}
REASONING = "reasoning_content"


class Names(dict[str, str]):
    """Names of the functions that were called so far, by the id of the call: a result has to name its function."""


def parts_of(
    role: Role, content: list[Any], model: str, flavour: Flavour, names: Names, dropped: list[str]
) -> list[Json]:
    """The parts of a turn. Adds to `names` and `dropped`; raises TranslationError naming what cannot be said."""
    made: list[Json] = []
    signature: str | None = None
    for part in content:
        if type(part) is str:
            if part:
                made.append({"text": part})
        elif isinstance(part, Media):
            made.append(_media(part, flavour, dropped))
        elif isinstance(part, ToolCall):
            first = not any("functionCall" in earlier for earlier in made)
            made.append(_call(part, signature, names, unsigned=first and traits(model).signed_calls))
            signature = None
        elif isinstance(part, Thinking):
            signature = _signature(part)
            if signature is None and REASONING not in dropped:
                dropped.append(REASONING)
        elif isinstance(part, Refusal) and part.text:
            made.append({"text": part.text})
    if role == "system" and not all("text" in part for part in made):
        raise TranslationError("messages", "what the system says must be text.")
    return made


def result(told: ToolResult, model: str, flavour: Flavour, names: Names, dropped: list[str]) -> Json:
    """The part of a tool's result. Adds to `dropped`; raises TranslationError."""
    name = names.get(told.call_id)
    if name is None:
        raise TranslationError(
            "messages.tool_call_id", f"{told.call_id!r:.60} is no call of an earlier turn, and Gemini wants its name."
        )
    content = [told.content] if isinstance(told.content, str) else told.content
    text = "\n".join(part for part in content if isinstance(part, str))
    function: Json = {"id": told.call_id, "name": name, "response": {"error" if told.is_error else "result": text}}
    media = [_media(part, flavour, dropped) for part in content if not isinstance(part, str)]
    if media:
        if traits(model).thinking != "level":
            raise TranslationError("messages", f"results of tools are text at {model}.")
        function["parts"] = media
    return {"functionResponse": function}


def _call(call: ToolCall, signature: str | None, names: Names, *, unsigned: bool) -> Json:
    names[call.id] = call.name
    part: Json = {"functionCall": {"id": call.id, "name": call.name, "args": arguments(call)}}
    if signature is not None:
        part["thoughtSignature"] = signature
    elif unsigned:
        part["thoughtSignature"] = UNSIGNED
    return part


def _signature(part: Thinking) -> str | None:
    """What Gemini signed a call with; thoughts themselves need not go back."""
    return part.signature[len(SIGNED) :] if part.signature is not None and part.signature.startswith(SIGNED) else None


def _media(item: Media, flavour: Flavour, dropped: list[str]) -> Json:
    if item.detail not in (None, "auto") and "detail" not in dropped:
        dropped.append("detail")
    if item.url is None:
        kind = "image/jpeg" if item.media_type == "image/jpg" else item.media_type
        return {"inlineData": {"mimeType": kind, "data": item.data}}
    if FILES in unquote(item.url).lower():
        text = f"a file of the account cannot be named; send the {item.kind} as a data URI."
        raise TranslationError("messages", text, code="unsupported_id")
    kind = item.media_type or MEDIA_TYPES.get(PurePosixPath(_path(item.url)).suffix.lower())
    if kind is not None:
        return {"fileData": {"mimeType": kind, "fileUri": item.url}}
    if flavour == "vertex":
        raise TranslationError("messages", f"the address of an {item.kind} must end in what kind it is, such as .png.")
    return {"fileData": {"fileUri": item.url}}


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        raise TranslationError("messages", f"{shown(url)} is no address.") from None


def text_parts(content: Any) -> list[Any]:
    """A content as the list of its parts."""
    return [content] if isinstance(content, str) else cast("list[Any]", content)
