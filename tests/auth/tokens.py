"""Keys of made-up issuers, their JWKS, and tokens signed by them: good ones, and those of attackers."""

import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER = "https://login.example"
ADMIN_ISSUER = "https://admins.example"
SHARED_ISSUER = "shared.example"
AUDIENCE = "batchgate"
SECRET = "a-shared-secret-of-the-tests-that-is-long-enough-for-HS512-as-well"


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same key for the same name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The same key for the same name."""
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(name: str) -> bytes:
    """The public key that everybody knows."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return rsa_key(name).public_key().public_bytes(serialization.Encoding.PEM, form)


def jwk(name: str, *, algorithm: str = "RS256", **more: Any) -> dict[str, Any]:
    """The public key called `name`, as a JWKS has it."""
    if algorithm == "RS256":
        found = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True)
    else:
        found = jwt.algorithms.ECAlgorithm.to_jwk(ec_key(name).public_key(), as_dict=True)
    return {**found, "kid": name, "use": "sig", **more}


def document(*keys: dict[str, Any]) -> bytes:
    """A JWKS."""
    return json.dumps({"keys": list(keys)}).encode()


def claims(**more: Any) -> dict[str, Any]:
    """What a good token says; None leaves a claim out."""
    now = int(time.time())
    found: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "team": "alpha", "role": "member"}
    found |= {"iat": now, "exp": now + 600, **more}
    return {name: value for name, value in found.items() if value is not None}


def signed(name: str = "first", *, algorithm: str = "RS256", headers: Any = None, **more: Any) -> str:
    """A token signed by the private key called `name`; a header that is None is left out."""
    key: Any = rsa_key(name) if algorithm == "RS256" else ec_key(name)
    given = {field: value for field, value in {"kid": name, **(headers or {})}.items() if value is not None}
    return jwt.encode(claims(**more), key, algorithm=algorithm, headers=given)


def shared(secret: str = SECRET, *, algorithm: str = "HS256", **more: Any) -> str:
    """A token signed by a shared secret."""
    return jwt.encode(claims(iss=SHARED_ISSUER, **more), secret, algorithm=algorithm)


def crafted(header: Any, payload: Any, *, secret: bytes | None = None) -> str:
    """Three parts as given, with an HMAC of `secret` or nothing behind; no library would make such a token."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = b"" if secret is None else hmac.digest(secret, text, hashlib.sha256)
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
