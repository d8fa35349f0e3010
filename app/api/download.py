"""Bytes on their way out: ranges, validators, names; from the store, or by nginx where it can reach them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from flask import Response, request
from werkzeug.datastructures import Headers
from werkzeug.http import dump_options_header, quote_etag
from werkzeug.utils import secure_filename

from app.errors import RangeNotSatisfiableError
from app.services import blobs
from app.services.copies.remote import Stream
from app.services.gateway import Gateway

# One range: `first-last`, `first-`, or the last so many bytes. At most 18 digits, so that the numbers stay small.
_RANGE = re.compile(r"bytes=[ \t]*(?=\d|-\d)(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII)
# What RFC 5987 leaves as it is in an encoded name.
_PLAIN = "!#$&+-.^_`|~"


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that the gateway holds: where they are, how many, and what they are called."""

    key: str
    bytes: int
    sha256: str | None
    filename: str
    mimetype: str = "application/octet-stream"


def content_response(gateway: Gateway, content: Content) -> Response:
    """The answer to GET or HEAD on `content`. Raises RangeNotSatisfiableError and UnavailableError."""
    headers = _headers(content)
    if _is_unchanged(content):
        return Response(status=304, headers=headers)
    span = _span(content)
    offset, length = span or (0, content.bytes)
    headers["Content-Length"] = str(length)
    if span is not None:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{content.bytes}"
    status = 200 if span is None else 206
    if request.method == "HEAD":
        return Response(status=status, headers=headers, mimetype=content.mimetype)
    path = gateway.blobs.path(content.key)
    if gateway.settings.accel_prefix and path is not None:
        del headers["Content-Length"]  # nginx answers the range itself
        headers.pop("Content-Range", None)
        headers["X-Accel-Redirect"] = f"{gateway.settings.accel_prefix.rstrip('/')}/{content.key[:2]}/{content.key}"
        return Response(headers=headers, mimetype=content.mimetype)
    body = blobs.stream(gateway, content.key, offset=offset, length=length)
    return Response(body, status=status, headers=headers, mimetype=content.mimetype, direct_passthrough=True)


def streamed_response(content: Content, open_stream: Callable[[], Stream]) -> Response:
    """The answer to GET or HEAD on what only a provider has: whole, by the one call of `open_stream`.

    HEAD, and a client that has the bytes already, are answered without one. Raises what the provider's failure is
    for a caller; when it fails after the first byte, the answer breaks off.
    """
    headers = _headers(content)
    headers["Accept-Ranges"] = "none"
    if _is_unchanged(content):
        return Response(status=304, headers=headers)
    if request.method == "HEAD":
        if content.bytes:  # not every provider tells
            headers["Content-Length"] = str(content.bytes)
        return Response(headers=headers, mimetype=content.mimetype)
    stream = open_stream()
    if stream.length is not None:
        headers["Content-Length"] = str(stream.length)
    # Not passed through directly: then nobody would call `close`, and the call upstream would end with this function.
    response = Response(stream.chunks, headers=headers, mimetype=content.mimetype)
    response.call_on_close(stream.close)
    return response


def _headers(content: Content) -> Headers:
    headers = Headers({"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"})
    if content.sha256:
        headers["ETag"] = quote_etag(content.sha256)
    headers["Content-Disposition"] = _disposition(content.filename)
    return headers


def _disposition(filename: str) -> str:
    # RFC 6266: an ASCII name for old clients, the real one beside it.
    ascii_name = secure_filename(filename) or "file"
    if ascii_name == filename:
        return dump_options_header("attachment", {"filename": filename})
    encoded = f"UTF-8''{quote(filename, safe=_PLAIN)}"
    return dump_options_header("attachment", {"filename": ascii_name, "filename*": encoded})


def _is_unchanged(content: Content) -> bool:
    return content.sha256 is not None and request.if_none_match.contains_weak(content.sha256)


def _span(content: Content) -> tuple[int, int] | None:
    """(offset, length) of the one range that is asked for; None for the whole."""
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or not _if_range(content):
        return None  # RFC 9110 lets a server ignore ranges that it does not serve
    first, last = asked.groups()
    size = content.bytes
    if first and last and int(first) > int(last):
        return None
    start = int(first) if first else size - min(int(last), size)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise RangeNotSatisfiableError(f"Range: it lies outside of the {size} bytes.", size_bytes=size)
    return start, stop - start


def _if_range(content: Content) -> bool:
    # Without Last-Modified a date never matches, and RFC 9110 wants the strong comparison.
    condition = request.headers.get("If-Range")
    return condition is None or (content.sha256 is not None and condition.strip() == quote_etag(content.sha256))
