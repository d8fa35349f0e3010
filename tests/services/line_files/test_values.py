"""What stands in a line in place of a file, and files that a provider takes in no way."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from app.connectors.catalogue import registry
from app.data.files.files import FileRow
from app.services.line_files import values
from app.services.line_files.look_up import NamedFile
from app.services.lines import file_refs
from app.services.lines.file_refs import CHAT, RESPONSES, Reference
from app.services.lines.rules import MESSAGES
from app.translate import media
from app.translate.errors import TranslationError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
PDF = b"%PDF-1.4\n"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def file(filename: str, data: bytes = b"\0", size: int | None = None) -> NamedFile:
    row = FileRow(
        *(1, "file-1", 1, "local", "user_data", filename, "processed", None, 1, len(data) if size is None else size),
        *("0", None, 0, None, None),
    )
    return NamedFile(row, "key", media.type_of(filename, data[: media.BEGINNING_BYTES]))


def reference(endpoint: str, kind: str = "document") -> Reference:
    part: dict[str, Any] = {"type": "file", "file": {"file_id": "file-1"}}
    if endpoint == RESPONSES:
        part = {"type": "input_image" if kind == "image" else "input_file", "file_id": "file-1"}
    if endpoint == MESSAGES:
        part = {"type": kind, "source": {"type": "file", "file_id": "file-1"}, "title": "T"}
    if kind == "upload":
        part = {"type": "container_upload", "file_id": "file-1"}
    root = "input" if endpoint == RESPONSES else "messages"
    [found] = file_refs.find(endpoint, {root: [{"role": "user", "content": [part]}]})
    return found


def uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


INLINED = [
    (CHAT, "a.pdf", PDF, {"type": "file", "file": {"filename": "a.pdf", "file_data": uri("application/pdf", PDF)}}),
    (CHAT, "a.pdf", PNG, {"type": "image_url", "image_url": {"url": uri("image/png", PNG)}}),
    (CHAT, "a.md", b"# x", {"type": "text", "text": "# x"}),
    (RESPONSES, "a.pdf", PDF, {"type": "input_file", "filename": "a.pdf", "file_data": uri("application/pdf", PDF)}),
    (RESPONSES, "b", PNG, {"type": "input_image", "image_url": uri("image/png", PNG)}),
    (RESPONSES, "a.json", b"{}", {"type": "input_text", "text": "{}"}),
    (
        MESSAGES,
        "a",
        PDF,
        {
            "type": "document",
            "source": {
                "type": "base64",
                "media_type": "application/pdf",
                "data": base64.b64encode(PDF).decode(),
            },
            "title": "T",
        },
    ),
    (
        MESSAGES,
        "a.csv",
        b"1,2",
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "1,2"}, "title": "T"},
    ),
]


@pytest.mark.parametrize(("endpoint", "filename", "data", "part"), INLINED)
def test_a_file_is_put_into_the_line_in_the_form_of_its_dialect(
    endpoint: str, filename: str, data: bytes, part: dict[str, Any]
) -> None:
    assert values.inlined(endpoint, reference(endpoint), file(filename, data), data) == part


def test_a_picture_keeps_how_closely_it_is_looked_at() -> None:
    found = reference(RESPONSES, "image")
    found = replace(found, part={**found.part, "detail": "low"})
    part = values.inlined(RESPONSES, found, file("a.png", PNG), PNG)
    assert part == {"type": "input_image", "detail": "low", "image_url": uri("image/png", PNG)}


REFUSED = [
    ("anthropic", MESSAGES, "document", file("a.docx"), WORD),
    ("anthropic", CHAT, "document", file("a.tiff"), "image/tiff"),
    ("cohere", CHAT, "document", file("a.pdf", PDF), "image/*, text/*"),
    ("gemini", CHAT, "document", file("a.zip"), "application/zip"),
    ("bedrock", MESSAGES, "upload", file("a.csv"), "containers"),
    ("openai", CHAT, "document", file("a.pdf", PDF, 2**30), "at most 536870912 bytes"),
    ("anthropic", MESSAGES, "upload", file("a.bin", b"\0", 2**30), "at most 500000000 bytes"),
]


@pytest.mark.parametrize(("provider", "endpoint", "kind", "named", "words"), REFUSED)
def test_a_file_that_the_provider_does_not_take_is_refused_by_name(
    provider: str, endpoint: str, kind: str, named: NamedFile, words: str
) -> None:
    with pytest.raises(TranslationError) as refused:
        values.is_by_id(registry.abilities(provider), endpoint, reference(endpoint, kind), named)
    assert refused.value.code in ("unsupported_file", "file_too_large")
    for word in ("file-1", named.row.filename, words):
        assert word in str(refused.value)


def test_a_document_is_no_picture() -> None:
    with pytest.raises(TranslationError, match="an image is needed"):
        values.inlined(RESPONSES, reference(RESPONSES, "image"), file("a.pdf", PDF), PDF)


TYPES = [
    ("a.txt", PDF, "application/pdf"),
    ("a", b"RIFF\1\0\0\0WEBPVP8 ", "image/webp"),
    ("a", "ünicode".encode(), "text/plain"),
    ("a", "ü".encode()[:1] * 2, "application/octet-stream"),
    ("a", b"x" * 511 + "ü".encode()[:1], "text/plain"),
    ("a", b"a\0b", "application/octet-stream"),
    ("A.PDF", b"\0", "application/pdf"),
    ("a.docx", b"PK\3\4", WORD),
    ("../a.unknownending", b"", "application/octet-stream"),
]


@pytest.mark.parametrize(("filename", "beginning", "media_type"), TYPES)
def test_the_type_of_a_file_is_that_of_its_bytes_else_of_its_name(
    filename: str, beginning: bytes, media_type: str
) -> None:
    assert media.type_of(filename, beginning) == media_type
