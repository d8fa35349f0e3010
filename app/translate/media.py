"""Images and documents by data URI or URL."""

import re

from app.translate.errors import TranslationError
from app.translate.neutral import Media

DATA = "data:"
HEADER = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[^;,]*)*(;base64)?,")
PDF = "application/pdf"
WEB = ("http://", "https://")
# Providers read these with the rights of the account, which callers share: they could read what is not theirs.
BUCKETS = ("gs://", "s3://")


def image(url: str, path: str, *, detail: str | None = None) -> Media:
    """An image by its URL or data URI. Raises TranslationError, naming `path`, when it is neither."""
    if url.startswith(DATA):
        media_type, data = parsed(url, path)
        if media_type is None or not media_type.startswith("image/"):
            raise TranslationError(path, "the data URI must name an image type, such as data:image/png;base64,...")
        return Media("image", media_type=media_type, data=data, detail=detail)
    return Media("image", url=address(url, path), detail=detail)


def document(given: str, path: str, *, name: str | None = None) -> Media:
    """A document from `file_data`: a data URI, an address, or bare base64, which is taken for a PDF.

    Raises TranslationError.
    """
    if given.startswith(DATA):
        media_type, data = parsed(given, path)
        return Media("document", media_type=media_type or PDF, data=data, name=name)
    if "://" in given[:16]:
        return Media("document", url=address(given, path), name=name)
    return Media("document", media_type=PDF, data=given, name=name)


def address(url: str, path: str) -> str:
    """`url`, which anybody may read. Raises TranslationError, naming `path`, when it is no address on the web."""
    if url.lower().startswith(BUCKETS):
        text = "an object in a bucket would be read with the rights of the account; send a data URI instead."
        raise TranslationError(path, text, code="unsupported_id")
    if not url.startswith(WEB):
        raise TranslationError(path, "an http(s) URL or a data URI such as data:image/png;base64,... is needed.")
    return url


def parsed(uri: str, path: str) -> tuple[str | None, str]:
    """(media type, base64) of a data URI. Raises TranslationError when it is not in base64."""
    match = HEADER.match(uri)
    if match is None or match[2] is None:
        raise TranslationError(path, "a data URI must be in base64, such as data:image/png;base64,...")
    return match[1] and match[1].lower(), uri[match.end() :]


def url_of(item: Media) -> str:
    """A URL or data URI of it."""
    return item.url if item.url is not None else f"data:{item.media_type};base64,{item.data}"
