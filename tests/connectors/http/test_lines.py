"""The fast path for lines against a server that misbehaves on a real socket."""

import gc
import hashlib
import os
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from requests.auth import AuthBase

from app.connectors.contract.errors import OverloadedError, UpstreamServerError, UpstreamTimeoutError
from app.connectors.http import reading
from app.connectors.http.auth import TokenAuth, bearer, body_sha256
from app.connectors.http.lines import LineClient
from app.connectors.http.remote import Remote
from app.connectors.http.wire import MAX_IDLE_S
from app.lib.threads.cuts import Cut, watched
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.support.waiting import until


def echo(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Request-Id", "req_1")])
    return [environ["wsgi.input"].read() or b"{}"]


@pytest.fixture
def server():
    with ServedApp(echo) as server:
        yield server


@pytest.fixture
def client(server):
    client = LineClient(Remote(server.url), connect_timeout_s=5)
    yield client
    client.close()


@pytest.fixture
def raw_server():
    """Answers every connection with fixed bytes, then closes: `raw_server(b"...") -> url`."""
    listeners = []

    def serve(answer: bytes, kept: list[bytes] | None = None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    received = _small_request(connection)
                    if kept is not None:
                        kept.append(received)
                    connection.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _small_request(connection: socket.socket) -> bytes:
    # All of it: closing a socket with unread bytes resets it, and the answer may be lost. A large body stays unread.
    received = b""
    while b"\r\n\r\n" not in received and (piece := connection.recv(65536)):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    declared = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    missing = int(declared[1]) - len(body) if declared else 0
    while 0 < missing <= 65536 and (piece := connection.recv(missing)):
        received += piece
        missing -= len(piece)
    return received


def test_post_sends_the_body_and_gives_the_answer(client, server):
    answer = client.post("/x", b'{"a":1}', timeout_s=5)

    assert (answer.status, answer.body, answer.request_id) == (200, b'{"a":1}', "req_1")
    sent = server.requests[0]
    assert (sent.method, sent.path, sent.headers["content-type"]) == ("POST", "/x", "application/json")
    assert sent.headers["host"] == f"127.0.0.1:{server.port}"


def test_headers_and_the_path_of_the_base_url_are_sent(server):
    client = LineClient(Remote(f"{server.url}/base/", auth=bearer("k"), headers={"X-More": "a"}))
    client.post("/models", b"{}", headers={"X-Own": "b"}, timeout_s=5)
    client.close()

    assert server.requests[0].path == "/base/models"
    headers = server.requests[0].headers
    assert (headers["authorization"], headers["x-more"], headers["x-own"]) == ("Bearer k", "a", "b")


def test_what_changes_with_time_is_asked_for_with_each_line(server):
    tokens = iter(["first", "second"])
    client = LineClient(Remote(server.url, auth=TokenAuth(lambda: next(tokens)), headers={"X-More": "a"}))
    for _ in range(2):
        client.post("/x", b"{}", timeout_s=5)
    client.close()

    headers = [request.headers for request in server.requests]
    assert [told["authorization"] for told in headers] == ["Bearer first", "Bearer second"]
    assert {(told["x-more"], told["content-type"]) for told in headers} == {("a", "application/json")}
    assert server.accepted == 1


def test_who_signs_sees_all_of_a_line(server):
    seen = []

    class Signs(AuthBase):
        def __call__(self, request):
            seen.append((request.method, request.url, dict(request.headers), body_sha256(request.body)))
            request.headers["X-Signature"] = "s"
            return request

    client = LineClient(Remote(f"{server.url}/base", auth=Signs()))
    client.post("/v1/x?a=b%20c", b"{}", timeout_s=5)
    client.close()

    [(method, url, headers, digest)] = seen
    assert (method, url) == ("POST", f"{server.url}/base/v1/x?a=b%20c")
    assert (headers["Host"], headers["Content-Type"]) == (f"127.0.0.1:{server.port}", "application/json")
    assert digest == hashlib.sha256(b"{}").hexdigest()
    assert server.requests[0].headers["x-signature"] == "s"


def test_a_header_cannot_smuggle_another():
    with pytest.raises(ValueError, match="Authorization"):
        LineClient(Remote("http://x", auth=bearer("a\r\nX-Other: b")))


def test_connections_are_kept(client, server):
    for _ in range(5):
        client.post("/x", b"{}", timeout_s=5)

    assert server.accepted == 1


def test_sixty_four_threads_share_one_client(server):
    server.latency_s = 0.05
    client = LineClient(Remote(server.url), max_idle=64)
    bodies = [b'{"n":%d}' % n for n in range(256)]
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda body: client.post("/x", body, timeout_s=10).body, bodies))
    client.close()

    assert answers == bodies
    assert server.accepted <= 64


def test_a_connection_closed_while_idle_is_replaced(client, server):
    client.post("/x", b"{}", timeout_s=5)
    server.stop()
    server.start()

    assert client.post("/x", b"{}", timeout_s=5).status == 200


def test_a_large_body_goes_both_ways(client):
    body = b'"%s"' % (b"x" * 5_000_000)

    assert client.post("/x", body, timeout_s=30).body == body


def test_chunked_answers_are_joined(client, server):
    server.faults.add(Fault(chunked=True))

    assert client.post("/x", b'{"a":[1,2,3]}', timeout_s=5).body == b'{"a":[1,2,3]}'
    assert client.post("/x", b'{"b":1}', timeout_s=5).body == b'{"b":1}'
    assert server.accepted == 1


def test_every_status_is_an_answer_and_redirects_are_not_followed(client, server):
    server.faults.add(Fault(status=302, headers={"Location": "/elsewhere"}))

    assert client.post("/x", b"{}", timeout_s=5).status == 302
    assert len(server.requests) == 1


def test_proxies_of_the_environment_are_not_used(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client = LineClient(Remote(server.url))

    assert client.post("/x", b"{}", timeout_s=5).status == 200
    client.close()


def test_a_refused_connection_is_overload_and_nothing_was_sent(client, server):
    server.stop()
    try:
        with pytest.raises(OverloadedError, match="Connection refused") as refused:
            client.post("/x", b"{}", timeout_s=5)
    finally:
        server.start()

    assert refused.value.sent is False


def test_an_unknown_name_is_not_overload():
    with pytest.raises((UpstreamServerError, OverloadedError), match="cannot be resolved") as unknown:
        LineClient(Remote("http://nowhere.invalid")).post("/x", b"{}", timeout_s=5)

    assert unknown.value.sent is False


@pytest.mark.parametrize("fault", [Fault(reset=True), Fault(hang_up=True)], ids=["reset", "hang up"])
def test_a_broken_connection_is_not_repeated(client, server, fault):
    server.faults.add(fault)

    with pytest.raises(UpstreamServerError, match="closed the connection") as broken:
        client.post("/x", b"{}", timeout_s=5)

    assert broken.value.sent is True
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [Fault(cut_at=3), Fault(length_off=10, cut_at=99)], ids=["cut", "length"])
def test_a_cut_answer_is_an_error(client, server, fault):
    server.faults.add(fault)

    with pytest.raises(UpstreamServerError, match="cut short"):
        client.post("/x", b'{"a":12345}', timeout_s=5)


@pytest.mark.parametrize(
    "fault",
    [Fault(latency_s=30), Fault(drip_s=0.05), Fault(drip_s=0.05, chunked=True)],
    ids=["silent", "drip", "chunked drip"],
)
def test_the_deadline_bounds_the_whole_answer(client, server, fault):
    server.faults.add(fault)

    with pytest.raises(UpstreamTimeoutError) as late:
        client.post("/x", b'{"a":12345}', timeout_s=0.2)

    assert (late.value.code, late.value.sent) == ("timeout", True)


def test_no_time_left_sends_nothing(client, server):
    with pytest.raises(UpstreamTimeoutError) as late:
        client.post("/x", b"{}", timeout_s=0)

    assert late.value.sent is False
    assert server.requests == []


def test_a_server_that_never_accepts_is_a_connect_timeout():
    listener = socket.socket()
    fillers = []
    with listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fill the backlog, so that the next connection gets no answer
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        client = LineClient(Remote(f"http://127.0.0.1:{listener.getsockname()[1]}"), connect_timeout_s=0.1)
        with pytest.raises(UpstreamTimeoutError, match=r"longer than 0\.1 s") as late:
            client.post("/x", b"{}", timeout_s=5)
        for filler in fillers:
            filler.close()

    assert (late.value.code, late.value.sent) == ("connect_timeout", False)


@pytest.mark.parametrize("fault", [Fault(), Fault(chunked=True)], ids=["length", "chunked"])
def test_an_answer_over_the_limit_is_an_error(server, fault):
    server.faults.add(fault)
    client = LineClient(Remote(server.url), max_answer_bytes=100)

    with pytest.raises(UpstreamServerError) as large:
        client.post("/x", b'"%s"' % (b"x" * 200), timeout_s=5)

    assert large.value.code == "answer_too_large"
    assert client.post("/x", b"{}", timeout_s=5).body == b"{}"
    client.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 15 + b"\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
    ],
    ids=lambda answer: answer[:60],
)
def test_hostile_answers_are_errors_and_not_crashes(raw_server, answer):
    client = LineClient(Remote(raw_server(answer)))

    with pytest.raises(UpstreamServerError):
        client.post("/x", b"{}", timeout_s=5)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    ],
    ids=lambda answer: answer[:60],
)
def test_answers_of_old_servers_are_read(raw_server, answer):
    client = LineClient(Remote(raw_server(answer)))

    assert client.post("/x", b"{}", timeout_s=5).body == b"{}"
    client.close()


def test_an_early_refusal_of_a_large_body_is_read(raw_server):
    client = LineClient(
        Remote(raw_server(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"))
    )

    # The server closes with unread bytes, so the kernel may reset before the answer is read.
    try:
        assert client.post("/x", b"x" * 20_000_000, timeout_s=5).status == 413
    except UpstreamServerError as broken:
        assert broken.sent is True


def test_a_fork_does_not_share_connections(client, server):
    client.post("/x", b"{}", timeout_s=5)
    client._pid = -1  # as in a child process

    client.post("/x", b"{}", timeout_s=5)

    assert server.accepted == 2
    assert client._pid == os.getpid()


def test_an_old_idle_connection_is_not_trusted(client, server):
    client.post("/x", b"{}", timeout_s=5)
    [(since, connection)] = client._idle
    client._idle[:] = [(since - MAX_IDLE_S, connection)]

    client.post("/x", b"{}", timeout_s=5)

    assert server.accepted == 2


def test_a_client_that_is_dropped_closes_its_connections(server):
    client = LineClient(Remote(server.url))
    client.post("/x", b"{}", timeout_s=5)
    [(_, connection)] = client._idle

    del client
    gc.collect()

    assert connection.sock is None


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_answer_asks_for_room_before_it_is_read_and_a_small_one_does_not(server, client, chunked):
    server.faults.add(Fault(chunked=chunked))
    asked, free = [], [True]

    def room(size, timeout_s):
        asked.append(size)
        return free[0]

    assert client.post("/x", b'"small"', timeout_s=5, room=room).body == b'"small"'
    assert asked == []
    large = b'"%s"' % (b"x" * 200_000)
    assert client.post("/x", large, timeout_s=5, room=room).body == large
    assert sum(asked) >= len(large) - reading.FREE_BYTES
    free[0] = False
    with pytest.raises(UpstreamTimeoutError, match="no memory free"):
        client.post("/x", large, timeout_s=5, room=room)
    assert client.post("/x", b"{}", timeout_s=5).body == b"{}"


def test_a_call_can_be_cut_from_another_thread_at_any_time(server, client):
    client.post("/", b"{}", timeout_s=5)  # a kept connection, too
    server.faults.add(Fault(hold_s=60))
    for cut_first in (True, False):
        cut = Cut()
        before = server.accepted

        def call(cut=cut):
            with watched(cut), pytest.raises(UpstreamServerError) as caught:
                client.post("/", b'{"a": 1}', timeout_s=50)
            return caught.value.code

        if cut_first:
            cut.cut()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(call)
            if not cut_first:
                until(lambda: server.in_flight == 1)
                cut.cut()
            assert answer.result(20) == "connection_broken"
        until(lambda: server.in_flight == 0)
        assert server.accepted <= before + 1


def test_a_cut_that_comes_too_late_leaves_the_connection_to_the_next_call(server, client):
    cut = Cut()
    with watched(cut):
        client.post("/", b"{}", timeout_s=5)
    cut.cut()
    assert client.post("/", b"{}", timeout_s=5).is_success
    assert server.accepted == 1


@pytest.mark.parametrize(
    "head", [b"Content-Length: 2\r\nContent-Length: 3", b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity"]
)
def test_an_answer_with_two_ends_is_an_error(raw_server, head):
    client = LineClient(Remote(raw_server(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n{}")))

    with pytest.raises(UpstreamServerError):
        client.post("/x", b"{}", timeout_s=5)


def test_headers_are_read_in_any_case_and_over_several_lines(raw_server):
    head = b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 200 OK\nX-REQUEST-ID:  r1 \r\nLong: a\r\n  b\r\nOdd\r\n"
    client = LineClient(Remote(raw_server(head + b"content-LENGTH: 2\r\n\r\n{}")))

    answer = client.post("/x", b"{}", timeout_s=5)

    assert (answer.request_id, answer.headers["long"], answer.body) == ("r1", "a b", b"{}")
