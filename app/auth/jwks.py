"""Public keys of an issuer (JWKS, RFC 7517): cached, and refreshed when they are old or a key is missing.

A thread of its own refreshes them, so a request waits only if it cannot go on without, and never for long.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm

from app.lib import json

FRESH_S = 300.0
# However many tokens name an unknown key, the keys are read at most once in this time.
AGAIN_S = 10.0
PATIENCE_S = 5.0
# Requests with an unknown key that may wait for a refresh at the same time; any more are rejected at once.
MAX_WAITING = 8
MAX_KEYS = 100
MIN_RSA_BITS = 2048
KINDS = {"RS256": "RSA", "ES256": "EC"}
CURVE = "P-256"


class JwksError(Exception):
    """The keys cannot be read at the moment; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key that verifies tokens signed with `algorithm`."""

    kid: str | None
    algorithm: str
    key: Any = field(repr=False)


class KeySet:
    """The keys at one location; safe to share between threads. `read` returns the document or raises JwksError."""

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
        self._read_at = self._requested_at = float("-inf")
        self._lock = threading.Lock()
        self._reading: threading.Event | None = None
        self._places = threading.BoundedSemaphore(MAX_WAITING)

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The key `kid`, or the only key if the token names none; None if there is no such key."""
        if self._keys is None:
            self._refresh(wait=True)
        elif self._monotonic() - self._read_at > FRESH_S:
            self._refresh()
        key = self._matching(kid, algorithm)
        if key is None and self._keys is not None and self._places.acquire(blocking=False):
            try:
                self._refresh(wait=True)
            finally:
                self._places.release()
            key = self._matching(kid, algorithm)
        return key

    def _matching(self, kid: str | None, algorithm: str) -> PublicKey | None:
        matches = [key for key in self._keys or () if key.algorithm == algorithm and kid in (None, key.kid)]
        return matches[0] if len(matches) == 1 else None

    def _refresh(self, *, wait: bool = False) -> None:
        """Start a refresh unless one is running or has just ended; with `wait`, wait for it a while."""
        with self._lock:
            if self._reading is None:
                now = self._monotonic()
                if now - self._requested_at < AGAIN_S:
                    return
                self._requested_at = now
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
            # The cached keys stay valid: an issuer that is down must not lock out everybody.
            self._log.error("jwks.not_read", where=self._where, reason=str(error), kept=len(self._keys or ()))
        finally:
            with self._lock:
                self._reading = None
            over.set()


def parsed(document: bytes) -> list[PublicKey]:
    """The keys of a JWKS that can verify signatures; others are skipped. Raises JwksError if none is left."""
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
    import jwt

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
    if kind == "RSA" and key.key_size < MIN_RSA_BITS:
        return None
    return PublicKey(kid, algorithm, key)
