"""Public keys: kept, rotated, asked for rarely; an issuer that is away, slow or mad locks nobody out."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import app as batchgate
from app.auth.jwks import AGAIN_S, FRESH_S, MAX_WAITING, JwksError, KeySet, parsed
from app.services.access import jwt_issuers, keys
from app.services.gateway import Gateway
from app.settings import from_environment
from tests.auth import tokens
from tests.auth.conftest import bearer
from tests.support.server import LiveServer
from tests.support.waiting import until

FIRST = tokens.document(tokens.jwk("first"))
BOTH = tokens.document(tokens.jwk("first"), tokens.jwk("second"))
SECOND = tokens.document(tokens.jwk("second"))


class Log:
    """What was logged, by event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **_fields: Any) -> None:
        self.events.append(event)

    error = info


class Place:
    """Where keys are: a document, or None when they cannot be read; `hold` makes readers wait."""

    def __init__(self, document: bytes | None, *, patience_s: float = 2.0) -> None:
        self.document = document
        self.reads = 0
        self.hold = threading.Event()
        self.hold.set()
        self.now = 1000.0
        self.log = Log()
        self.keys = KeySet("here", self.read, log=self.log, monotonic=lambda: self.now, patience_s=patience_s)

    def read(self) -> bytes:
        self.reads += 1
        self.hold.wait(60)
        if self.document is None:
            raise JwksError("away")
        return self.document

    def has(self, kid: str | None, algorithm: str = "RS256") -> bool:
        return self.keys.find(kid, algorithm) is not None


def test_keys_are_read_once_and_kept() -> None:
    place = Place(FIRST)
    assert all(place.has("first") for _ in range(100))
    assert place.reads == 1


def test_a_new_key_is_found_when_a_token_names_it() -> None:
    place = Place(FIRST)
    assert place.has("first")
    place.document, place.now = BOTH, place.now + AGAIN_S
    assert place.has("second") and place.has("first")
    assert place.reads == 2 and "jwks.rotated" in place.log.events


def test_a_key_that_is_withdrawn_is_forgotten_when_the_kept_ones_are_old() -> None:
    place = Place(BOTH)
    assert place.has("first")
    place.document, place.now = SECOND, place.now + FRESH_S + 1
    place.has("first")
    until(lambda: not place.has("first"))
    assert place.has("second")


def test_however_many_tokens_name_an_unknown_key_the_issuer_is_asked_once_in_a_while() -> None:
    place = Place(FIRST)
    assert place.has("first")
    place.now += AGAIN_S
    assert not any(place.has(f"made-up-{number}") for number in range(200))
    assert place.reads == 2
    place.now += AGAIN_S
    assert not place.has("made-up")
    assert place.reads == 3


@pytest.mark.parametrize("nonsense", [None, b"", b"{", b"[]", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [7, null]}'])
def test_kept_keys_go_on_when_they_cannot_be_read_again(nonsense: bytes | None) -> None:
    place = Place(FIRST)
    assert place.has("first")
    for _ in range(5):
        place.document, place.now = nonsense, place.now + FRESH_S + 1
        assert place.has("first")
        until(lambda: place.log.events.count("jwks.not_read") >= 1)
    assert not place.has("second")
    place.document, place.now = BOTH, place.now + FRESH_S + 1
    assert place.has("second")


def test_a_slow_issuer_delays_nobody_whose_key_is_known() -> None:
    place = Place(FIRST, patience_s=15.0)
    assert place.has("first")
    place.hold.clear()
    place.now += FRESH_S + 1
    began = time.monotonic()
    answers = [place.has("first") for _ in range(50)]  # a reader hangs meanwhile
    assert all(answers) and time.monotonic() - began < 10
    until(lambda: place.reads == 2)
    place.hold.set()


def test_of_many_requests_with_unknown_keys_only_a_few_wait() -> None:
    place = Place(FIRST, patience_s=60.0)
    assert place.has("first")
    place.hold.clear()
    place.document, place.now = BOTH, place.now + AGAIN_S
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.append(place.has("second")), daemon=True) for _ in range(MAX_WAITING * 3)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(found) == MAX_WAITING * 2, seconds=15)  # these were refused at once
    assert not any(found)
    place.hold.set()
    for thread in threads:
        thread.join(20)
    assert found.count(True) == MAX_WAITING and place.reads == 2


def test_an_issuer_that_never_answered_lets_nobody_in_and_holds_nobody_for_long() -> None:
    place = Place(None)
    assert not place.has("first")
    assert not place.has("first") and place.reads == 1
    place.document, place.now = FIRST, place.now + AGAIN_S
    assert place.has("first")


def test_all_first_requests_wait_for_the_first_keys() -> None:
    place = Place(FIRST)
    place.hold.clear()
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(place.has("first")), daemon=True) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: place.reads == 1)
    place.hold.set()
    for thread in threads:
        thread.join(20)
    assert found == [True] * 20 and place.reads == 1


def test_keys_of_other_uses_are_left_out() -> None:
    usable = tokens.jwk("first")
    others = [
        {**tokens.jwk("second"), "use": "enc"},
        {**tokens.jwk("second"), "alg": "RS512"},
        {**tokens.jwk("second"), "key_ops": ["encrypt"]},
        {**tokens.jwk("second"), "kid": 7},
        {**tokens.jwk("second"), "n": "AA"},
        {**tokens.jwk("second"), "n": 5},
        {**tokens.jwk("second"), "e": ""},
        {"kty": "oct", "kid": "second", "alg": "HS256", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"},
        {**tokens.jwk("curve", algorithm="ES256"), "crv": "P-384"},
        {**tokens.jwk("curve", algorithm="ES256"), "x": "AAAA"},
        {"kty": ["RSA"], "kid": "second"},
        "text",
    ]
    assert [key.kid for key in parsed(json.dumps({"keys": [*others, usable]}).encode())] == ["first"]


def test_a_key_that_can_be_factored_is_left_out() -> None:
    weak = tokens.jwt.algorithms.RSAAlgorithm.to_jwk(tokens.rsa_key("weak", 1024).public_key(), as_dict=True)
    with pytest.raises(JwksError):
        parsed(tokens.document({**weak, "kid": "weak"}))


def test_a_token_without_a_kid_needs_a_set_of_one_key() -> None:
    assert Place(FIRST).has(None)
    assert not Place(BOTH).has(None)
    assert not Place(tokens.document(tokens.jwk("first"), tokens.jwk("second", kid="first"))).has("first")


class Issuer:
    """An issuer on a socket: what it answers, and how often it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.paths = "200 OK", FIRST, []  # type: ignore[var-annotated]
        self.headers: list[tuple[str, str]] = []

    def __call__(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        self.paths.append(environ["PATH_INFO"] + "?" + environ["QUERY_STRING"])
        start(self.status, [("Content-Length", str(len(self.body))), *self.headers])
        return [self.body]


@pytest.fixture
def issuer() -> Iterator[tuple[Issuer, LiveServer]]:
    """An issuer, and the server that it answers at."""
    found = Issuer()
    with LiveServer(found) as server:
        yield found, server


@pytest.fixture
def client_of(environment: dict[str, str]) -> Iterator[Callable[[str], FlaskClient]]:
    """Makes a client of a gateway that reads public keys at a URL."""
    built: list[Gateway] = []

    def make(url: str) -> FlaskClient:
        fields = {"issuer": tokens.ISSUER, "kind": "virtual_key", "algorithms": ["RS256"], "audience": tokens.AUDIENCE}
        configured = json.dumps([{**fields, "jwks_url": url, "claims": {"project": "team"}}])
        built.append(batchgate.build_gateway(from_environment({**environment, "BATCHGATE_JWT_ISSUERS": configured})))
        keys.create(built[-1], project="alpha", name="first")
        return batchgate.create_app(gateway=built[-1]).test_client()

    yield make
    for gateway in built:
        gateway.database.dispose()


def test_keys_by_url_open_tokens_also_when_the_issuer_is_gone(client_of: Callable[[str], FlaskClient]) -> None:
    issuer = Issuer()
    with LiveServer(issuer) as server:
        client = client_of(f"{server.url}/keys/?v=1")
        assert client.get("/v1/files", headers=bearer(tokens.signed())).status_code == 200
        assert issuer.paths == ["/keys/?v=1"]
    assert client.get("/v1/files", headers=bearer(tokens.signed())).status_code == 200
    assert client.get("/v1/files", headers=bearer(tokens.signed("second"))).status_code == 401


@pytest.mark.parametrize("status", ["500 No", "404 No", "302 Found"])
def test_an_issuer_that_fails_opens_nothing_and_is_no_fault_of_the_gateway(
    client_of: Callable[[str], FlaskClient], issuer: tuple[Issuer, LiveServer], status: str
) -> None:
    app, server = issuer
    app.status, app.headers = status, [("Location", f"{server.url}/elsewhere")]
    client = client_of(f"{server.url}/keys")
    assert client.get("/v1/files", headers=bearer(tokens.signed())).status_code == 401
    assert app.paths == ["/keys?"]


def test_an_answer_without_end_is_not_read(issuer: tuple[Issuer, LiveServer]) -> None:
    app, server = issuer
    app.body = b" " * (jwt_issuers.MAX_KEY_SET_BYTES + 1)
    with pytest.raises(JwksError, match="larger"):
        jwt_issuers._from_url(f"{server.url}/keys")


def test_a_file_of_keys_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    with pytest.raises(JwksError, match="No such file"):
        jwt_issuers._from_file(path)
    path.write_bytes(FIRST)
    assert jwt_issuers._from_file(path) == FIRST
    path.write_bytes(b" " * (jwt_issuers.MAX_KEY_SET_BYTES + 1))
    with pytest.raises(JwksError, match="larger"):
        jwt_issuers._from_file(path)
