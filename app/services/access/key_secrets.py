"""Secrets of virtual keys, `sk-bf-<public id>-<secret>`: only an HMAC of a secret is stored."""

import hmac
import secrets
from dataclasses import dataclass

from app.data.access.keys import CallerRow

PREFIX = "sk-bf-"
VIRTUAL = "virtual"
PUBLIC_ID_BYTES = 8
SECRET_BYTES = 32
MAX_KEY_LENGTH = 256
# Compared in place of a missing HMAC, so an unknown key takes as long to reject as a wrong secret.
NONE = "0" * 64


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. This is the only time that its secret can be read."""

    public_id: str
    key: str
    project: str
    name: str


def new_public_id() -> str:
    """Returns a new public id, by which a key is looked up."""
    return secrets.token_hex(PUBLIC_ID_BYTES)


def new_secret() -> str:
    """Returns a new secret, which proves that the caller holds the key."""
    return secrets.token_urlsafe(SECRET_BYTES)


def whole(public_id: str, secret: str) -> str:
    """Returns the key as its holder sends it."""
    return f"{PREFIX}{public_id}-{secret}"


def parts(credential: str) -> tuple[str, str] | None:
    """Splits a credential into public id and secret. Returns None when it is not in the format of a virtual key."""
    if not credential.startswith(PREFIX) or not credential.isascii() or len(credential) > MAX_KEY_LENGTH:
        return None
    public_id, _, secret = credential[len(PREFIX) :].partition("-")
    return (public_id, secret) if public_id.isalnum() and secret else None


def digest(pepper: bytes, public_id: str, secret: str) -> str:
    """Returns the HMAC of a secret, as stored."""
    return hmac.digest(pepper, f"{public_id}-{secret}".encode(), "sha256").hex()


def proves(row: CallerRow | None, given_hmac: str) -> bool:
    """Returns True when `given_hmac` is of the key's secret, or of its previous secret within the grace period.

    The same comparisons are made whether or not the key exists.
    """
    is_virtual = row is not None and row.kind == VIRTUAL
    current = row.secret_hmac if row is not None and is_virtual else NONE
    previous = row.previous_hmac if row is not None and is_virtual else None
    is_current = hmac.compare_digest(current, given_hmac)
    is_previous = hmac.compare_digest(previous or NONE, given_hmac)
    return is_virtual and (is_current or is_previous)
