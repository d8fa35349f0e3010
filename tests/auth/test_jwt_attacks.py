"""Tokens that must open nothing: each is answered as any wrong key is, and leaves nothing behind."""

import json
import time
from collections.abc import Callable
from dataclasses import replace

import jwt
import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.auth.tokens import Verifier
from app.data.tables import virtual_keys
from app.services.gateway import Gateway
from tests.auth import tokens
from tests.auth.conftest import bearer
from tests.support.web import application

pytestmark = pytest.mark.one_database

HS = {"alg": "HS256", "typ": "JWT"}


def altered(**more: object) -> str:
    """Another payload under the signature of a good token."""
    head, _, signature = tokens.signed().split(".")
    return ".".join((head, tokens.crafted({}, tokens.claims(**more)).split(".")[1], signature))


def own_key() -> str:
    """A token that brings the key along that it is signed with."""
    return tokens.signed("stranger", headers={"kid": None, "jwk": tokens.jwk("stranger")})


def pointing() -> str:
    return tokens.signed("stranger", headers={"kid": "first", "jku": "http://127.0.0.1:9/jwks", "x5u": "http://x"})


ATTACKS: dict[str, Callable[[], str]] = {
    "alg none": lambda: tokens.crafted({"alg": "none", "typ": "JWT"}, tokens.claims()),
    "alg None, signed by nothing": lambda: tokens.crafted({"alg": "None", "kid": "first"}, tokens.claims()),
    "alg none of the shared issuer": lambda: tokens.crafted({"alg": "none"}, tokens.claims(iss=tokens.SHARED_ISSUER)),
    "no alg": lambda: tokens.crafted({"kid": "first"}, tokens.claims()),
    "alg is a list": lambda: tokens.crafted({"alg": ["RS256"], "kid": "first"}, tokens.claims()),
    "HS256 by the public key": lambda: tokens.crafted(
        {**HS, "kid": "first"}, tokens.claims(), secret=tokens.public_pem("first")
    ),
    "HS256 by the modulus": lambda: tokens.crafted(
        {**HS, "kid": "first"}, tokens.claims(), secret=tokens.jwk("first")["n"].encode()
    ),
    "HS256 by nothing": lambda: tokens.crafted(HS, tokens.claims(iss=tokens.SHARED_ISSUER), secret=b""),
    "HS512 where HS256 is pinned": lambda: tokens.shared(algorithm="HS512"),
    "RS256 where HS256 is pinned": lambda: tokens.signed(iss=tokens.SHARED_ISSUER),
    "another shared secret": lambda: tokens.shared(tokens.SECRET[::-1]),
    "the shared secret of another issuer": lambda: jwt.encode(tokens.claims(), tokens.SECRET, algorithm="HS256"),
    "ES256 by the kid of an RSA key": lambda: tokens.signed("curve", algorithm="ES256", headers={"kid": "first"}),
    "another key under a known kid": lambda: tokens.signed("stranger", headers={"kid": "first"}),
    "its own key in the header": own_key,
    "a place for keys in the header": pointing,
    "unknown kid": lambda: tokens.signed("stranger"),
    "kid is a number": lambda: tokens.crafted({"alg": "RS256", "kid": 7}, tokens.claims()),
    "kid is a path": lambda: tokens.crafted({"alg": "RS256", "kid": "../../../dev/null"}, tokens.claims()),
    "kid is long": lambda: tokens.crafted({"alg": "RS256", "kid": "k" * 9000}, tokens.claims()),
    "wrong audience": lambda: tokens.signed(aud="others"),
    "wrong audiences": lambda: tokens.signed(aud=["others", "batchgate-2"]),
    "audience is a number": lambda: tokens.signed(aud=[7]),
    "no audience": lambda: tokens.signed(aud=None),
    "wrong issuer": lambda: tokens.signed(iss="https://login.example.evil"),
    "issuer with a slash": lambda: tokens.signed(iss=tokens.ISSUER + "/"),
    "no issuer": lambda: tokens.signed(iss=None),
    "issuer is a list": lambda: tokens.crafted(
        {"alg": "RS256", "kid": "first"}, {**tokens.claims(), "iss": [tokens.ISSUER]}
    ),
    "expired": lambda: tokens.signed(exp=int(time.time()) - 60),
    "expired, of a shared secret": lambda: tokens.shared(exp=int(time.time()) - 60),
    "no expiry": lambda: tokens.signed(exp=None),
    "expiry is no number": lambda: tokens.shared(exp="soon"),
    "expiry has no end": lambda: tokens.crafted(
        HS,
        json.dumps(tokens.claims(iss=tokens.SHARED_ISSUER, exp=1)).replace('"exp": 1', '"exp": 1e999').encode(),
        secret=tokens.SECRET.encode(),
    ),
    "not yet": lambda: tokens.signed(nbf=int(time.time()) + 600),
    "issued in the future": lambda: tokens.signed(iat=int(time.time()) + 600),
    "no subject": lambda: tokens.signed(sub=None),
    "subject is empty": lambda: tokens.signed(sub=""),
    "subject is long": lambda: tokens.signed(sub="s" * 257),
    "subject has a NUL": lambda: tokens.signed(sub="ann\0"),
    "subject is half a character": lambda: tokens.crafted(
        HS, tokens.claims(iss=tokens.SHARED_ISSUER, sub="\ud800"), secret=tokens.SECRET.encode()
    ),
    "subject is a number": lambda: tokens.crafted(
        HS, {**tokens.claims(iss=tokens.SHARED_ISSUER), "sub": 7}, secret=tokens.SECRET.encode()
    ),
    "no project": lambda: tokens.signed(team=None),
    "project is a list": lambda: tokens.signed(team=["alpha"]),
    "unknown project": lambda: tokens.signed(team="nobody's"),
    "project in other letters": lambda: tokens.signed(team="ALPHA"),
    "project with a wildcard": lambda: tokens.signed(team="%"),
    "no role where one is wanted": lambda: tokens.shared(role=None),
    "unknown role": lambda: tokens.shared(role="root"),
    "admin by a virtual key's issuer": lambda: tokens.shared(role="admin"),
    "payload altered": lambda: altered(team="beta"),
    "signature cut": lambda: tokens.signed()[:-8],
    "signature missing": lambda: tokens.signed().rsplit(".", 1)[0] + ".",
    "payload is no object": lambda: tokens.crafted({"alg": "RS256", "kid": "first"}, [1]),
    "payload is no JSON": lambda: tokens.crafted({"alg": "RS256", "kid": "first"}, b"\xff{"),
    "payload is deep": lambda: tokens.crafted({"alg": "RS256", "kid": "first"}, b"[" * 9000),
    "header is deep": lambda: tokens.crafted(b'{"a":' * 1500, tokens.claims()),
    "header is no object": lambda: tokens.crafted([1], tokens.claims()),
    "payload that is elsewhere": lambda: tokens.crafted(
        {"alg": "HS256", "b64": False, "crit": ["b64"]}, tokens.claims(iss=tokens.SHARED_ISSUER), secret=b"x"
    ),
    "critical extension": lambda: tokens.signed(headers={"crit": ["exp"], "exp": 1}),
    "huge": lambda: tokens.signed(filler="x" * 20_000),
    "huge and of numbers": lambda: tokens.crafted({"alg": "RS256", "kid": "first"}, b'{"iss": ' + b"9" * 10_000 + b"}"),
    "two dots": lambda: "..",
    "eyJ and two dots": lambda: "eyJ..",
    "four parts": lambda: tokens.signed() + ".x",
    "padding": lambda: "eyJ=.eyJ=.===",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_token_that_is_not_good_is_answered_as_any_wrong_key(
    gateway: Gateway, anyone: FlaskClient, attack: str
) -> None:
    wrong = anyone.get("/v1/files", headers=bearer("sk-bf-0123456789abcdef-nobody"))
    refused = anyone.get("/v1/files", headers=bearer(ATTACKS[attack]()))
    assert refused.status_code == wrong.status_code == 401
    assert without_ids(refused.json) == without_ids(wrong.json)
    with gateway.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(virtual_keys)).scalar_one() == 1


@pytest.mark.parametrize(
    "token",
    [
        lambda **more: tokens.crafted({"alg": "none"}, tokens.claims(**more)),
        lambda **more: tokens.crafted({**HS, "kid": "first"}, tokens.claims(**more), secret=tokens.public_pem("first")),
        lambda **more: tokens.signed("stranger", headers={"kid": "first"}, **more),
        lambda **more: tokens.signed(**{**more, "aud": "others"}),
        lambda **more: tokens.signed(exp=1, **more),
        lambda **more: tokens.signed(**{**more, "iss": tokens.ISSUER, "team": None}),
        lambda **_: tokens.shared(role="admin"),
    ],
    ids=["none", "HS256 by the public key", "stranger", "audience", "expired", "another issuer", "shared"],
)
def test_nobody_becomes_an_admin_by_saying_so(anyone: FlaskClient, token: Callable[..., str]) -> None:
    good = tokens.signed(iss=tokens.ADMIN_ISSUER)
    in_alpha = {"x-bf-project": "alpha"}
    assert anyone.get("/v1/files", headers=bearer(good, **in_alpha)).status_code == 200
    refused = anyone.get("/v1/files", headers=bearer(token(iss=tokens.ADMIN_ISSUER), **in_alpha))
    assert refused.status_code == 401


@pytest.mark.parametrize(
    "token",
    [
        lambda: tokens.signed(),
        lambda: tokens.signed("curve", algorithm="ES256"),
        lambda: tokens.signed(headers={"kid": None}),
        lambda: tokens.signed(aud=["others", tokens.AUDIENCE]),
        lambda: tokens.signed(exp=int(time.time()) - 2),
        lambda: tokens.shared(),
        lambda: tokens.crafted(HS, tokens.claims(iss=tokens.SHARED_ISSUER), secret=tokens.SECRET.encode()),
    ],
    ids=[
        "RS256",
        "ES256",
        "no kid, one key",
        "several audiences",
        "within the leeway",
        "shared secret",
        "made by hand",
    ],
)
def test_a_good_token_opens_its_project(anyone: FlaskClient, token: Callable[[], str]) -> None:
    assert anyone.get("/v1/files", headers=bearer(token())).status_code == 200


def test_no_token_is_taken_where_no_issuer_is_known(gateway: Gateway) -> None:
    client = application(replace(gateway, jwt=Verifier())).test_client()
    assert client.get("/v1/files", headers=bearer(tokens.signed())).status_code == 401


def without_ids(body: dict) -> dict:
    """An error, but for the ids that tell requests apart."""
    return {**body, "event_id": "", "error": {**body["error"], "event_id": ""}}
