"""What leaves this machine: the head of a request, and what there is to see for one who signs it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.connectors.contract.objects import Payload
from app.version import VERSION


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request before it is sent. `headers` are those of the call itself, with `Host`."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Payload = field(repr=False)

    def sha256(self) -> str:
        """The hash of the body in hex; a streamed one is read for it. What reading raises passes through."""
        if isinstance(self.body, bytes):
            return hashlib.sha256(self.body).hexdigest()
        found = hashlib.sha256()
        for piece in self.body.open():
            found.update(piece)
        return found.hexdigest()


# Gives headers to be added.
Sign = Callable[[Outgoing], Mapping[str, str]]


def head(host: str, headers: Mapping[str, str]) -> str:
    """The lines that all requests to one host have in common. Raises ValueError for what is not printable ASCII."""
    fields = {
        "Host": host,
        "User-Agent": f"batchgate/{VERSION}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        **headers,
    }
    return head_lines(fields)


def head_lines(fields: Mapping[str, str]) -> str:
    """Headers as lines. Raises ValueError for a value that is not printable ASCII."""
    return "".join([f"{name}: {_printable(name, value)}\r\n" for name, value in fields.items()])


def _printable(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"The value of header {name} must be printable ASCII.")
    return value
