"""Signatures of webhooks, as Standard Webhooks and OpenAI's SDKs have them.

Not by the package `standardwebhooks`, which the tests compare this with: its `verify` raises whatever a strange header
leads to, and its `sign` takes an instant of another time zone for one in UTC.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping

PREFIX = "whsec_"
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
VERSION = "v1"
NEW_BYTES, MIN_BYTES, MAX_BYTES = 32, 16, 128
# How old or new a message may be, as in OpenAI's SDKs.
TOLERANCE_S = 300
# More signatures than a sender that rotates its secret needs.
MAX_SIGNATURES = 16
_SECONDS = re.compile(r"[0-9]{1,12}")


class BadSecretError(ValueError):
    """The text is no signing secret; the message says what one is."""


def new_secret() -> str:
    """A new random secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()


def hint(secret: str) -> str:
    """What may be shown of a secret."""
    return f"{PREFIX}...{secret[-4:]}"


def key(secret: str) -> bytes:
    """The key that a secret stands for: `whsec_` and base64. Raises BadSecretError."""
    text = f"it must be `{PREFIX}` and then base64 of {MIN_BYTES} to {MAX_BYTES} random bytes."
    if not secret.startswith(PREFIX):
        raise BadSecretError(text)
    encoded = secret.removeprefix(PREFIX)
    try:
        found = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSecretError(text) from error
    if not MIN_BYTES <= len(found) <= MAX_BYTES:
        raise BadSecretError(text)
    return found


def headers(secrets: Iterable[str], *, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers of a message, with a signature by each of the secrets."""
    signed = [f"{VERSION},{_signature(key(secret), message_id, str(at_s), body)}" for secret in secrets]
    return {ID: message_id, TIMESTAMP: str(at_s), SIGNATURE: " ".join(signed)}


def is_signed(secret: str, given: Mapping[str, str], body: bytes, *, now_s: float) -> bool:
    """True when the message is of now, and signed with the secret. `given` are headers, whatever is in them."""
    message_id, at, signatures = (given.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not message_id or not _SECONDS.fullmatch(at) or abs(now_s - int(at)) > TOLERANCE_S:
        return False
    expected = _signature(key(secret), message_id, at, body).encode()
    found = False
    for part in signatures.split()[:MAX_SIGNATURES]:
        version, _, signature = part.partition(",")
        # Compared to the end, so that the time tells nothing.
        matches = hmac.compare_digest(signature.encode("utf-8", "replace"), expected)
        found = found or (version == VERSION and matches)
    return found


def _signature(key: bytes, message_id: str, at: str, body: bytes) -> str:
    message = b".".join((message_id.encode("utf-8", "replace"), at.encode(), body))
    return base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()
