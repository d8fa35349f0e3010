"""Secrets at rest: AES-GCM under a key ring, each bound to what it is for."""

import hashlib
import os
from pathlib import Path
from secrets import token_urlsafe

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_ID_BYTES = 4


class SealError(ValueError):
    """No key of the ring opens this secret: it was sealed under another, or for another purpose."""


class KeyRing:
    """Keys made from BATCHGATE_SECRET_KEY; the first one seals, any of them opens."""

    def __init__(self, ring: str) -> None:
        parts = [part.strip() for part in ring.split(",") if part.strip()]
        if not parts:
            raise SealError("BATCHGATE_SECRET_KEY is empty.")
        self._keys = [hashlib.sha256(b"batchgate.seal\0" + part.encode()).digest() for part in parts]

    def seal(self, secret: bytes, *, purpose: str) -> bytes:
        """`secret` encrypted, and bound to `purpose` (table, column and row)."""
        key = self._keys[0]
        nonce = os.urandom(NONCE_BYTES)
        return _key_id(key) + nonce + AESGCM(key).encrypt(nonce, secret, purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> bytes:
        """What `seal` was given. Raises SealError."""
        key_id, nonce = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        for key in self._keys:
            if _key_id(key) == key_id:
                try:
                    return AESGCM(key).decrypt(nonce, sealed[KEY_ID_BYTES + NONCE_BYTES :], purpose.encode())
                except InvalidTag as error:
                    raise SealError(f"The secret of {purpose} does not open.") from error
        raise SealError(f"No key in BATCHGATE_SECRET_KEY opens the secret of {purpose}.")


def kept_key(path: Path) -> str:
    """The key of the embedded store: read from `path`, or made there at the first run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        draft.touch(mode=0o600)
        draft.write_text(token_urlsafe(32) + "\n")
    try:
        os.link(draft, path)  # the first of two processes wins, and both read its key
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"batchgate.key-id\0" + key).digest()[:KEY_ID_BYTES]
