"""Clients that are slow, or send nothing: they hold no thread, and each ends with a reason."""

import io
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import openai
import pytest

from app.services.access import keys
from app.services.gateway import Gateway
from tests.e2e.hostile.raw import CHUNKED, CUT_FORM, FORM, JSON, answers, exchange, head
from tests.support.gunicorn import Gunicorn
from tests.support.waiting import until

pytestmark = pytest.mark.one_database

NOBODY = "sk-bf-0011223344556677-" + "x" * 43
HALF = b"GET /healthz HTTP/1.1\r\nHost: gate"
BODY = "Content-Length: 100"
# What somebody without a key may send and then wait, and whether an answer comes while others still send.
STALLED = {
    "nothing": (b"", False),
    "half a line": (b"GET /v1/fi", False),
    "half a head": (HALF, False),
    "a line too many": (b"\r\n", False),
    "half a head behind a request": (head(NOBODY, "GET", "/v1/files") + HALF, True),
    "no body behind a bad key": (head(NOBODY, "POST", "/v1/files", FORM, BODY), True),
    "no body behind an open route": (head("", "GET", "/healthz", BODY), True),
    "no chunk behind an open route": (head("", "GET", "/readyz", CHUNKED), True),
    "no body for no route": (head(NOBODY, "POST", "/nothing", BODY), True),
    "a body to be asked for": (head(NOBODY, "POST", "/v1/files", FORM, BODY, "Expect: 100-continue"), True),
}


@pytest.fixture
def key(gateway: Gateway) -> str:
    return keys.create(gateway, project="alpha", name="raw").key


@contextmanager
def stalled(web: Gunicorn, data: bytes, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        connections = [stack.enter_context(web.connect()) for _ in range(count)]
        for connection in connections:
            connection.sendall(data)
        yield connections


def test_strangers_that_wait_hold_no_thread(environment: dict[str, str]) -> None:
    """With 4 threads, and deadlines that end after the test would have failed."""
    patient = {"BATCHGATE_CLIENT_HEAD_SECONDS": "600", "BATCHGATE_CLIENT_SILENCE_SECONDS": "600"}
    with Gunicorn({**environment, **patient}) as web, ExitStack() as stack:
        for data, is_answered in STALLED.values():
            connections = stack.enter_context(stalled(web, data, 6))
            assert exchange(web, head("", "GET", "/healthz"))[0][0] == 200
            for connection in connections if is_answered else []:
                assert connection.recv(12).startswith(b"HTTP/1.1 ")
        assert "Traceback" not in web.log


def test_slow_bodies_end_when_others_wait_for_their_threads(environment: dict[str, str], key: str) -> None:
    """A project whose uploads trickle takes all threads only until somebody else needs one."""
    patient = {"BATCHGATE_CLIENT_SILENCE_SECONDS": "600", "BATCHGATE_CLIENT_BYTES_PER_SECOND": "0"}
    slow = head(key, "POST", "/v1/files", FORM, "Content-Length: 100000") + CUT_FORM
    with Gunicorn({**environment, **patient}) as web, stalled(web, slow, 4) as connections:
        with web.connect() as connection:
            connection.settimeout(60)
            connection.sendall(head("", "GET", "/healthz", "Connection: close"))
            assert [status for status, _ in answers(connection)] == [200]
        ended, _, _ = select.select(connections, [], [], 30)
        assert answers(ended[0])[0][0] == 408
        assert "Traceback" not in web.log


def test_clients_that_stop_or_trickle_end_with_a_reason(environment: dict[str, str], key: str) -> None:
    """Those that trickle send each byte long before the limit on silence."""
    limits = {"BATCHGATE_CLIENT_HEAD_SECONDS": "1", "BATCHGATE_CLIENT_BYTES_PER_SECOND": "1000000"}
    stopped = [
        HALF,
        head(key, "POST", "/v1/containers", JSON, BODY) + b'{"name"',
        head(key, "POST", "/v1/files", FORM, CHUNKED) + b"fff\r\n" + CUT_FORM,
    ]
    trickling = [HALF, head(key, "POST", "/v1/containers", JSON, "Content-Length: 100000") + b'{"name": "']
    with (
        Gunicorn({**environment, **limits, "BATCHGATE_CLIENT_SILENCE_SECONDS": "1.5"}) as web,
        ExitStack() as stack,
    ):
        connections = [stack.enter_context(web.connect()) for _ in [*stopped, *trickling]]
        for connection, data in zip(connections, [*stopped, *trickling], strict=True):
            connection.sendall(data)
        silent = stack.enter_context(web.connect())
        waiting = set(connections[len(stopped) :])
        ends = time.monotonic() + 60
        while waiting and time.monotonic() < ends:
            answered, _, _ = select.select(waiting, [], [], 0.05)
            waiting -= set(answered)
            for connection in waiting:
                connection.sendall(b"x")
        assert [[status for status, _ in answers(one)] for one in connections] == [[408]] * 5
        assert answers(silent) == []
        assert "Traceback" not in web.log
        assert web.log.count('"event":"request.unreadable"') == 2


def test_a_full_process_gives_up_those_that_send_nothing(environment: dict[str, str]) -> None:
    small = {"GUNICORN_CMD_ARGS": "--worker-connections 8", "BATCHGATE_CLIENT_HEAD_SECONDS": "600"}
    with Gunicorn({**environment, **small}) as web, stalled(web, HALF, 30) as connections:
        assert exchange(web, head("", "GET", "/healthz"))[0][0] == 200
        assert connections[0].recv(1) == b""  # the oldest one went


def test_a_wrong_key_is_refused_before_the_body_is_asked_for_and_while_it_comes(
    environment: dict[str, str], key: str
) -> None:
    expects = ("Expect: 100-continue", JSON, "Content-Length: 13")
    with Gunicorn(environment) as web:
        with web.connect() as connection:
            connection.sendall(head(NOBODY, "POST", "/v1/containers", *expects))
            assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
        with web.connect() as connection:
            connection.sendall(head(key, "POST", "/v1/containers", *expects))
            assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b'{"name": "c"}')
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        client = openai.OpenAI(api_key=NOBODY, base_url=f"http://127.0.0.1:{web.port}/v1", max_retries=0)
        for size in (1, 1, 1, 20):  # the small ones are sent before the answer comes, which says `close`
            with pytest.raises(openai.AuthenticationError) as refused:
                client.files.create(file=("a.bin", io.BytesIO(bytes(size * 2**20))), purpose="user_data")
            assert refused.value.code == "invalid_api_key"
        until(lambda: web.log.count('"event":"file_upload"') == 4)
        assert "Traceback" not in web.log
