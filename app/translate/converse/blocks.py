"""Write content blocks of Converse; Nova's own bodies use the same (contracts: providers, 28.2)."""

import hashlib
import re
from typing import Any

from app.translate.converse.models import traits
from app.translate.errors import TranslationError
from app.translate.gemini.parts import SIGNED
from app.translate.messages.blocks import parse_arguments
from app.translate.neutral import Json, Media, Refusal, Role, Thinking, ToolCall, ToolResult

IMAGES = {"image/jpeg": "jpeg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}
DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
CALL_ID_DIGITS = 24
INVALID_NAME_CHARS = re.compile(r"[^A-Za-z0-9()\[\]-]+")
MAX_NAME_LENGTH = 200
MAX_DOCUMENTS = 5  # in a message


def write_blocks(role: Role, parts: list[Any], dropped: list[str], *, thoughts: bool) -> list[Json]:
    """Write the parts of a turn. `thoughts`: send signed thinking, unless Gemini signed it.

    Adds to `dropped`; raises TranslationError.
    """
    blocks: list[Json] = []
    for part in parts:
        if type(part) is str:
            # Bedrock rejects whitespace-only blocks.
            if part and not part.isspace():
                blocks.append({"text": part})
        elif isinstance(part, Media):
            blocks.append(_write_media(part, role))
        elif isinstance(part, ToolCall):
            call_id, arguments = valid_call_id(part.id), parse_arguments(part)
            blocks.append({"toolUse": {"toolUseId": call_id, "name": part.name, "input": arguments}})
        elif isinstance(part, Thinking):
            if thoughts and part.redacted is not None:
                blocks.append({"reasoningContent": {"redactedContent": part.redacted}})
            elif thoughts and part.signature is not None and not part.signature.startswith(SIGNED):
                blocks.append({"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}})
            elif "reasoning_content" not in dropped:
                dropped.append("reasoning_content")
        elif isinstance(part, Refusal) and part.text and not part.text.isspace():
            blocks.append({"text": part.text})
    return blocks


def write_result(result: ToolResult, dropped: list[str]) -> Json:
    """Write a tool result as a block. Adds to `dropped`; raises TranslationError."""
    content = [result.content] if isinstance(result.content, str) else result.content
    blocks = write_blocks("tool", content, dropped, thoughts=False)
    tool_result: Json = {"toolUseId": valid_call_id(result.call_id), "content": blocks}
    if result.is_error:
        tool_result["status"] = "error"
    return {"toolResult": tool_result}


def valid_call_id(call_id: str) -> str:
    """Return a tool call id in the characters and length that Bedrock allows; equal ids give equal results."""
    if CALL_ID.fullmatch(call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode(errors="surrogatepass")).hexdigest()[:CALL_ID_DIGITS]


def finish_media(messages: list[Json], model: str) -> None:
    """Give the documents of a request different names. Raises TranslationError for media that the model refuses."""
    names: dict[str, int] = {}
    for message in messages:
        content = message["content"]
        media = [block for block in content if "document" in block or "image" in block]
        if media and not traits(model).media:
            raise TranslationError("messages", f"{model} takes text only.")
        documents = [block["document"] for block in media if "document" in block]
        if documents and not any("text" in block for block in content):
            raise TranslationError("messages", "a message with a document must also have text, for Bedrock.")
        if len(documents) > MAX_DOCUMENTS:
            raise TranslationError("messages", f"Bedrock takes at most {MAX_DOCUMENTS} documents in a message.")
        for document in documents:
            number = names[document["name"]] = names.get(document["name"], 0) + 1
            if number > 1:
                document["name"] = f"{document['name']} {number}"


def _write_media(item: Media, role: Role) -> Json:
    if role == "assistant" or item.kind == "audio":
        raise TranslationError("messages", f"this model takes no {item.kind} data in {role} messages.")
    if item.data is None:
        raise TranslationError("messages", f"Bedrock fetches no URL: send the {item.kind} as a data URI.")
    formats = IMAGES if item.kind == "image" else DOCUMENTS
    media_format = formats.get(item.media_type or "")
    if media_format is None:
        supported = ", ".join(sorted(formats.values()))
        raise TranslationError("messages", f"{item.kind}s must be {supported}, not {item.media_type!r:.60}.")
    source: Json = {"bytes": item.data}
    if item.kind == "image":
        return {"image": {"format": media_format, "source": source}}
    return {"document": {"format": media_format, "name": _name(item.name), "source": source}}


def _name(filename: str | None) -> str:
    """Return a document name in the characters that Bedrock allows, without the file extension."""
    stem = (filename or "").rpartition(".")[0] or filename or ""
    return INVALID_NAME_CHARS.sub(" ", stem).strip()[:MAX_NAME_LENGTH] or "document"
