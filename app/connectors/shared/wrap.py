"""Jobs whose lines travel in the request that creates them."""

from collections.abc import Iterator

from app.connectors.contract.objects import Payload

NOTHING = Payload(0, lambda: iter(()))


def wrapped(start: bytes, lines: Payload | None, end: bytes) -> Payload:
    """Encoded lines, which are JSON with a newline after each, as the elements of the list that `start` opens.

    `end` closes it. Reading raises ValueError when the last line has no newline.
    """
    lines = lines or NOTHING
    # The newline that ends the last line makes room for the bracket.
    tail = end if lines.length else b" " + end

    def stream() -> Iterator[bytes]:
        yield start
        held = b""
        for chunk in lines.open():
            if chunk:
                yield held
                data = chunk.replace(b"\n", b",")
                held, data = data[-1:], data[:-1]
                yield data
        if held not in (b"", b","):
            raise ValueError("the last of the encoded lines has no newline")
        yield tail

    return Payload(len(start) + max(lines.length - 1, 0) + len(tail), stream)
