"""A load generator: one thread with keep-alive connections in a closed loop, `python -m bench.load URL`.

It implements just enough HTTP to be several times faster than the server: every response must have status 200 and a
Content-Length.
"""

import argparse
import json
import selectors
import socket
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "
RECEIVE_BYTES = 256 * 1024


@dataclass(slots=True)
class Connection:
    """A connection and the part of its response that has been received."""

    sock: socket.socket
    received: bytearray = field(default_factory=bytearray)
    expected_bytes: int = 0
    started: float = 0.0


def measure(url: str, *, connections: int, seconds: float, key: str) -> dict[str, float]:
    """Measure the rate (responses/s) and latencies (ms) of GET `url`. Raises RuntimeError for any status but 200."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
        "User-Agent: bench\r\nAccept: application/json\r\n\r\n"
    ).encode()
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            sock = socket.create_connection((parts.hostname or "", parts.port or 80))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(sock, selectors.EVENT_READ, connection := Connection(sock))
            _send(connection, request)
        started = time.perf_counter()
        while time.perf_counter() < started + seconds:
            for ready, _events in selector.select(1.0):
                if _complete(ready.data):
                    latencies.append(time.perf_counter() - ready.data.started)
                    _send(ready.data, request)
        elapsed_s = time.perf_counter() - started
        for ready in list(selector.get_map().values()):
            ready.data.sock.close()
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    return {"rate": len(latencies) / elapsed_s, "p50_ms": p50 * 1000, "p99_ms": p99 * 1000}


def _send(connection: Connection, request: bytes) -> None:
    connection.started = time.perf_counter()
    connection.sock.sendall(request)


def _complete(connection: Connection) -> bool:
    data = connection.sock.recv(RECEIVE_BYTES)
    if not data:
        raise RuntimeError("The server closed the connection.")
    received = connection.received
    received += data
    if not connection.expected_bytes:
        end = received.find(HEAD_END)
        if end < 0:
            return False
        connection.expected_bytes = end + len(HEAD_END) + _length(bytes(received[:end]))
    if len(received) < connection.expected_bytes:
        return False
    received.clear()
    connection.expected_bytes = 0
    return True


def _length(head: bytes) -> int:
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.partition(b"\r\n")[0].decode())
    lower = head.lower()
    start = lower.index(LENGTH) + len(LENGTH)
    return int(lower[start:].partition(b"\r\n")[0])


def main() -> None:
    """Print the measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--key", default="none")
    options = parser.parse_args()
    print(json.dumps(measure(options.url, connections=options.connections, seconds=options.seconds, key=options.key)))


if __name__ == "__main__":
    main()
