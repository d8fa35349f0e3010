"""Blocks of Amazon's Converse, which Nova's own bodies are made of, too (contracts: providers, 28.2)."""

import hashlib
import re
from typing import Any

from app.translate.errors import TranslationError
from app.translate.gemini.parts import SIGNED
from app.translate.messages.blocks import arguments
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
UNFIT_FOR_NAMES = re.compile(r"[^A-Za-z0-9()\[\]-]+")
NAME_LENGTH = 200


def blocks(role: Role, parts: list[Any], dropped: list[str], *, thoughts: bool) -> list[Json]:
    """The blocks of a turn; `thoughts` tells whether signed ones may go, but for Gemini's.

    Adds to `dropped`; raises TranslationError.
    """
    made: list[Json] = []
    for part in parts:
        if type(part) is str:
            # Blocks of nothing but white space are refused.
            if part and not part.isspace():
                made.append({"text": part})
        elif isinstance(part, Media):
            made.append(_media(part, role))
        elif isinstance(part, ToolCall):
            made.append({"toolUse": {"toolUseId": call_id(part.id), "name": part.name, "input": arguments(part)}})
        elif isinstance(part, Thinking):
            if thoughts and part.redacted is not None:
                made.append({"reasoningContent": {"redactedContent": part.redacted}})
            elif thoughts and part.signature is not None and not part.signature.startswith(SIGNED):
                made.append({"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}})
            elif "reasoning_content" not in dropped:
                dropped.append("reasoning_content")
        elif isinstance(part, Refusal) and part.text and not part.text.isspace():
            made.append({"text": part.text})
    return made


def result(told: ToolResult, dropped: list[str]) -> Json:
    """The block of a tool's result. Adds to `dropped`; raises TranslationError."""
    content = [told.content] if isinstance(told.content, str) else told.content
    inner: Json = {"toolUseId": call_id(told.call_id), "content": blocks("tool", content, dropped, thoughts=False)}
    if told.is_error:
        inner["status"] = "error"
    return {"toolResult": inner}


def call_id(given: str) -> str:
    """An id of a call in the letters and the length that are allowed, the same for the same id."""
    if CALL_ID.fullmatch(given):
        return given
    return "call_" + hashlib.sha256(given.encode(errors="surrogatepass")).hexdigest()[:CALL_ID_DIGITS]


def _media(item: Media, role: Role) -> Json:
    if role == "assistant" or item.kind == "audio":
        raise TranslationError("messages", f"{item.kind} data of a turn of the {role} cannot be said to this model.")
    if item.data is None:
        raise TranslationError("messages", f"Bedrock fetches no URL: send the {item.kind} as a data URI.")
    known = IMAGES if item.kind == "image" else DOCUMENTS
    form = known.get(item.media_type or "")
    if form is None:
        listed = ", ".join(sorted(known.values()))
        raise TranslationError("messages", f"this model takes {item.kind}s as {listed}, not {item.media_type!r:.60}.")
    source: Json = {"bytes": item.data}
    if item.kind == "image":
        return {"image": {"format": form, "source": source}}
    return {"document": {"format": form, "name": _name(item.name), "source": source}}


def _name(given: str | None) -> str:
    """A name in the letters that are allowed, without its ending."""
    stem = (given or "").rpartition(".")[0] or given or ""
    return UNFIT_FOR_NAMES.sub(" ", stem).strip()[:NAME_LENGTH] or "document"
