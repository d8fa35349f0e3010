"""Multipart bodies byte by byte, for what no client library would send."""

from collections.abc import Sequence

BOUNDARY = "----boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, data: bytes, *, filename: str | None = None, headers: Sequence[str] = ()) -> bytes:
    """One part with its border in front; `filename` goes out as it is."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    head = "\r\n".join([f"--{BOUNDARY}", disposition, *headers])
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"


def end() -> bytes:
    """The border that ends a body."""
    return f"--{BOUNDARY}--\r\n".encode()


def form(*parts: bytes) -> bytes:
    """A whole body."""
    return b"".join(parts) + end()
