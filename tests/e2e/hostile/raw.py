"""Requests as bytes, and what comes back."""

import re
import socket

from tests.support.gunicorn import Gunicorn

JSON = "Content-Type: application/json"
FORM = "Content-Type: multipart/form-data; boundary=b"
CHUNKED = "Transfer-Encoding: chunked"
CUT_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello'
)


def head(key: str, method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answers(connection: socket.socket) -> list[tuple[int, bytes]]:
    """(status, body) of each answer that comes before the gateway closes the connection."""
    data = b"".join(iter(lambda: connection.recv(65536), b""))
    found = []
    while data:
        top, _, data = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", top)
        assert length is not None, top
        found.append((int(top.split()[1]), data[: int(length[1])]))
        data = data[int(length[1]) :]
    return found


def exchange(web: Gunicorn, data: bytes) -> list[tuple[int, bytes]]:
    """Send all of it, say that nothing follows, and read the answers."""
    with web.connect() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return answers(connection)
