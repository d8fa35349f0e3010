"""A service account's key, and whether what it signed opens something."""

import base64
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

EMAIL = "batches@acme-tests.iam.gserviceaccount.com"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# Google's library signs for Google's own endpoint, wherever it asks.
AUDIENCE = "https://oauth2.googleapis.com/token"
MOST_LIFETIME_S = 3600


@cache
def key() -> rsa.RSAPrivateKey:
    """One for all tests of a process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def private_key() -> str:
    """It, as Google writes it."""
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key().private_bytes(serialization.Encoding.PEM, form, plain).decode()


def service_account(token_uri: str, **fields: Any) -> str:
    """The JSON that Google gives out for a key."""
    told = {
        "type": "service_account",
        "project_id": "acme-tests",
        "private_key_id": "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00",
        "private_key": private_key(),
        "client_email": EMAIL,
        "client_id": "117000000000000000000",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
        **fields,
    }
    return orjson.dumps(told).decode()


def complaint(form: Mapping[str, str]) -> str | None:
    """What is wrong with a request for a token; None when it is right."""
    if form.get("grant_type") == "refresh_token":
        return None if form.get("refresh_token") == "1//right" else f"Bad Request: {form.get('refresh_token')}"
    if form.get("grant_type") != GRANT:
        return "Unsupported grant_type"
    assertion = form.get("assertion", "")
    try:
        head, claims, signature = assertion.split(".")
        signed = f"{head}.{claims}".encode()
        key().public_key().verify(_bytes(signature), signed, padding.PKCS1v15(), hashes.SHA256())
        told = orjson.loads(_bytes(claims))
    except (ValueError, InvalidSignature):
        return f"Invalid JWT Signature: {assertion}"
    now = time.time()
    if told["iss"] != EMAIL or told["aud"] != AUDIENCE or SCOPE not in told["scope"].split():
        return "Invalid JWT: iss, aud or scope"
    fresh = told["iat"] <= now + 60 and now < told["exp"] <= told["iat"] + MOST_LIFETIME_S
    return None if fresh else "Invalid JWT: Token must be a short-lived token (60 minutes)"


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
