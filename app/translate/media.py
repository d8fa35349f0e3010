"""Images and documents given as a data URI or a URL, and the media types of files."""

import mimetypes
import re
from pathlib import PurePosixPath
from typing import Any

from app.translate.errors import TranslationError
from app.translate.neutral import FileId, Media

DATA = "data:"
HEADER = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[^;,]*)*(;base64)?,")
PDF = "application/pdf"
WEB = ("http://", "https://")
OCTETS = "application/octet-stream"
TEXT = "text/plain"
# How files begin whose name may say nothing, or the wrong thing.
BEGINNINGS = (
    (re.compile(rb"%PDF-"), PDF),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "audio/wav"),
)
BEGINNING_BYTES = 512
# Types by the endings of names, whatever the machine knows: those that models read as text, and some newer ones.
TYPES = {
    **dict.fromkeys((".md", ".markdown"), "text/markdown"),
    **dict.fromkeys((".txt", ".log", ".yaml", ".yml", ".toml", ".jsonl", ".py", ".js", ".ts", ".sh", ".sql"), TEXT),
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".mp3": "audio/mp3",
    ".wav": "audio/wav",
}
TEXTS = frozenset({"application/json", "application/xml", "application/javascript", "application/x-sh"})
# Providers fetch these with the account's permissions. Callers share accounts, so one could read another's objects.
BUCKETS = ("gs://", "s3://")


def image(url: str, path: str, *, detail: str | None = None) -> Media:
    """Parse an image's URL or data URI. Raises TranslationError that names `path` when it is neither."""
    if url.startswith(DATA):
        media_type, data = parse_data_uri(url, path)
        if media_type is None or not media_type.startswith("image/"):
            raise TranslationError(path, "the data URI must name an image type, such as data:image/png;base64,...")
        return Media("image", media_type=media_type, data=data, detail=detail)
    return Media("image", url=public_url(url, path), detail=detail)


def document(file_data: str, path: str, *, name: str | None = None) -> Media:
    """Parse `file_data`: a data URI, a URL, or bare base64, which is assumed to be a PDF.

    Raises TranslationError that names `path`.
    """
    if file_data.startswith(DATA):
        media_type, data = parse_data_uri(file_data, path)
        return Media("document", media_type=media_type or PDF, data=data, name=name)
    if "://" in file_data[:16]:
        return Media("document", url=public_url(file_data, path), name=name)
    return Media("document", media_type=PDF, data=file_data, name=name)


def stored(file_id: Any, path: str, *, name: str | None = None, detail: str | None = None) -> Media:
    """A file at the account where the line runs. Raises TranslationError that names `path` for any other id."""
    if not isinstance(file_id, FileId):
        raise TranslationError(path, "names no file that the gateway has put there.", code="unsupported_id")
    kind, _, _ = file_id.media_type.partition("/")
    if kind == "image":
        return Media("image", media_type=file_id.media_type, detail=detail, file=file_id)
    return Media("document", media_type=file_id.media_type, name=name, file=file_id)


def public_url(url: str, path: str) -> str:
    """Return `url` if it is an http(s) URL. Raises TranslationError that names `path` otherwise."""
    if url.lower().startswith(BUCKETS):
        text = "a bucket object would be read with the account's permissions; send a data URI instead."
        raise TranslationError(path, text, code="unsupported_id")
    if not url.startswith(WEB):
        raise TranslationError(path, "must be an http(s) URL or a data URI such as data:image/png;base64,...")
    return url


def parse_data_uri(uri: str, path: str) -> tuple[str | None, str]:
    """Split a data URI into (media type, base64). Raises TranslationError when its data is not base64."""
    match = HEADER.match(uri)
    if match is None or match[2] is None:
        raise TranslationError(path, "the data URI must be base64-encoded, such as data:image/png;base64,...")
    return match[1] and match[1].lower(), uri[match.end() :]


def url_of(item: Media) -> str:
    """Return the URL of an item, or its data as a data URI. Raises TranslationError when it has neither."""
    if item.file is not None:
        raise TranslationError("messages", f"this dialect cannot name the {item.kind} by its id.")
    return item.url if item.url is not None else f"data:{item.media_type};base64,{item.data}"


def type_of(filename: str, beginning: bytes) -> str:
    """The media type of a file, by its first bytes, else by its name, else as text if it begins like one."""
    for pattern, media_type in BEGINNINGS:
        if pattern.match(beginning):
            return media_type
    ending = PurePosixPath(filename.lower()).suffix
    named = TYPES.get(ending) or mimetypes.guess_type(f"x{ending}")[0]
    return named or (TEXT if _is_text(beginning) else OCTETS)


def ending_of(media_type: str) -> str:
    """The ending of names of files of a type, with its dot; empty where none is known."""
    return next((ending for ending, own in TYPES.items() if own == media_type), "") or (
        mimetypes.guess_extension(media_type) or ""
    )


def is_text(media_type: str) -> bool:
    """True for a type that is read as text."""
    return media_type.startswith("text/") or media_type in TEXTS


def fits(media_type: str, types: frozenset[str]) -> bool:
    """True when a media type is one of `types`, which may have `image/*` and `*`."""
    return bool(types & {media_type, f"{media_type.partition('/')[0]}/*", "*"})


def _is_text(beginning: bytes) -> bool:
    if not beginning or b"\0" in beginning:
        return False
    try:
        beginning.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(beginning) - 3 and error.reason == "unexpected end of data"
    return True
