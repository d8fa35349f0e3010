"""What stands in a line in place of a reference to a file: its native id, or the file itself."""

import base64
from collections.abc import Mapping
from typing import Any

from app.connectors.contract.abilities import Abilities, Support
from app.lib import json
from app.services.line_files.look_up import NamedFile
from app.services.lines.file_refs import CHAT, IMAGE, RESPONSES, UPLOAD, Reference
from app.translate import media
from app.translate.errors import TranslationError
from app.translate.media import PDF
from app.translate.messages.blocks import IMAGES as CLAUDE_IMAGES
from app.translate.neutral import FileId

TOO_LARGE, UNSUPPORTED = "file_too_large", "unsupported_file"
# As long as the ids of any provider.
PLACEHOLDER = "x" * 64
BASE64_GROUP, BASE64_BYTES = 4, 3


def is_by_id(abilities: Abilities, endpoint: str, reference: Reference, file: NamedFile) -> bool:
    """True when the line is sent with the file's native id, false when with the file in it.

    Raises TranslationError for a file that the provider takes in neither way.
    """
    limits = abilities.files
    has_files = abilities.support("file_upload") is Support.NATIVE and limits.bucket is None
    types = limits.named.get(endpoint, frozenset())
    if has_files and types and (reference.kind == UPLOAD or media.fits(file.media_type, types)):
        if limits.bytes is not None and file.row.bytes > limits.bytes:
            raise refusal(reference, file, f"the provider takes files of at most {limits.bytes} bytes", TOO_LARGE)
        return True
    if reference.kind == UPLOAD:
        raise refusal(reference, file, "the provider has no files that its containers could read")
    if not media.is_text(file.media_type) and not media.fits(file.media_type, limits.inlined):
        known = ", ".join(sorted(limits.inlined))
        raise refusal(reference, file, f"the provider takes files of these types in lines: {known}")
    return False


def by_id(reference: Reference, file: NamedFile, native_id: str) -> dict[str, Any]:
    """The part of the line with the id of the file at the provider."""
    return reference.part_with(FileId(native_id, file.media_type))


def inlined_bytes(file: NamedFile) -> int:
    """How many bytes a file of this type and size adds to a line, unless it is text."""
    return -(-file.row.bytes // BASE64_BYTES) * BASE64_GROUP


def text_of(reference: Reference, file: NamedFile, data: bytes) -> str:
    """The bytes of a file as text. Raises TranslationError when they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise refusal(reference, file, "text must be UTF-8") from None


def inlined(endpoint: str, reference: Reference, file: NamedFile, data: bytes) -> dict[str, Any]:
    """The part of the line with the file itself. Raises TranslationError for a file that no such part can hold."""
    is_image = file.media_type.startswith("image/")
    if reference.kind == IMAGE and not is_image:
        raise refusal(reference, file, "an image is needed here")
    if endpoint in (CHAT, RESPONSES):
        write = _in_chat if endpoint == CHAT else _in_response
        if media.is_text(file.media_type):
            return write(reference, file, "text", text_of(reference, file, data))
        uri = f"data:{file.media_type};base64,{base64.b64encode(data).decode()}"
        return write(reference, file, "image" if is_image else "file", uri)
    return _in_message(reference, file, data)


def refusal(reference: Reference, file: NamedFile, why: str, code: str = UNSUPPORTED) -> TranslationError:
    """Why a line with this file is never sent."""
    about = f"{reference.file_id:.100} ({file.row.filename:.100}, {file.media_type}, {file.row.bytes} bytes)"
    return TranslationError(reference.path, f"the file {about} cannot be sent: {why}.", code=code)


def _in_chat(reference: Reference, file: NamedFile, kind: str, value: str) -> dict[str, Any]:
    if kind == "text":
        return {"type": "text", "text": value}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": value}}
    return {"type": "file", "file": {"filename": file.row.filename, "file_data": value}}


def _in_response(reference: Reference, file: NamedFile, kind: str, value: str) -> dict[str, Any]:
    if kind == "text":
        return {"type": "input_text", "text": value}
    if kind == "image":
        named = reference.part.get("type", "")
        part = {name: inner for name, inner in reference.part.items() if name in ("type", "detail")}
        if named == "input_file":
            part = {"type": "input_image"}
        return {**part, "image_url": value}
    return {"type": "input_file", "filename": file.row.filename, "file_data": value}


def _in_message(reference: Reference, file: NamedFile, data: bytes) -> dict[str, Any]:
    """A block with its file. Its other members (a title, citations) stay."""
    kind = IMAGE if file.media_type in CLAUDE_IMAGES else "document"
    source: Mapping[str, Any]
    if kind == IMAGE or file.media_type == PDF:
        source = {"type": "base64", "media_type": file.media_type, "data": base64.b64encode(data).decode()}
    elif media.is_text(file.media_type):
        source = {"type": "text", "media_type": media.TEXT, "data": text_of(reference, file, data)}
    else:
        raise refusal(reference, file, "a document must be a PDF or text, and an image JPEG, PNG, GIF or WebP")
    return {**reference.part, "type": kind, "source": source}


def json_bytes(text: str) -> int:
    """How many bytes a text takes in JSON."""
    return len(json.dumps(text))
