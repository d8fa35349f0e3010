"""Images and documents given as a data URI or a URL."""

import re

from app.translate.errors import TranslationError
from app.translate.neutral import Media

DATA = "data:"
HEADER = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[^;,]*)*(;base64)?,")
PDF = "application/pdf"
WEB = ("http://", "https://")
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
    """Return the URL of an item, or its data as a data URI."""
    return item.url if item.url is not None else f"data:{item.media_type};base64,{item.data}"
