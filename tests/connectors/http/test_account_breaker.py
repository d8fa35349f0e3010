"""What opens the breaker of an account and what does not, seen from its management calls."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.connectors.contract.errors import OverloadedError, UpstreamError, UpstreamServerError
from app.connectors.contract.objects import Payload
from app.connectors.http.api import Api
from app.connectors.http.breaker import FAILURES
from tests.connectors.http.test_api import SECRET, Echo, api, read, zeros
from tests.connectors.http.test_breaker import HandClock
from tests.fakes.faults import Fault, html, overload
from tests.fakes.serving import ServedApp

LATER_S = 60.0


@pytest.fixture
def server() -> Iterator[ServedApp]:
    with ServedApp(Echo()) as served:
        yield served


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def fail(call: Callable[[], object], times: int = FAILURES) -> None:
    for _ in range(times):
        with pytest.raises(UpstreamError):
            call()


def broken(client: Api, server: ServedApp) -> None:
    """Open the breaker, and let the server be well again."""
    server.faults.add(Fault(status=500))
    fail(lambda: client.post("/thing", {}))
    server.faults.clear()
    server.forget()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(reset=True),
        Fault(latency_s=5.0),
        Fault(cut_at=3),
        html(status=200),
        overload(status=503),
    ],
    ids=["500", "reset", "silence", "cut", "page", "503"],
)
def test_failures_in_a_row_open_it_and_no_call_goes_out(server, fault):
    client = api(server, call_timeout_s=0.1) if fault.latency_s else api(server)
    server.faults.add(fault)
    fail(lambda: client.post("/thing", {}), FAILURES - 1)
    assert client.healthy

    fail(lambda: client.post("/thing", {}), 1)

    assert not client.healthy
    with pytest.raises(OverloadedError) as refused:
        client.get("/thing")
    assert (refused.value.code, refused.value.sent) == ("circuit_open", False)
    assert refused.value.retry_after_s > 0
    assert len(server.requests) == FAILURES


def test_a_provider_that_is_away_opens_it(server):
    client = api(server)
    server.stop()
    try:
        fail(lambda: client.get("/thing"))
    finally:
        server.start()

    assert not client.healthy
    assert "Connection refused" in client.breaker.last_error


def test_downloads_that_are_always_cut_open_it(server):
    client = api(server)
    server.faults.add(Fault(cut_at=1000))

    fail(lambda: read(client, "/bytes"))

    assert not client.healthy


def test_a_call_counts_once_with_its_repeats_and_tells_what_was_wrong(server):
    client = api(server)
    server.faults.add(Fault(status=500))

    for _ in range(FAILURES):
        assert client.healthy
        with pytest.raises(UpstreamServerError) as failed:
            client.get("/thing")
        assert failed.value.status == 500

    assert not client.healthy
    assert len(server.requests) == 3 * FAILURES


def test_our_own_errors_do_not_count(server):
    client = api(server)

    def unreadable() -> Iterator[bytes]:
        yield b"x"
        raise OSError(5, "the disk is broken")

    for _ in range(2 * FAILURES):
        with pytest.raises(OSError, match="disk"):
            client.send("PUT", "/thing", Payload(10, unreadable), content_type="text/plain")
        with pytest.raises(UpstreamServerError, match="length"):
            client.send("PUT", "/thing", Payload(100, lambda: iter([b"x"])), content_type="text/plain")

    assert client.healthy


def test_errors_of_others_while_a_download_is_read_do_not_count(server):
    client = api(server)
    other = UpstreamServerError(f"another account failed, {SECRET}", code="elsewhere")

    for _ in range(2 * FAILURES):
        with pytest.raises(UpstreamServerError) as raised, client.download("/bytes") as download:
            next(download.chunks)
            raise other
        assert raised.value is other

    assert client.breaker.last_error == ""


def test_a_probe_that_fails_on_our_side_does_not_lock_the_account_out(server, clock):
    client = api(server, clock=clock)
    broken(client, server)
    clock.at += LATER_S

    with pytest.raises(ValueError, match="printable"), client.download("/bytes", headers={"X": "é"}):
        pass

    assert client.get("/thing")["method"] == "GET"
    assert client.breaker.state == "closed"


def test_a_download_that_has_begun_closes_it(server, clock):
    client = api(server, clock=clock)
    broken(client, server)
    clock.at += LATER_S

    with client.download("/bytes"):
        assert client.breaker.state == "closed"


def test_a_refusal_closes_it(server, clock):
    client = api(server, clock=clock)
    broken(client, server)
    clock.at += LATER_S

    with pytest.raises(UpstreamError):
        client.get("/error/404")

    assert client.breaker.state == "closed"


def test_threads_that_come_back_together_send_one_call(server, clock):
    client = api(server, clock=clock)
    broken(client, server)
    clock.at += LATER_S
    server.latency_s = 0.5
    together = threading.Barrier(8)

    def call(_: int) -> str:
        together.wait()
        try:
            client.get("/thing")
        except OverloadedError as error:
            return error.code
        return "answered"

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(call, range(8)))

    assert sorted(told) == ["answered"] + ["circuit_open"] * 7
    assert len(server.requests) == 1
    assert client.healthy


def test_threads_share_a_client(server):
    client = api(server)

    def send(number: int) -> int:
        return int(client.send("PUT", "/thing", zeros(number), content_type="text/plain")["bytes"])

    def get(number: int) -> str:
        return str(client.get("/thing", query={"n": number})["query"])

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(send, range(200))) == list(range(200))
        server.forget()
        assert list(pool.map(get, range(200))) == [f"n={number}" for number in range(200)]
    assert server.accepted <= 16
