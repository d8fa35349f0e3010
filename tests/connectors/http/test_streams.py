"""Bodies that stream: how much memory they take, when they count as silent, and what an early answer means."""

import os
import signal
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from app.connectors.contract.base import Target
from app.connectors.contract.errors import UpstreamError, UpstreamServerError, UpstreamTimeoutError
from app.connectors.contract.objects import Payload
from app.connectors.http.api import Api
from app.connectors.http.lines import LineClient
from app.connectors.http.remote import Remote
from app.connectors.http.transport import Client
from app.connectors.http.wire import Answer

BIG = 100 * 2**20
MAX_MEMORY = 4 * 2**20
PIECE = bytes(64 * 1024)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Script = Callable[[socket.socket], None]


@pytest.fixture
def served() -> Iterator[Callable[[Script], str]]:
    """`served(answer) -> url`: every connection gets `answer(socket)` in a thread, and is closed after the test."""
    listeners: list[socket.socket] = []
    accepted: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(answer: Script) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def one(connection: socket.socket) -> None:
            with suppress(OSError):  # the client has left
                answer(connection)

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                accepted.append(connection)
                threads.append(threading.Thread(target=one, args=(connection,)))
                threads[-1].start()

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for connection in accepted:
        with suppress(OSError):  # closed by the other side
            connection.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    for connection in accepted:
        connection.close()


def payload(size: int) -> Payload:
    return Payload(size, lambda: (PIECE for _ in range(size // len(PIECE))))


def head_of(connection: socket.socket) -> tuple[bytes, int]:
    """The head of a request, and how much of its body came with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, len(rest)


def swallow(connection: socket.socket, *, pause_s: float = 0.0) -> None:
    """Read a whole request without keeping it, then answer with its size."""
    head, count = head_of(connection)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    buffer = bytearray(256 * 1024)
    while count < length:
        taken = connection.recv_into(buffer)
        if not taken:
            raise ConnectionError
        count += taken
        time.sleep(pause_s)  # how slow a server is, not a wait for something
    body = b'{"bytes":%d}' % count
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def api(url: str, **times: float) -> Api:
    return Api(
        Target(
            provider="p",
            base_url=url,
            **{"silence_timeout_s": 5.0, "call_timeout_s": 5.0, "retry_pause_s": 0.001, **times},
        )
    )


@pytest.fixture
def memory() -> Iterator[Callable[[], int]]:
    """Bytes that Python held at most, over what it held at the beginning."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    yield lambda: tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()


def test_a_large_upload_takes_little_memory(served, memory):
    told = api(served(swallow)).upload(
        "/files", fields=[("purpose", "batch")], file_field="file", filename="a.jsonl", payload=payload(BIG)
    )

    assert told["bytes"] > BIG
    assert memory() < MAX_MEMORY


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_download_takes_little_memory(served, memory, chunked):
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % BIG
    piece = b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE

    def answer(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % framing)
        for _ in range(BIG // len(PIECE)):
            connection.sendall(piece)
        if chunked:
            connection.sendall(b"0\r\n\r\n")

    with api(served(answer)).download("/file") as download:
        assert download.length == (None if chunked else BIG)
        assert sum(len(chunk) for chunk in download.chunks) == BIG

    assert memory() < MAX_MEMORY


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 100\r\n\r\n" + b"x" * 99,
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-5\r\nhello\r\n",
    ],
    ids=lambda answer: answer[:40],
)
def test_a_download_that_is_cut_or_broken_raises_while_it_is_read(served, answer):
    def cut(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + answer)
        connection.shutdown(socket.SHUT_RDWR)

    with api(served(cut)).download("/file") as download, pytest.raises(UpstreamServerError):
        list(download.chunks)


@pytest.mark.parametrize(
    ("told", "length"),
    [(b"Content-Length: 2", 2), (b"Content-Length: \xb2", None), (b"Content-Length: " + b"9" * 5000, None)],
    ids=["number", "superscript", "absurd"],
)
def test_a_length_that_makes_no_sense_is_none(served, told, length):
    def answer(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n{}" % told)
        connection.shutdown(socket.SHUT_RDWR)

    with api(served(answer)).download("/file") as download:
        assert download.length == length
        assert b"".join(download.chunks) == b"{}"


def test_a_slow_reader_is_not_silent(served):
    piece = bytes(16 * 2**20)
    started = time.monotonic()

    told = api(served(lambda connection: swallow(connection, pause_s=0.05)), silence_timeout_s=2.0).send(
        "PUT", "/file", Payload(len(piece), lambda: iter([piece])), content_type="text/plain"
    )

    assert told["bytes"] == len(piece)
    assert time.monotonic() - started > 2.0


def test_a_server_that_stops_reading_is_silent(served):
    client = api(served(head_of), silence_timeout_s=0.2)

    with pytest.raises(UpstreamTimeoutError):
        client.send("PUT", "/file", payload(BIG), content_type="text/plain")


@pytest.mark.parametrize(("status", "kind"), [(b"413 Too Large", UpstreamError), (b"200 OK", UpstreamServerError)])
def test_an_answer_before_the_end_of_the_body_is_read_and_is_no_success(served, status, kind):
    heads: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        heads.append(head_of(connection)[0])
        connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}" % status)

    client = api(served(answer), silence_timeout_s=1.0)

    with pytest.raises(kind) as raised:
        client.send("PUT", "/file", payload(BIG), content_type="text/plain")

    assert raised.value.status == int(status[:3])
    with suppress(UpstreamError):
        client.get("/next")
    assert len(heads) == 2  # not on the connection that still expects the rest of the body


def test_an_error_is_told_in_time_however_slowly_it_drips(served):
    def answer(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 1000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    started = time.monotonic()

    with pytest.raises(UpstreamError), api(served(answer), call_timeout_s=0.3).download("/file"):
        pass

    assert time.monotonic() - started < 15  # all of it would take 20


def test_what_reading_a_payload_raises_passes_through(served):
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise ConnectionResetError("the disk is far away")

    with pytest.raises(ConnectionResetError, match="far away"):
        api(served(swallow)).send("PUT", "/file", Payload(10, broken), content_type="text/plain")


def get(url: str) -> Callable[[], Answer]:
    client = Client()
    return lambda: client.send("GET", f"{url}/x", timeout_s=5)


def post_line(url: str) -> Callable[[], Answer]:
    client = LineClient(Remote(url))
    return lambda: client.post("/x", b"", timeout_s=5)


@pytest.mark.parametrize("make", [get, post_line])
def test_a_child_process_opens_connections_of_its_own(served, make):
    asked: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        asked.append(connection)
        while True:
            head_of(connection)
            connection.sendall(OK)

    call = make(served(answer))
    call()
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            os._exit(0 if call().status == 200 else 1)
        finally:
            os._exit(2)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert call().body == b"{}"
    assert len(asked) == 2  # the parent's is still in use, and the child had another
