"""What goes wrong below requests: bodies that break off, bodies that nobody reads, clients that go away."""

import json
import socket
import struct
from collections.abc import Iterator

import pytest

from app.services.access import keys
from app.services.gateway import Gateway
from tests.e2e.hostile.census import census
from tests.e2e.hostile.raw import CHUNKED, CUT_FORM, FORM, JSON, exchange, head
from tests.support.gunicorn import Gunicorn
from tests.support.waiting import until

pytestmark = pytest.mark.one_database

ENVELOPE = {"event_id", "type", "is_bifrost_error", "status_code", "error", "extra_fields"}
BATCH = b'{"endpoint":"/v1/chat/completions","requests":[{"custom_id":"a","body":{"model":"m"}}]}'
BATCH_CUT = b'{"endpoint":"/v1/chat/completions","requests":[{"custom_id":"a","body":{"model":"m"}},'

# (path, headers, the body as far as it comes)
BROKEN = {
    "form, cut": ("/v1/files", [FORM, "Content-Length: 9999"], CUT_FORM),
    "whole JSON, less than announced": ("/v1/containers", [JSON, "Content-Length: 9999"], b'{"name": "c"}'),
    "whole batch, less than announced": ("/v1/batches", [JSON, "Content-Length: 9999"], BATCH),
    "batch, cut": ("/v1/batches", [JSON, "Content-Length: 9999"], BATCH_CUT),
    "chunk, cut": ("/v1/files", [FORM, CHUNKED], b"fff\r\n" + CUT_FORM),
    "no last chunk": ("/v1/containers", [JSON, CHUNKED], b'd\r\n{"name": "c"}\r\n'),
    "chunk without a size": ("/v1/batches", [JSON, CHUNKED], b"zz\r\n{}\r\n0\r\n\r\n"),
    "chunk without an end": ("/v1/containers", [JSON, CHUNKED], b'd\r\n{"name": "c"}XX0\r\n\r\n'),
    "bad trailer": ("/v1/containers", [JSON, CHUNKED], b'd\r\n{"name": "c"}\r\n0\r\nbad trailer\r\n\r\n'),
    "part, cut": ("/v1/containers/{container}/files", [FORM, "Content-Length: 9999"], CUT_FORM),
}


@pytest.fixture
def web(environment: dict[str, str]) -> Iterator[Gunicorn]:
    with Gunicorn(environment) as running:
        yield running


@pytest.fixture
def key(gateway: Gateway) -> str:
    return keys.create(gateway, project="alpha", name="raw").key


def test_a_body_that_breaks_off_is_refused_and_leaves_nothing(web: Gunicorn, gateway: Gateway, key: str) -> None:
    made = exchange(web, head(key, "POST", "/v1/containers", JSON, "Content-Length: 13") + b'{"name": "c"}')
    container = json.loads(made[0][1])["id"]
    before = census(gateway)
    wrong = []
    for name, (path, headers, body) in BROKEN.items():
        found = exchange(web, head(key, "POST", path.format(container=container), *headers) + body)
        told = [json.loads(text) for _, text in found]
        if [status for status, _ in found] != [400] or set(told[0]) != ENVELOPE or census(gateway) != before:
            wrong.append(f"{name}: {found}")
    assert wrong == [], "\n".join(wrong)
    assert_quiet(web, key)


def test_a_client_that_goes_away_leaves_nothing(web: Gunicorn, gateway: Gateway, key: str) -> None:
    before = census(gateway)
    for path, headers, body in BROKEN.values():
        with web.connect() as connection:
            connection.sendall(head(key, "POST", path.format(container="cntr_x"), *headers) + body)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets on closing
    until(lambda: web.log.count('"event":"batch_create"') >= 3)
    until(lambda: web.log.count('"event":"container_create"') >= 4)
    until(lambda: web.log.count('"event":"file_upload"') >= 2)
    assert census(gateway) == before
    assert_quiet(web, key)


def test_a_refusal_does_not_poison_the_connection(web: Gunicorn, key: str) -> None:
    """A refused body that looks like requests is not taken for some, and what is pipelined after it is answered."""
    smuggled = head(key, "DELETE", "/v1/files/smuggled") * 20
    refused = head(key, "POST", "/v1/nothing", f"Content-Length: {len(smuggled)}") + smuggled
    in_chunks = head(key, "POST", "/v1/nothing", CHUNKED) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)
    unread = head(key, "DELETE", "/v1/files/file-nope", JSON, "Content-Length: 3") + b"abc"
    last = head(key, "GET", "/v1/files?limit=1", "Connection: close")
    found = exchange(web, refused + in_chunks + unread + last)
    assert [status for status, _ in found] == [404, 404, 404, 200]
    assert "smuggled" not in web.log


# What never gets as far as the application: (status, the request without its last empty line)
UNPARSABLE = [
    (400, "nonsense"),
    (400, "GET /v1/files HTTP/9.9"),
    (400, "GET /v1/files/\x00 HTTP/1.1"),
    (400, "GET /v1/files?limit=\xff HTTP/1.1"),
    (400, "POST /v1/containers HTTP/1.1\r\nContent-Length: -5"),
    (400, "POST /v1/containers HTTP/1.1\r\nContent-Length: 5, 6"),
    (400, "POST /v1/containers HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"),
    (400, "POST /v1/containers HTTP/1.1\r\nTransfer-Encoding: nonsense"),
    (400, "GET /v1/files HTTP/1.1\r\nbad name: x"),
    (400, "GET /v1/files HTTP/1.1\r\nX-A: a\x00b"),
    (400, "GET /v1/files HTTP/1.1\r\nAuthorization: Bearer {key}\x01"),
    (400, "GET /v1/files HTTP/1.1\r\n folded: x"),
    (414, "GET /v1/files/" + "a" * 9000 + " HTTP/1.1"),
    (417, "POST /v1/containers HTTP/1.1\r\nContent-Length: 2\r\nExpect: nonsense"),
    (431, "GET /v1/files HTTP/1.1" + "\r\nX-A: b" * 300),
    (431, "GET /v1/files HTTP/1.1\r\nX-A: " + "b" * 9000),
]


def test_what_is_no_request_is_refused_in_the_same_words(web: Gunicorn, key: str) -> None:
    wrong = []
    for status, text in UNPARSABLE:
        found = exchange(web, text.replace("{key}", key).encode("latin-1") + b"\r\n\r\n")
        told = json.loads(found[0][1])
        if [got for got, _ in found] != [status] or set(told) != ENVELOPE or told["status_code"] != status:
            wrong.append(f"{text:.80}: {found}")
        assert key not in str(found)
    assert wrong == [], "\n".join(wrong)
    # Headers of gunicorn's front ends, which a client may send as well, move nothing.
    moving = ("SCRIPT_NAME: /v1", "PATH_INFO: /v1/batches", "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off")
    assert [status for status, _ in exchange(web, head(key, "GET", "/v1/files?limit=1", *moving))] == [200]
    assert_quiet(web, key)


def assert_quiet(web: Gunicorn, key: str) -> None:
    assert "Traceback" not in web.log
    assert '"level":"error"' not in web.log
    assert key not in web.log
