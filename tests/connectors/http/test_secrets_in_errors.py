"""Canaries: no error of a management call tells what opens the account, whatever the provider repeats of it."""

from collections.abc import Iterator

import orjson
import pytest

from app.connectors.contract.base import Target
from app.connectors.contract.errors import UpstreamError, UpstreamServerError
from app.connectors.http.api import fetch_url
from app.connectors.http.auth import TokenAuth
from tests.connectors.http.test_api import CALLS, SECRET, Echo, api, read
from tests.fakes.faults import Fault, overload
from tests.fakes.serving import ServedApp

TOKEN = "token-canary-9876543210"
LONGER = f"{TOKEN}-and-more"
SIGNATURE = "c2lnbmF0dXJl/canary+0123456789=="
QUOTED = "c2lnbmF0dXJl%2Fcanary%2B0123456789%3D%3D"
PIECES = (SECRET[:8], TOKEN[:8], "canary")


@pytest.fixture
def server() -> Iterator[ServedApp]:
    with ServedApp(Echo()) as served:
        yield served


def told(error: UpstreamError) -> str:
    """All that an error holds, and what a log would print of it."""
    fields = (error.message, error.code, error.param, error.request_id, error.body, error.args, error.__cause__)
    return f"{error!r} {error} {fields!r}"


def refusal(status: int) -> Fault:
    words = {name: f"{name} {SECRET} {LONGER} {TOKEN}" for name in ("message", "type", "param", "code")}
    return Fault(status=status, body=orjson.dumps({"error": words}), headers={"X-Request-Id": f"req {SECRET}"})


FAULTS = {
    "400": refusal(400),
    "401": refusal(401),
    "404": refusal(404),
    "429": refusal(429),
    "500": refusal(500),
    "503": refusal(503),
    "redirect": Fault(status=302, headers={"Location": f"http://x/?key={SECRET}"}, body=SECRET.encode()),
    "page": Fault(status=502, body=f"<html>{SECRET} {TOKEN}</html>".encode(), content_type="text/html"),
    "text": Fault(status=400, body=SECRET.encode(), content_type=f"text/{SECRET}"),
    "nonsense": Fault(status=200, body=f'{{"{SECRET}'.encode(), content_type=f"application/{SECRET}"),
    "cut": Fault(cut_at=1),
    "reset": Fault(reset=True),
    "silence": Fault(latency_s=5.0),
    "overload": overload(),
}
# A download takes these bytes as they are.
NO_ERROR = {("download", "nonsense")}
PATHS = [(call, fault) for call in CALLS for fault in FAULTS if (call, fault) not in NO_ERROR]


@pytest.mark.parametrize(("call", "fault"), PATHS, ids=lambda name: name)
def test_no_path_of_an_error_tells_a_secret(server, call, fault):
    server.faults.add(FAULTS[fault])
    client = api(server, call_timeout_s=0.3, secrets=[TOKEN, LONGER])

    with pytest.raises(UpstreamError) as raised:
        CALLS[call](client)

    for piece in PIECES:
        assert piece not in told(raised.value)
        assert piece not in client.breaker.last_error


def test_a_page_where_bytes_were_wanted_is_not_looked_into(server):
    server.faults.add(FAULTS["nonsense"])

    assert SECRET.encode() in read(api(server), "/thing")


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("how", ["post", "download"])
@pytest.mark.parametrize("cut", [300, 2400, 4096, 4800, 64 * 1024])
def test_a_cut_leaves_no_part_of_a_secret(server, status, how, cut):
    client = api(server, secrets=[SIGNATURE])
    for position in range(cut - len(SECRET), cut, 3):
        body = b"x" * position + SECRET.encode() + b"y" * 5000
        server.faults.clear()
        server.faults.add(Fault(status=status, body=body, content_type="text/plain"))
        client.breaker.succeeded()
        with pytest.raises(UpstreamError) as raised:
            CALLS[how](client)

        assert SECRET[:4] not in told(raised.value)


def test_no_text_is_as_long_as_a_provider_likes(server):
    fields = {name: name * 100_000 for name in ("message", "param", "code", "type")}
    server.faults.add(Fault(status=400, body=orjson.dumps({"error": fields})))

    with pytest.raises(UpstreamError) as raised:
        api(server).post("/thing", {})

    error = raised.value
    assert max(len(error.message), len(error.code), len(error.param or ""), len(error.body)) <= 4096


def test_secrets_that_come_later_are_hidden_too(server):
    tokens: list[str] = []
    client = api(server, secrets=tokens)
    tokens.append(TOKEN)
    server.faults.add(refusal(400))

    with pytest.raises(UpstreamError) as raised:
        client.get("/thing")

    assert TOKEN not in told(raised.value)


def test_what_gives_tokens_may_fail_without_telling(server):
    def token() -> str:
        raise UpstreamServerError(f"no token for {SECRET}", body=SECRET.encode(), sent=False)

    client = api(server, auth=TokenAuth(token))

    with pytest.raises(UpstreamError) as raised:
        client.post("/thing", {})

    assert SECRET not in told(raised.value)
    assert server.requests == []


@pytest.mark.parametrize(
    "spelling",
    [
        SIGNATURE.encode(),
        QUOTED.encode(),
        f"<Error><SignatureProvided>{SIGNATURE}</SignatureProvided></Error>".encode(),
        f"GET /v1/file?a=1&sig={QUOTED}".encode(),
    ],
)
@pytest.mark.parametrize("status", [302, 403, 500, 503])
def test_a_signed_url_stays_secret(server, spelling, status):
    server.faults.add(Fault(status=status, body=spelling, content_type="application/xml"))
    target = Target(provider="p", base_url="http://127.0.0.1:1", credential=SECRET)
    url = f"{server.url}/v1/file?a=1&sig={QUOTED}"

    with pytest.raises(UpstreamError) as raised, fetch_url(url, target=target, allowed_hosts=["127.0.0.1"]):
        pass

    assert "canary" not in told(raised.value)
    assert "authorization" not in server.requests[-1].headers
    assert len(server.requests) == 1
