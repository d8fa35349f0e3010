"""Public keys of an issuer (JWKS, RFC 7517): kept, read again when they are old or one is missing, never in a hurry.

They are read in a thread of their own, so that a request waits only when it cannot do without, and never for long.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from app.lib import json

FRESH_S = 300.0
# However many tokens name a key that is not there, the issuer is asked once in this time.
AGAIN_S = 10.0
PATIENCE_S = 5.0
# Requests with an unknown key that wait at once for the keys to be read again; the others are refused.
MAX_WAITING = 8
MAX_KEYS = 100
SHORTEST_RSA = 2048
KINDS = {"RS256": "RSA", "ES256": "EC"}
CURVE = "P-256"


class JwksError(Exception):
    """The keys cannot be read now; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key that can verify tokens signed by `algorithm`."""

    kid: str | None
    algorithm: str
    key: Any = field(repr=False)


class KeySet:
    """The keys at one place; safe to share between threads. `read` gives the document or raises JwksError."""

    def __init__(
        self,
        where: str,
        read: Callable[[], bytes],
        *,
        log: Any,
        monotonic: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._where = where
        self._read = read
        self._log = log
        self._monotonic = monotonic
        self._patience_s = patience_s
        self._keys: Sequence[PublicKey] | None = None
        self._read_at = self._asked_at = float("-inf")
        self._lock = threading.Lock()
        self._reading: threading.Event | None = None
        self._places = threading.BoundedSemaphore(MAX_WAITING)

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The key called `kid`, or the only one there is when the token names none; None: there is no such key."""
        if self._keys is None:
            self._ask(wait=True)
        elif self._monotonic() - self._read_at > FRESH_S:
            self._ask()
        key = self._fitting(kid, algorithm)
        if key is None and self._keys is not None and self._places.acquire(blocking=False):
            try:
                self._ask(wait=True)
            finally:
                self._places.release()
            key = self._fitting(kid, algorithm)
        return key

    def _fitting(self, kid: str | None, algorithm: str) -> PublicKey | None:
        fitting = [key for key in self._keys or () if key.algorithm == algorithm and kid in (None, key.kid)]
        return fitting[0] if len(fitting) == 1 else None

    def _ask(self, *, wait: bool = False) -> None:
        """See to it that the keys are being read, unless they just were; wait for them for a while."""
        with self._lock:
            if self._reading is None:
                now = self._monotonic()
                if now - self._asked_at < AGAIN_S:
                    return
                self._asked_at = now
                over = threading.Event()
                threading.Thread(target=self._load, args=(over,), name="jwks", daemon=True).start()
                self._reading = over
            over = self._reading
        if wait:
            over.wait(self._patience_s)

    def _load(self, over: threading.Event) -> None:
        try:
            keys = parsed(self._read())
            if self._keys is not None and {key.kid for key in keys} != {key.kid for key in self._keys}:
                self._log.info("jwks.rotated", where=self._where, keys=len(keys))
            self._keys = keys
            self._read_at = self._monotonic()
        except JwksError as error:
            # The keys that are known go on: an issuer that is away must not lock out everybody.
            self._log.error("jwks.not_read", where=self._where, error=str(error), kept=len(self._keys or ()))
        finally:
            with self._lock:
                self._reading = None
            over.set()


def parsed(document: bytes) -> list[PublicKey]:
    """The keys of a JWKS that can verify signatures; others are left out. Raises JwksError when none is left."""
    try:
        value = json.loads(document)
    except json.JSONDecodeError:
        raise JwksError("The answer is not JSON.") from None
    entries = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        raise JwksError("The answer has no list `keys`.")
    keys = [key for entry in entries[:MAX_KEYS] if isinstance(entry, dict) and (key := _key(entry)) is not None]
    if not keys:
        raise JwksError("The answer has no key that can verify RS256 or ES256.")
    return keys


def _key(entry: Mapping[str, Any]) -> PublicKey | None:
    kind, kid, operations = entry.get("kty"), entry.get("kid"), entry.get("key_ops", ["verify"])
    algorithm = next((name for name, needed in KINDS.items() if needed == kind), None)
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        return None
    if not isinstance(operations, list) or "verify" not in operations or not isinstance(kid, str | None):
        return None
    if kind == "EC" and entry.get("crv") != CURVE:
        return None
    public = {name: value for name, value in entry.items() if name in ("kty", "n", "e", "crv", "x", "y")}
    try:
        key = jwt.PyJWK(public, algorithm).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    if kind == "RSA" and key.key_size < SHORTEST_RSA:
        return None
    return PublicKey(kid, algorithm, key)
