"""A load generator: one thread, keep-alive connections in a closed loop, `python -m bench.load URL`.

It knows just enough HTTP to be several times faster than what it measures: every answer must have a
Content-Length and status 200.
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
    """One connection and what has come of its answer."""

    sock: socket.socket
    received: bytearray = field(default_factory=bytearray)
    wanted: int = 0
    started: float = 0.0


def measure(url: str, *, connections: int, seconds: float, key: str) -> dict[str, float]:
    """Rate (answers per second) and latencies (ms) of GET `url`. Raises RuntimeError on any answer but 200."""
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
            _ask(connection, request)
        started = time.perf_counter()
        while time.perf_counter() < started + seconds:
            for ready, _events in selector.select(1.0):
                if _complete(ready.data):
                    latencies.append(time.perf_counter() - ready.data.started)
                    _ask(ready.data, request)
        took = time.perf_counter() - started
        for ready in list(selector.get_map().values()):
            ready.data.sock.close()
    latencies.sort()
    middle, high = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    return {"rate": len(latencies) / took, "p50_ms": middle * 1000, "p99_ms": high * 1000}


def _ask(connection: Connection, request: bytes) -> None:
    connection.started = time.perf_counter()
    connection.sock.sendall(request)


def _complete(connection: Connection) -> bool:
    data = connection.sock.recv(RECEIVE_BYTES)
    if not data:
        raise RuntimeError("The server closed the connection.")
    received = connection.received
    received += data
    if not connection.wanted:
        end = received.find(HEAD_END)
        if end < 0:
            return False
        connection.wanted = end + len(HEAD_END) + _length(bytes(received[:end]))
    if len(received) < connection.wanted:
        return False
    received.clear()
    connection.wanted = 0
    return True


def _length(head: bytes) -> int:
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.partition(b"\r\n")[0].decode())
    lowered = head.lower()
    start = lowered.index(LENGTH) + len(LENGTH)
    return int(lowered[start:].partition(b"\r\n")[0])


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--key", default="none")
    asked = parser.parse_args()
    print(json.dumps(measure(asked.url, connections=asked.connections, seconds=asked.seconds, key=asked.key)))


if __name__ == "__main__":
    main()
