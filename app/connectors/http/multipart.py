"""multipart/form-data with one file, as browsers write it (RFC 7578), streamed, its length known before."""

import secrets
from collections.abc import Iterator, Sequence

from app.connectors.contract.objects import Payload


def form(
    fields: Sequence[tuple[str, str]], *, file_field: str, filename: str, payload: Payload, content_type: str
) -> tuple[str, Payload]:
    """(Content-Type, body) of a form whose last part is the file."""
    boundary = f"batchgate-{secrets.token_hex(16)}"
    head = b"".join(_part(boundary, _disposition(name)) + value.encode() + b"\r\n" for name, value in fields)
    described = f'{_disposition(file_field)}; filename="{_quoted(filename)}"\r\nContent-Type: {content_type}'
    head += _part(boundary, described)
    tail = f"\r\n--{boundary}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        yield head
        yield from payload.open()
        yield tail

    body = Payload(length=len(head) + payload.length + len(tail), open=pieces)
    return f"multipart/form-data; boundary={boundary}", body


def _part(boundary: str, headers: str) -> bytes:
    return f"--{boundary}\r\n{headers}\r\n\r\n".encode()


def _disposition(name: str) -> str:
    return f'Content-Disposition: form-data; name="{_quoted(name)}"'


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
