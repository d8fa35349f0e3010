"""The secrets of virtual keys: `sk-bf-<public id>-<secret>`, of which the store keeps an HMAC."""

import hmac
import secrets
from dataclasses import dataclass

from app.data.store.database import AnyRow

PREFIX = "sk-bf-"
VIRTUAL = "virtual"
PUBLIC_ID_BYTES = 8
SECRET_BYTES = 32
MAX_KEY_LENGTH = 256
# Compared where there is nothing to compare with, so that an unknown key costs what a known one does.
NONE = "0" * 64


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key at the only moment when it can be read."""

    public_id: str
    key: str
    project: str
    name: str


def new_public_id() -> str:
    """What a key is found by."""
    return secrets.token_hex(PUBLIC_ID_BYTES)


def new_secret() -> str:
    """What proves that a key is held."""
    return secrets.token_urlsafe(SECRET_BYTES)


def whole(public_id: str, secret: str) -> str:
    """The key as its holder sends it."""
    return f"{PREFIX}{public_id}-{secret}"


def parts(credential: str) -> tuple[str, str] | None:
    """(public id, secret) of what looks like a key of this gateway."""
    if not credential.startswith(PREFIX) or not credential.isascii() or len(credential) > MAX_KEY_LENGTH:
        return None
    public_id, _, secret = credential[len(PREFIX) :].partition("-")
    return (public_id, secret) if public_id.isalnum() and secret else None


def digest(pepper: bytes, public_id: str, secret: str) -> str:
    """What the store keeps of a secret."""
    return hmac.digest(pepper, f"{public_id}-{secret}".encode(), "sha256").hex()


def proves(row: AnyRow | None, given: str) -> bool:
    """True when the digest `given` is of the secret of this key, or of the one before in its time of grace.

    What is compared does not depend on whether there is a key.
    """
    is_virtual = row is not None and row.kind == VIRTUAL
    current = row.secret_hmac if row is not None and is_virtual else NONE
    before = row.previous_hmac if row is not None and is_virtual else None
    is_current = hmac.compare_digest(current, given)
    was_before = hmac.compare_digest(before or NONE, given)
    return is_virtual and (is_current or was_before)
