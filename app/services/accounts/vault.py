"""Seals credentials of accounts, each for its own row, and fingerprints them so that they can be compared."""

import hmac
from collections.abc import Callable

from app.auth.secrets import KeyRing


class Vault:
    """Seals and opens credentials. Fingerprints depend on the pepper, so they reveal nothing outside of this store."""

    def __init__(self, ring: KeyRing, pepper: Callable[[], bytes]) -> None:
        self._ring = ring
        self._pepper = pepper

    def seal(self, credential: str, *, account_id: int) -> bytes:
        """Returns the sealed credential for the account's row; without a key, the sealed empty string."""
        return self._ring.seal(credential.encode(), purpose=_purpose(account_id))

    def open(self, sealed: bytes, *, account_id: int) -> str:
        """Returns the credential. Raises SealError when no key of the ring opens it, or it belongs to another row."""
        return self._ring.open(sealed, purpose=_purpose(account_id)).decode()

    def fingerprint(self, credential: str) -> str:
        """Returns a fingerprint that is the same for the same credential."""
        return hmac.digest(self._pepper(), b"accounts.fingerprint\0" + credential.encode(), "sha256").hex()


def _purpose(account_id: int) -> str:
    return f"accounts.sealed_credential:{account_id}"
