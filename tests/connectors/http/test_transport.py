"""The client for management calls on a real socket: what goes out, what comes in, and what ends a call."""

import hashlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from requests.auth import AuthBase

from app.connectors.contract.errors import OverloadedError, UpstreamError, UpstreamServerError, UpstreamTimeoutError
from app.connectors.contract.objects import Payload
from app.connectors.http import connections
from app.connectors.http.auth import body_sha256
from app.connectors.http.transport import Client
from app.connectors.http.wire import MAX_IDLE_S
from tests.connectors.http.test_lines import echo, raw_server  # noqa: F401 - a fixture
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.support.waiting import until


@pytest.fixture
def server():
    with ServedApp(echo) as server:
        yield server


@pytest.fixture
def client():
    client = Client(connect_timeout_s=5)
    yield client
    client.close()


def payload(*pieces):
    return Payload(sum(map(len, pieces)), lambda: iter(pieces))


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("POST", b"", "0"),
        ("PUT", b"", "0"),
        ("PATCH", b"{}", "2"),
        ("DELETE", b"{}", "2"),
        ("DELETE", b"", None),
        ("GET", b"", None),
        ("PUT", payload(), "0"),
        ("PUT", payload(b"ab", b"", b"c"), "3"),
    ],
)
def test_any_method_tells_the_length_of_its_body(client, server, method, body, length):
    client.send(method, f"{server.url}/x", body, timeout_s=5)

    sent = server.requests[0]
    whole = body if isinstance(body, bytes) else b"".join(body.open())
    assert (sent.method, sent.body, sent.headers.get("content-length")) == (method, whole, length)
    assert "transfer-encoding" not in sent.headers


@pytest.mark.parametrize("path", ["/a%2Fb/~c//d", "/%7Ee", "/x?a=b%20c&d=%2B", "/a:b@c!$&'()*+,;="])
def test_a_url_goes_out_as_it_is(client, raw_server, path):  # noqa: F811
    kept = []
    client.send("GET", raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", kept) + path, timeout_s=5)

    assert kept[0].startswith(b"GET %s HTTP/1.1\r\n" % path.encode())


def test_a_header_goes_out_once_whatever_its_case(client, raw_server):  # noqa: F811
    kept = []
    url = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", kept)
    client.send("POST", f"{url}/x", b"a=1", headers={"content-type": "text/plain", "accept": "*/*"}, timeout_s=5)

    head = kept[0].lower()
    assert head.count(b"content-type: text/plain") == head.count(b"accept: ") == head.count(b"host: ") == 1


def test_a_header_cannot_smuggle_another(client, server):
    with pytest.raises(ValueError, match="X-Own"):
        client.send("GET", server.url, headers={"X-Own": "a\r\nX-Other: b"}, timeout_s=5)
    assert server.requests == []


def test_who_signs_sees_all_of_a_call_and_reads_a_streamed_body_before_it_goes(client, server):
    seen, opened = [], []

    class Signs(AuthBase):
        def __call__(self, request):
            seen.append((request.method, request.url, dict(request.headers), body_sha256(request.body)))
            request.headers["X-Signature"] = seen[-1][3][:8]
            return request

    def pieces():
        opened.append(True)
        return iter([b"ab", b"c"])

    client.send("GET", f"{server.url}/v1/models?a=b%20c", auth=Signs(), timeout_s=5)
    client.send("POST", f"{server.url}/v1/x", b"{}", auth=Signs(), timeout_s=5)
    client.send(
        "PUT", f"{server.url}/v1/y", Payload(3, pieces), headers={"Content-Type": "a/b"}, auth=Signs(), timeout_s=5
    )

    assert [(method, url.removeprefix(server.url)) for method, url, *_ in seen] == [
        ("GET", "/v1/models?a=b%20c"),
        ("POST", "/v1/x"),
        ("PUT", "/v1/y"),
    ]
    assert {headers["Host"] for _, _, headers, _ in seen} == {f"127.0.0.1:{server.port}"}
    assert [headers.get("Content-Type") for _, _, headers, _ in seen] == [None, None, "a/b"]
    assert seen[2][3] == hashlib.sha256(b"abc").hexdigest()
    assert server.requests[2].body == b"abc" and len(opened) == 2
    assert [request.headers["x-signature"] for request in server.requests] == [digest[:8] for *_, digest in seen]


def test_what_may_be_repeated_shares_connections(client, server):
    for method in ("GET", "DELETE", "GET"):
        client.send(method, f"{server.url}/x", timeout_s=5)

    assert server.accepted == 1


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_makes_something_meets_no_stale_connection(client, server, method):
    client.send("GET", f"{server.url}/x", timeout_s=5)
    client.send(method, f"{server.url}/x", b"{}", timeout_s=5)
    assert server.accepted == 2

    client.send("GET", f"{server.url}/x", timeout_s=5)  # which may use what the other left
    assert server.accepted == 2


def test_a_download_meets_no_stale_connection(client, server):
    client.send("GET", f"{server.url}/x", timeout_s=5)
    with client.stream(f"{server.url}/x", timeout_s=5, silence_s=5) as (_, pieces):
        assert b"".join(pieces) == b"{}"

    assert server.accepted == 2


def test_a_connection_closed_while_idle_is_replaced(client, server):
    client.send("GET", f"{server.url}/x", timeout_s=5)
    server.stop()
    server.start()

    assert client.send("GET", f"{server.url}/x", timeout_s=5).status == 200


def test_an_old_idle_connection_is_not_trusted(client, server, monkeypatch):
    now = time.monotonic
    client.send("GET", f"{server.url}/x", timeout_s=5)
    monkeypatch.setattr(connections.time, "monotonic", lambda: now() + MAX_IDLE_S)
    client.send("GET", f"{server.url}/x", timeout_s=50)

    assert server.accepted == 2


def test_sixty_four_threads_share_one_client(client, server):
    server.latency_s = 0.02
    bodies = [b'{"n":%d}' % n for n in range(256)]
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda body: client.send("DELETE", server.url, body, timeout_s=10).body, bodies))

    assert answers == bodies
    assert server.accepted <= 64


def test_cookies_go_nowhere(client, server):
    server.faults.add(Fault(headers={"Set-Cookie": "session=canary; Path=/"}))
    for _ in range(2):
        client.send("GET", f"{server.url}/x", timeout_s=5)

    assert all("cookie" not in request.headers for request in server.requests)


def test_nothing_of_the_environment_is_used(client, server, monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    assert client.send("GET", f"{server.url}/x", timeout_s=5).status == 200
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("location", ["/elsewhere", "http://[", "//", "http://127.0.0.1:1/"])
def test_a_redirect_is_an_answer_like_any_other(client, server, location):
    server.faults.add(Fault(status=302, headers={"Location": location}, body=b"There."))

    answer = client.send("GET", f"{server.url}/x", timeout_s=5)

    assert (answer.status, answer.headers["location"], answer.body) == (302, location, b"There.")
    assert len(server.requests) == 1


def test_a_refused_connection_is_overload_and_nothing_was_sent(client, server):
    server.stop()
    try:
        with pytest.raises(OverloadedError, match="Connection refused") as refused:
            client.send("POST", server.url, b"{}", timeout_s=5)
    finally:
        server.start()

    assert refused.value.sent is False


def test_an_unknown_name_is_not_overload(client):
    with pytest.raises((UpstreamServerError, OverloadedError), match="cannot be resolved") as unknown:
        client.send("POST", "http://nowhere.invalid/", b"{}", timeout_s=5)

    assert unknown.value.sent is False


def test_a_server_that_never_accepts_is_a_connect_timeout():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]  # fill the backlog, so that the next connection gets no answer
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(UpstreamTimeoutError, match=r"longer than 0\.1 s") as late:
            Client(connect_timeout_s=0.1).send("POST", url, b"{}", timeout_s=5)
        for filler in fillers:
            filler.close()

    assert (late.value.code, late.value.sent) == ("connect_timeout", False)


def test_no_time_left_sends_nothing(client, server):
    with pytest.raises(UpstreamTimeoutError) as late:
        client.send("POST", server.url, b"{}", timeout_s=0)

    assert late.value.sent is False
    assert server.requests == []


@pytest.mark.parametrize("fault", [Fault(reset=True), Fault(hang_up=True)], ids=["reset", "hang up"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_broken_connection_is_not_repeated(client, server, method, fault):
    server.faults.add(fault)

    with pytest.raises(UpstreamServerError, match="closed the connection") as broken:
        client.send(method, server.url, b"{}", timeout_s=5)

    assert broken.value.sent is True
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [Fault(cut_at=3), Fault(length_off=10, cut_at=99)], ids=["cut", "length"])
def test_a_cut_answer_is_an_error(client, server, fault):
    server.faults.add(fault)

    with pytest.raises(UpstreamServerError, match="cut short"):
        client.send("POST", server.url, b'{"a":12345}', timeout_s=5)


@pytest.mark.parametrize(
    "fault",
    [Fault(latency_s=30), Fault(drip_s=0.05), Fault(drip_s=0.05, chunked=True)],
    ids=["silent", "drip", "chunked drip"],
)
def test_the_deadline_bounds_the_whole_answer(client, server, fault):
    server.faults.add(fault)

    with pytest.raises(UpstreamTimeoutError) as late:
        client.send("POST", server.url, b'{"a":12345}', timeout_s=0.2)

    assert (late.value.code, late.value.sent) == ("timeout", True)


def drips(answer):
    """A server that sends `answer`, then one byte after the other, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # the client leaves
            connection.recv(65536)
            connection.sendall(answer)
            while True:
                connection.sendall(b"x")
                time.sleep(0.02)  # how slow the server is

    thread = threading.Thread(target=run)
    thread.start()
    return listener, thread


def test_a_body_without_a_length_that_the_deadline_ended_is_not_taken_for_complete(client):
    listener, thread = drips(b"HTTP/1.1 200 OK\r\n\r\n")
    with listener, pytest.raises(UpstreamTimeoutError):
        client.send("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/x", timeout_s=0.2)
    thread.join()


def test_a_call_can_be_cancelled_from_another_thread(client, monkeypatch):
    calls = []

    class Noted(connections.Call):
        def use(self, sock):
            super().use(sock)
            calls.append(self)

    monkeypatch.setattr("app.connectors.http.transport.Call", Noted)
    listener, thread = drips(b"HTTP/1.1 200 OK\r\n\r\n")
    errors = []

    def call():
        try:
            client.send("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/x", timeout_s=60)
        except UpstreamError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: calls)
    calls[0].cancel()
    caller.join(10)
    listener.close()
    thread.join()

    assert [error.code for error in errors] == ["cancelled"]


@pytest.mark.parametrize("fault", [Fault(), Fault(chunked=True)], ids=["length", "chunked"])
def test_an_answer_over_the_limit_is_an_error(client, server, fault):
    server.faults.add(fault)

    with pytest.raises(UpstreamServerError) as large:
        client.send("POST", server.url, b'"%s"' % (b"x" * 200), timeout_s=5, max_bytes=100)

    assert large.value.code == "answer_too_large"
    assert client.send("POST", server.url, b"{}", timeout_s=5, max_bytes=100).body == b"{}"


def test_the_length_of_what_a_head_describes_is_no_size_of_an_answer(client, raw_server):  # noqa: F811
    url = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")

    assert client.send("HEAD", url, timeout_s=5, max_bytes=100).headers["content-length"] == "5000000"


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
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 15 + b"\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}",
    ],
    ids=lambda answer: answer[:60],
)
def test_hostile_answers_are_errors_and_not_crashes(client, raw_server, answer):  # noqa: F811
    url = raw_server(answer)

    with pytest.raises(UpstreamServerError):
        client.send("POST", url, b"{}", timeout_s=5)
    with pytest.raises(UpstreamServerError), client.stream(url, timeout_s=5, silence_s=5) as (_, pieces):
        list(pieces)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=lambda answer: answer[:60],
)
def test_answers_of_old_servers_are_read(client, raw_server, answer):  # noqa: F811
    assert client.send("POST", raw_server(answer), b"{}", timeout_s=5).body == b"{}"


def test_an_early_refusal_of_a_large_body_is_read_or_hidden_by_a_reset(client, raw_server):  # noqa: F811
    url = raw_server(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    # The server closes with unread bytes, so the kernel may reset before the answer is read.
    try:
        assert client.send("POST", url, payload(*[bytes(64 * 1024)] * 320), timeout_s=5).status == 413
    except UpstreamServerError as broken:
        assert broken.sent is True


def test_a_payload_may_make_calls_of_its_own(client, server):
    def pieces():
        for _ in range(3):
            yield client.send("POST", f"{server.url}/inner", b"ab", timeout_s=5).body

    assert client.send("PUT", f"{server.url}/outer", Payload(6, pieces), timeout_s=5).body == b"ababab"


def test_a_broken_pipe_of_the_payload_is_not_taken_for_the_servers(client, server):
    def pieces():
        yield b"x"
        raise BrokenPipeError(32, "the store is away")

    with pytest.raises(BrokenPipeError, match="away"):
        client.send("PUT", f"{server.url}/x", Payload(10, pieces), timeout_s=0.3)
