"""Credentials of accounts at rest: sealed for one row, and told apart by a fingerprint that nothing can be made of."""

import hmac
from collections.abc import Callable

from app.auth.secrets import KeyRing


class Vault:
    """Seals and opens credentials. Its fingerprints need the pepper, so they say nothing outside of this store."""

    def __init__(self, ring: KeyRing, pepper: Callable[[], bytes]) -> None:
        self._ring = ring
        self._pepper = pepper

    def seal(self, credential: str, *, account_id: int) -> bytes:
        """What the row of the account keeps; an account without a key has a sealed empty text."""
        return self._ring.seal(credential.encode(), purpose=_purpose(account_id))

    def open(self, sealed: bytes, *, account_id: int) -> str:
        """The credential. Raises SealError when no key of the ring opens it, or it belongs to another row."""
        return self._ring.open(sealed, purpose=_purpose(account_id)).decode()

    def fingerprint(self, credential: str) -> str:
        """The same for the same credential."""
        return hmac.digest(self._pepper(), b"accounts.fingerprint\0" + credential.encode(), "sha256").hex()


def _purpose(account_id: int) -> str:
    return f"accounts.sealed_credential:{account_id}"
