"""What both HTTP clients share: an answer, the headers of every request, whom TLS trusts."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import certifi

from app.version import VERSION

# An answer that describes something is never larger.
MAX_ANSWER_BYTES = 64 * 2**20
# Servers drop idle connections after 2 s (gunicorn) to 5 s (uvicorn).
MAX_IDLE_S = 1.5
REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "x-amz-request-id")
COMMON_HEADERS = {
    "User-Agent": f"batchgate/{VERSION}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """True for a 2xx."""
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str:
        """The provider's id of the call; empty if it sent none."""
        return next((self.headers[name] for name in REQUEST_IDS if name in self.headers), "")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ValueError for a value that is not printable ASCII: it could smuggle in another header."""
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"The value of header {name} must be printable ASCII.")


def tls_context(socket_class: type[ssl.SSLSocket] = ssl.SSLSocket) -> ssl.SSLContext:
    """The system's authorities (SSL_CERT_FILE adds a private one) and those of certifi."""
    hashable: Any = socket_class  # which the type of SSLSocket denies
    return _tls_context(hashable, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _tls_context(socket_class: Any, _cert_file: str | None, _cert_dir: str | None) -> ssl.SSLContext:
    """One for all connections, because loading the authorities takes 30 ms."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = socket_class
    return context
