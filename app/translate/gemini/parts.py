"""Write the parts of Gemini's contents (contracts: providers, 28.3)."""

from pathlib import PurePosixPath
from typing import Any, Literal, cast
from urllib.parse import unquote, urlsplit

from app.translate.errors import TranslationError, describe
from app.translate.gemini.models import traits
from app.translate.messages.blocks import parse_arguments
from app.translate.neutral import Json, Media, Refusal, Role, Thinking, ToolCall, ToolResult

Flavour = Literal["gemini", "vertex"]
# Marks signatures that Gemini issued; it rejects those of other providers.
SIGNED = "gemini:"
# Google's placeholder for tool calls that another model parts (ai.google.dev, thought signatures).
UNSIGNED = "skip_thought_signature_validator"
# URLs at this host name files of the account, and Gemini reads them with the account's permissions.
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
    """Function names by call id, for the calls written so far: Gemini's tool results must name the function."""


def write_parts(
    role: Role, content: list[Any], model: str, flavour: Flavour, names: Names, dropped: list[str]
) -> list[Json]:
    """Write the parts of a turn. Adds to `names` and `dropped`; raises TranslationError for what Gemini rejects."""
    parts: list[Json] = []
    signature: str | None = None
    for part in content:
        if type(part) is str:
            if part:
                parts.append({"text": part})
        elif isinstance(part, Media):
            parts.append(_write_media(part, flavour, dropped))
        elif isinstance(part, ToolCall):
            is_first = not any("functionCall" in earlier for earlier in parts)
            parts.append(_write_call(part, signature, names, unsigned=is_first and traits(model).signed_calls))
            signature = None
        elif isinstance(part, Thinking):
            signature = _signature(part)
            if signature is None and REASONING not in dropped:
                dropped.append(REASONING)
        elif isinstance(part, Refusal) and part.text:
            parts.append({"text": part.text})
    if role == "system" and not all("text" in part for part in parts):
        raise TranslationError("messages", "system messages must be text.")
    return parts


def write_result(result: ToolResult, model: str, flavour: Flavour, names: Names, dropped: list[str]) -> Json:
    """Write a tool result as a part. Adds to `dropped`; raises TranslationError."""
    name = names.get(result.call_id)
    if name is None:
        raise TranslationError(
            "messages.tool_call_id",
            f"{result.call_id!r:.60} matches no earlier tool call.",
        )
    content = [result.content] if isinstance(result.content, str) else result.content
    text = "\n".join(part for part in content if isinstance(part, str))
    function: Json = {"id": result.call_id, "name": name, "response": {"error" if result.is_error else "result": text}}
    media = [_write_media(part, flavour, dropped) for part in content if not isinstance(part, str)]
    if media:
        if not traits(model).media_results:
            raise TranslationError("messages", f"{model} accepts only text as a tool result.")
        function["parts"] = media
    return {"functionResponse": function}


def remove_call_ids(contents: list[Json]) -> None:
    """Remove the ids of calls and results. Without them results must come in the order of their calls."""
    order: dict[str, int] = {}
    for content in contents:
        parts: list[Json] = content["parts"]
        results = [part for part in parts if "functionResponse" in part]
        if results:
            results.sort(key=lambda part: order.get(part["functionResponse"]["id"], 0))
            parts[:] = [*results, *(part for part in parts if "functionResponse" not in part)]
        for part in parts:
            if "functionCall" in part:
                order[part["functionCall"].pop("id")] = len(order)
    for content in contents:
        for part in content["parts"]:
            part.get("functionResponse", {}).pop("id", None)


def _write_call(call: ToolCall, signature: str | None, names: Names, *, unsigned: bool) -> Json:
    names[call.id] = call.name
    part: Json = {"functionCall": {"id": call.id, "name": call.name, "args": parse_arguments(call)}}
    if signature is not None:
        part["thoughtSignature"] = signature
    elif unsigned:
        part["thoughtSignature"] = UNSIGNED
    return part


def _signature(part: Thinking) -> str | None:
    """Return Gemini's signature of the next call, if any. The thoughts themselves need not be sent back."""
    return part.signature[len(SIGNED) :] if part.signature is not None and part.signature.startswith(SIGNED) else None


def _write_media(item: Media, flavour: Flavour, dropped: list[str]) -> Json:
    if item.detail not in (None, "auto") and "detail" not in dropped:
        dropped.append("detail")
    if item.file is not None:
        return {"fileData": {"mimeType": item.file.media_type, "fileUri": f"https://{FILES}/v1beta/{item.file}"}}
    if item.url is None:
        media_type = "image/jpeg" if item.media_type == "image/jpg" else item.media_type
        return {"inlineData": {"mimeType": media_type, "data": item.data}}
    if FILES in unquote(item.url).lower():
        text = f"the URL names a file of the shared account; send the {item.kind} as a data URI."
        raise TranslationError("messages", text, code="unsupported_id")
    media_type = item.media_type or MEDIA_TYPES.get(PurePosixPath(_path(item.url)).suffix.lower())
    if media_type is not None:
        return {"fileData": {"mimeType": media_type, "fileUri": item.url}}
    if flavour == "vertex":
        raise TranslationError("messages", f"the {item.kind} URL must end in a known file extension, such as .png.")
    return {"fileData": {"fileUri": item.url}}


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        raise TranslationError("messages", f"{describe(url)} is not a valid URL.") from None


def as_list(content: Any) -> list[Any]:
    """Return content as a list of parts."""
    return [content] if isinstance(content, str) else cast("list[Any]", content)
