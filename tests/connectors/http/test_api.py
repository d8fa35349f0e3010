"""Management calls against a server that spoils its answers: what is repeated, what is not, what nobody gets to see."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from requests.auth import AuthBase
from werkzeug import Request, Response

from app.connectors.contract.base import Target
from app.connectors.contract.errors import (
    MissingError,
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamServerError,
    UpstreamTimeoutError,
)
from app.connectors.contract.objects import Payload
from app.connectors.http.api import Api, fetch_url
from app.connectors.http.auth import TokenAuth, bearer
from app.connectors.http.redaction import Redaction
from app.connectors.http.remote import Remote
from app.connectors.http.spool import spooled_lines
from app.lib.clock import Clock
from tests.connectors.http.test_breaker import HandClock
from tests.fakes.faults import Fault, html, overload
from tests.fakes.serving import ServedApp

SECRET = "sk-canary-0123456789"
SIZE = 8 * 2**20


class Echo:
    """Tells what it got; `/bytes` and `/lines` are downloads, `/empty` and `/error/<status>` what they say."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        response = self.answer(request)
        request.close()
        return response(environ, start_response)

    def answer(self, request: Request) -> Response:
        if request.path == "/v1/bytes":
            return Response(b"x" * SIZE)
        if request.path == "/v1/lines":
            return Response(b'{"a":1}\n\n{"b":2}')
        if request.path == "/v1/empty":
            return Response(b"", 204)
        if request.path.startswith("/v1/error/"):
            key = request.headers["Authorization"]
            error = {"message": f"No, {key}.", "type": "t", "param": "p", "code": f"c {key}"}
            return Response(orjson.dumps({"error": error}), int(request.path.rpartition("/")[2]))
        file = request.files.get("file")
        told = {
            "method": request.method,
            "query": request.query_string.decode(),
            "fields": dict(request.form),
            "filename": file.filename if file else None,
            "bytes": len(file.read()) if file else len(request.get_data()),
            "length": request.headers.get("Content-Length"),
        }
        return Response(orjson.dumps(told), content_type="application/json")


@pytest.fixture
def server() -> Iterator[ServedApp]:
    with ServedApp(Echo()) as served:
        yield served


def api(
    server: ServedApp,
    *,
    call_timeout_s: float = 1.0,
    secrets: Sequence[str] = (),
    auth: AuthBase | None = None,
    clock: Clock | None = None,
) -> Api:
    times = {"call_timeout_s": call_timeout_s, "silence_timeout_s": 0.3, "connect_timeout_s": 1.0}
    target = Target(provider="p", base_url=server.base_url, credential=SECRET, retry_pause_s=0.001, **times)
    return Api(target, Remote(server.base_url, Redaction(SECRET, secrets), auth or bearer(SECRET)), clock=clock)


def zeros(size: int) -> Payload:
    piece = bytes(64 * 1024)
    return Payload(size, lambda: iter([piece] * (size // len(piece)) + [bytes(size % len(piece))]))


CALLS = {
    "get": lambda api: api.get("/thing"),
    "delete": lambda api: api.delete("/thing"),
    "post": lambda api: api.post("/thing", {"a": 1}),
    "upload": lambda api: api.upload("/thing", fields=[], file_field="file", filename="a", payload=zeros(10)),
    "send": lambda api: api.send("PUT", "/thing", zeros(10), content_type="text/plain"),
    "download": lambda api: read(api, "/thing"),
}
EACH = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
ONCE = pytest.mark.parametrize("call", [CALLS[name] for name in ("post", "upload", "send")])
REPEATED = pytest.mark.parametrize("call", [CALLS[name] for name in ("get", "delete")])


def read(api: Api, path: str) -> bytes:
    with api.download(path) as download:
        return b"".join(download.chunks)


def test_json_goes_out_and_comes_in(server):
    told = api(server).post("/thing", {"a": 1}, query={"x": "1 2", "y": None})

    assert (told["method"], told["query"], told["bytes"]) == ("POST", "x=1%202", 7)
    assert api(server).delete("/empty") is None


def test_a_post_may_be_asked_for_its_headers(server):
    server.faults.add(Fault(status=201, body=b"no JSON", headers={"Location": "there"}, times=1))
    answer = api(server).post_answer("/thing", {"a": 1}, headers={"X-More": "b"})

    assert (answer.status, answer.headers["location"], answer.body) == (201, "there", b"no JSON")
    assert (server.requests[0].json, server.requests[0].headers["x-more"]) == ({"a": 1}, "b")
    server.faults.add(Fault(status=400, body=b'{"error": {"message": "No."}}'))
    with pytest.raises(RefusedError):
        api(server).post_answer("/thing")
    assert len(server.requests) == 2


def test_a_form_streams_with_its_length_and_odd_names(server):
    told = api(server).upload(
        "/thing",
        fields=[("purpose", "batch"), ("expires_after[seconds]", "3600")],
        file_field="file",
        filename='räum "1"\r\n.jsonl',
        payload=zeros(1_000_001),
    )

    assert told["bytes"] == 1_000_001
    assert int(told["length"]) > 1_000_001
    assert told["fields"] == {"purpose": "batch", "expires_after[seconds]": "3600"}
    assert told["filename"] == 'räum "1"%0D%0A.jsonl'


@EACH
@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (overload(retry_after="7"), OverloadedError, 429),
        (overload(status=503, retry_after="7"), OverloadedError, 503),
        (Fault(status=500, body=b'{"error":{"message":"oops"}}'), UpstreamServerError, 500),
        (Fault(reset=True), UpstreamServerError, None),
        (Fault(hang_up=True), UpstreamServerError, None),
        (Fault(latency_s=2.0), UpstreamTimeoutError, None),
        (Fault(status=302, headers={"Location": "http://elsewhere/"}), UpstreamServerError, 302),
        (Fault(status=404, body=b'{"detail":"Not Found"}'), MissingError, 404),
        (Fault(status=422, body=b'{"detail":[{"loc":["body","x"],"msg":"bad"}]}'), RefusedError, 422),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_goes_wrong_is_told_as_what_it_is(server, call, fault, kind, status):
    server.faults.add(fault)

    with pytest.raises(kind) as raised:
        call(api(server))

    assert type(raised.value) is kind
    assert raised.value.status == status
    assert raised.value.message
    if kind is OverloadedError:
        assert raised.value.retry_after_s == 7.0


@EACH
@pytest.mark.parametrize("fault", [Fault(cut_at=5), Fault(cut_at=5, chunked=True)])
def test_a_body_cut_short_is_no_answer(server, call, fault):
    server.faults.add(fault)

    with pytest.raises(UpstreamServerError):
        call(api(server))


@pytest.mark.parametrize("name", ["get", "delete", "post", "upload", "send"])
def test_a_page_is_no_answer(server, name):
    server.faults.add(html(status=200))

    with pytest.raises(UpstreamServerError, match="HTML page"):
        CALLS[name](api(server))


@ONCE
@pytest.mark.parametrize("fault", [Fault(reset=True), Fault(status=500), Fault(after_effect=True, hang_up=True)])
def test_what_makes_something_is_sent_once(server, call, fault):
    server.faults.add(fault)

    with pytest.raises(UpstreamServerError) as raised:
        call(api(server))

    assert raised.value.sent
    assert len(server.requests) == 1


@REPEATED
@pytest.mark.parametrize("fault", [Fault(reset=True, times=2), Fault(status=500, times=2), Fault(cut_at=3, times=2)])
def test_what_changes_nothing_is_asked_again(server, call, fault):
    server.faults.add(fault)

    assert call(api(server))["method"] in ("GET", "DELETE")
    assert len(server.requests) == 3


def test_what_makes_something_is_sent_again_when_nothing_left_this_machine(server):
    asked: list[int] = []

    def token() -> str:
        asked.append(1)
        if len(asked) == 1:
            raise UpstreamServerError("no token yet", sent=False)
        return "token"

    assert api(server, auth=TokenAuth(token)).post("/thing", {})["method"] == "POST"
    assert len(server.requests) == 1


def test_a_redirect_is_not_asked_again(server):
    server.faults.add(Fault(status=307, headers={"Location": "/v1/thing"}))

    with pytest.raises(UpstreamServerError, match="redirects"):
        api(server).get("/thing")

    assert len(server.requests) == 1


def test_repeats_end_with_the_time_of_the_call(server):
    server.faults.add(Fault(latency_s=0.2, status=500))

    with pytest.raises(UpstreamError):
        api(server, call_timeout_s=0.3).get("/thing")

    assert len(server.requests) <= 2


def test_a_get_must_tell_something(server):
    with pytest.raises(UpstreamServerError, match="nothing instead of JSON"):
        api(server).get("/empty")
    assert api(server).post("/empty") is None


@pytest.mark.parametrize(
    ("body", "message", "code", "param"),
    [
        ({"error": {"message": "No.", "type": "t", "param": "p", "code": "c"}}, "No.", "c", "p"),
        ({"error": {"message": "No.", "code": 400}}, "No.", "", None),
        ({"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT"}}, "No.", "", None),
        ({"code": 3, "message": "No.", "details": []}, "No.", "3", None),
        ({"message": "No."}, "No.", "", None),
        ({"error": "No."}, "No.", "", None),
        ({"detail": "No."}, "No.", "", None),
        ({"detail": [{"loc": ["body", "x"], "msg": "bad", "type": "t"}]}, "body.x: bad", "", None),
        ({"object": "error", "message": "No.", "type": "t", "code": "1901"}, "No.", "1901", None),
        (
            {"unknown": 1},
            'The provider answered status 400 with cut or malformed JSON: {"unknown":1}',
            "unexplained",
            None,
        ),
        ([], "The provider answered status 400 with cut or malformed JSON: []", "unexplained", None),
        (None, "The provider answered status 400 with cut or malformed JSON: null", "unexplained", None),
    ],
    ids=lambda value: orjson.dumps(value).decode()[:50],
)
def test_refusals_are_understood_in_every_dialect(server, body, message, code, param):
    server.faults.add(Fault(status=400, body=orjson.dumps(body), headers={"X-Request-Id": "req_7"}))

    with pytest.raises(RefusedError) as refused:
        api(server).post("/thing", {})

    error = refused.value
    assert (error.message, error.code, error.param) == (message, code, param)
    assert (error.status, error.request_id) == (400, "req_7")


def test_too_many_is_not_asked_again(server):
    server.faults.add(overload())

    with pytest.raises(OverloadedError):
        api(server).get("/thing")

    assert len(server.requests) == 1


def test_silence_in_the_middle_of_a_download_ends_it(server):
    server.faults.add(Fault(path="/lines", drip_s=1.0))

    with pytest.raises(UpstreamTimeoutError):
        read(api(server), "/lines")


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
@pytest.mark.parametrize("how", ["get", "post", "download"])
def test_no_error_holds_the_credential(server, status, how):
    path = f"/error/{status}"
    calls = {"get": lambda a: a.get(path), "post": lambda a: a.post(path, {}), "download": lambda a: read(a, path)}

    with pytest.raises(UpstreamError) as raised:
        calls[how](api(server))

    told = f"{raised.value!r} {raised.value} {raised.value.message} {raised.value.body!r} {raised.value.code}"
    assert SECRET not in told
    assert "[redacted]" in told
    assert raised.value.__cause__ is None


def test_a_large_body_comes_in_pieces(server):
    with api(server).download("/bytes") as download:
        sizes = [len(chunk) for chunk in download.chunks]

    assert download.length == sum(sizes) == SIZE
    assert max(sizes) <= 256 * 1024


def test_lines_are_read_from_a_spool(server):
    with api(server).download("/lines") as download, spooled_lines(download) as lines:
        assert [orjson.loads(line) for line in lines] == [{"a": 1}, {"b": 2}]


def test_a_payload_that_is_not_as_long_as_it_says_is_an_error(server):
    short = Payload(100, lambda: iter([b"x" * 10]))

    with pytest.raises(UpstreamError):
        api(server).send("PUT", "/thing", short, content_type="text/plain")


def test_the_breaker_opens_after_failures_and_closes_after_a_success(server):
    clock = HandClock()
    client = api(server, clock=clock)
    server.faults.add(Fault(status=500, times=5))
    for _ in range(5):
        with pytest.raises(UpstreamServerError):
            client.post("/thing", {})
    assert not client.healthy
    with pytest.raises(OverloadedError) as refused:
        client.get("/thing")
    assert (refused.value.code, refused.value.sent) == ("circuit_open", False)
    assert len(server.requests) == 5
    clock.at += 60

    assert client.get("/thing")["method"] == "GET"
    assert client.healthy


def test_refusals_and_too_many_do_not_open_it(server):
    client = api(server)
    for status in [400, 401, 404, 429] * 3:
        with pytest.raises(UpstreamError):
            client.get(f"/error/{status}")

    assert client.healthy


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("files.example.com", True),
        ("FILES.example.com", True),
        ("a.b.storage.test", True),
        ("storage.test", False),
        ("evilstorage.test", False),
        ("files.example.com.evil.test", False),
        ("files.example.com@evil.test", False),
        ("evil.test#files.example.com", False),
        ("evil.test?.storage.test", False),
    ],
)
def test_only_hosts_that_are_named_are_asked(host, allowed):
    target = Target(provider="p", base_url="http://x", connect_timeout_s=0.1)
    known = ["files.example.com", ".storage.test"]

    # No such names are resolved here; what counts is whether they are tried.
    with pytest.raises(UpstreamError) as raised, fetch_url(f"http://{host}:1/x", target=target, allowed_hosts=known):
        pass

    assert (raised.value.code == "connection_failed") is allowed


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/x", "http://127.0.0.1:0/x", "http://127.0.0.1/€", "http://127.0.0.1/a b", "", "x"]
)
def test_a_url_that_is_none_is_a_bad_answer(url):
    target = Target(provider="p", base_url="http://x")

    with pytest.raises(UpstreamServerError) as raised, fetch_url(url, target=target, allowed_hosts=["127.0.0.1"]):
        pass

    assert raised.value.code == "bad_answer"


def test_a_signed_url_gets_no_credential_and_only_known_hosts(server):
    target = Target(provider="p", base_url="http://127.0.0.1:1", credential=SECRET)

    with fetch_url(f"{server.url}/v1/lines?sig=s", target=target, allowed_hosts=["127.0.0.1"]) as download:
        assert b"".join(download.chunks).startswith(b'{"a"')
    assert "authorization" not in server.requests[-1].headers
    for url in (f"{server.url}/v1/lines", "file:///etc/passwd", "http://user@127.0.0.1/x", "http://[::1"):
        allowed = ["storage.example.com"] if url.startswith(server.url) else ["127.0.0.1"]
        with pytest.raises(UpstreamServerError), fetch_url(url, target=target, allowed_hosts=allowed):
            pass


def test_refusals_in_another_form_are_reworded_after_secrets_are_gone(server):
    seen = []

    def reword(answer):
        seen.append(answer.body)
        return replace(answer, status=404, body=b'{"message": "Gone.", "code": "NoSuchKey"}')

    target = Target(provider="p", base_url=f"{server.url}/v1", credential=SECRET)
    api = Api(target, Remote(target.base_url, Redaction(SECRET), bearer(SECRET), reword=reword))

    assert api.answer("GET", "/lines").body == b'{"a":1}\n\n{"b":2}'
    assert api.answer("HEAD", "/lines").headers["content-length"] == "16"
    for call in (lambda: api.answer("GET", "/error/400"), lambda: api.get("/error/400")):
        with pytest.raises(MissingError) as raised:
            call()
        assert (raised.value.message, raised.value.code) == ("Gone.", "NoSuchKey")
    assert len(seen) == 2 and not any(SECRET.encode() in body for body in seen)
    api.close()
