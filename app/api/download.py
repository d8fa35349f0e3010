"""Answers GET and HEAD of content: ranges, conditional requests and file names, from the store, nginx or a provider."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from flask import Response, request
from werkzeug.datastructures import ContentRange, Headers
from werkzeug.http import dump_options_header, quote_etag
from werkzeug.utils import secure_filename

from app.api.auth import HEADERS as KEY_HEADERS
from app.errors import RangeNotSatisfiableError
from app.services import blobs
from app.services.copies.remote import Stream
from app.services.gateway import Gateway

# The characters that RFC 5987 does not encode in a name.
_PLAIN = "!#$&+-.^_`|~"

LARGE_BYTES = 8 * 2**20
# The dashboard has the same origin: nothing that somebody uploads may act in its name, however it is opened.
SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Content:
    """Content to download: its blob key, size, hash (None if unknown), file name and type."""

    key: str
    bytes: int
    sha256: str | None
    filename: str
    mimetype: str = "application/octet-stream"


def content_response(gateway: Gateway, content: Content) -> Response:
    """Answer GET or HEAD on `content` from the blob store. Raises RangeNotSatisfiableError and UnavailableError."""
    headers = _headers(content)
    if _is_unchanged(content):
        return Response(status=304, headers=headers)
    span = _span(content)
    start, stop = span or (0, content.bytes)
    headers["Content-Length"] = str(stop - start)
    if span is not None:
        headers["Content-Range"] = ContentRange("bytes", start, stop, content.bytes).to_header()
    status = 200 if span is None else 206
    if request.method == "HEAD":
        return Response(status=status, headers=headers, mimetype=content.mimetype)
    if span is None and _may_leave(gateway, content):
        url = blobs.signed_url(gateway, content.key, headers=_of_store(content))
        if url is not None:
            # Nobody is to keep it, or to tell others where it was.
            return Response(
                status=302, headers={"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
            )
    path = gateway.blobs.path(content.key)
    if gateway.settings.accel_prefix and path is not None:
        for name in ("Content-Length", "Content-Range", "Accept-Ranges"):  # nginx serves ranges and sets these itself
            headers.pop(name, None)
        headers["X-Accel-Redirect"] = f"{gateway.settings.accel_prefix.rstrip('/')}/{path.parent.name}/{path.name}"
        return Response(headers=headers, mimetype=content.mimetype)
    body = blobs.stream(gateway, content.key, offset=start, length=stop - start)
    return Response(body, status=status, headers=headers, mimetype=content.mimetype, direct_passthrough=True)


def streamed_response(content: Content, open_stream: Callable[[], Stream]) -> Response:
    """Answer GET or HEAD on content that only a provider has, without ranges.

    `open_stream` calls the provider; it is not called for HEAD, or when the client's copy is current. Raises the
    GatewayError that matches the provider's failure. A failure after the first byte cuts the response short.
    """
    headers = _headers(content)
    headers["Accept-Ranges"] = "none"
    if _is_unchanged(content):
        return Response(status=304, headers=headers)
    if request.method == "HEAD":
        if content.bytes:  # some providers do not report a size
            headers["Content-Length"] = str(content.bytes)
        return Response(headers=headers, mimetype=content.mimetype)
    stream = open_stream()
    if stream.length is not None:
        headers["Content-Length"] = str(stream.length)
    # No `direct_passthrough`: the server would then never call `close`, which ends the provider call.
    response = Response(stream.chunks, headers=headers, mimetype=content.mimetype)
    response.call_on_close(stream.close)
    return response


def _may_leave(gateway: Gateway, content: Content) -> bool:
    """Whether a download may be redirected to the store: large, whole, and without a key that clients would send there.

    They drop `Authorization` when they are sent to another server, but no other header.
    """
    return (
        gateway.settings.signed_url_s > 0
        and content.bytes >= LARGE_BYTES
        and "Range" not in request.headers
        and not any(name in request.headers for name in KEY_HEADERS)
    )


def _of_store(content: Content) -> dict[str, str]:
    return {"Content-Disposition": _disposition(content.filename), "Content-Type": content.mimetype}


def _headers(content: Content) -> Headers:
    headers = Headers(
        {"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": SANDBOX}
    )
    if content.sha256:
        headers["ETag"] = quote_etag(content.sha256)
    headers["Content-Disposition"] = _disposition(content.filename)
    return headers


def _disposition(filename: str) -> str:
    # RFC 6266: an ASCII name for old clients, and the real name beside it.
    ascii_name = secure_filename(filename) or "file"
    if ascii_name == filename:
        return dump_options_header("attachment", {"filename": filename})
    encoded = f"UTF-8''{quote(filename, safe=_PLAIN)}"
    return dump_options_header("attachment", {"filename": ascii_name, "filename*": encoded})


def _is_unchanged(content: Content) -> bool:
    return content.sha256 is not None and request.if_none_match.contains_weak(content.sha256)


def _span(content: Content) -> tuple[int, int] | None:
    """(start, stop) of the requested range; None for the whole content.

    RFC 9110 lets a server ignore a range that it does not support: another unit, several ranges, malformed ones.
    """
    if not _if_range(content):
        return None
    size = content.bytes
    if _is_empty_suffix(request.headers.get("Range", "")):
        raise _not_satisfiable(size)
    requested = request.range
    if requested is None or requested.units != "bytes" or len(requested.ranges) != 1:
        return None
    start, stop = requested.ranges[0]
    if start < 0:  # Werkzeug's `range_for_length` rejects a suffix longer than the content; RFC 9110 gives the whole
        start = max(size + start, 0)
    if start >= size:
        raise _not_satisfiable(size)
    return start, size if stop is None else min(stop, size)


def _is_empty_suffix(header: str) -> bool:
    # Werkzeug parses `-0` as malformed, which would give the whole content. RFC 9110: valid, but not satisfiable.
    unit, _, span = header.partition("=")
    span = span.strip(" \t")
    return unit == "bytes" and span.startswith("-0") and not span[1:].strip("0")


def _not_satisfiable(size: int) -> RangeNotSatisfiableError:
    return RangeNotSatisfiableError(f"Range: it is outside the file's {size} bytes.", size_bytes=size)


def _if_range(content: Content) -> bool:
    """Whether If-Range, when sent, matches the content.

    RFC 9110 requires the strong comparison; Werkzeug's `parse_if_range_header` drops the mark of a weak validator. A
    date never matches, because the gateway sends no Last-Modified.
    """
    condition = request.headers.get("If-Range")
    return condition is None or (content.sha256 is not None and condition.strip() == quote_etag(content.sha256))
