"""Secrets at rest: AES-GCM under a key ring, each bound to what it is for."""

import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_urlsafe

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_ID_BYTES = 4


class SealError(ValueError):
    """No key of the ring opens this secret: it was sealed under another, or for another purpose."""


class KeyRing:
    """Keys made from BATCHGATE_SECRET_KEY or from a kept file; the first one seals, any of them opens.

    A ring of a file is read again before it seals, and when a secret does not open. Keys that are no longer in the
    file still open in a process that had them: it may have read a secret just before that was sealed anew.
    """

    def __init__(self, ring: str, *, file: Path | None = None) -> None:
        self.file = file
        self._keys: Mapping[bytes, bytes] = _parsed(ring)
        self._gone: Mapping[bytes, bytes] = {}
        self._lock = threading.Lock()

    @property
    def key_ids(self) -> list[str]:
        """What tells the keys apart and says nothing of them; the first one seals."""
        return [key_id.hex() for key_id in self._keys]

    def seal(self, secret: bytes, *, purpose: str) -> bytes:
        """`secret` encrypted, and bound to `purpose` (table, column and row). Raises SealError.

        Call it within the transaction that keeps what it returns: a key is dropped in a transaction, too, once nothing
        that is committed needs it.
        """
        key_id, key = next(iter(self.reread().items()))
        nonce = os.urandom(NONCE_BYTES)
        return key_id + nonce + AESGCM(key).encrypt(nonce, secret, purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> bytes:
        """What `seal` was given. Raises SealError."""
        key_id, nonce = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        if key_id not in self._keys and key_id not in self._gone:
            self.reread()
        key = self._keys.get(key_id) or self._gone.get(key_id)
        if key is None:
            where = f"{self.file}" if self.file else "BATCHGATE_SECRET_KEY"
            raise SealError(f"No key in {where} opens the secret of {purpose}: put back the key that sealed it.")
        try:
            return AESGCM(key).decrypt(nonce, sealed[KEY_ID_BYTES + NONCE_BYTES :], purpose.encode())
        except InvalidTag as error:
            raise SealError(f"The secret of {purpose} does not open.") from error

    def reread(self) -> Mapping[bytes, bytes]:
        """The keys by their ids, as the file has them now; those of the environment stay. Raises SealError."""
        if self.file is None:
            return self._keys
        with self._lock:  # what was read last is what counts
            try:
                keys = _parsed(self.file.read_text())
            except OSError as error:
                raise SealError(f"The key ring cannot be read from {self.file}: {error.strerror}.") from error
            # What is gone is noted first: another thread finds each key in one of the two at any instant.
            self._gone = {**self._gone, **self._keys}
            self._keys = keys
            return keys

    def add_key(self) -> str:
        """Put a new key ahead of the others in the file; returns its id. Raises SealError."""
        return self._rewrite(lambda parts: [token_urlsafe(32), *parts])

    def drop_others(self) -> None:
        """Leave only the key that seals in the file. Raises SealError."""
        self._rewrite(lambda parts: parts[:1])

    def _rewrite(self, change: Callable[[list[str]], list[str]]) -> str:
        if self.file is None:
            raise SealError("The ring is BATCHGATE_SECRET_KEY: change the variable, and start all processes anew.")
        self.reread()
        draft = _draft(self.file, ",".join(change(_parts(self.file.read_text()))))
        os.replace(draft, self.file)
        _sync_folder(self.file)
        self.reread()
        return self.key_ids[0]


def key_id(sealed: bytes) -> str:
    """The id of the key that sealed this."""
    return sealed[:KEY_ID_BYTES].hex()


def kept_key(path: Path) -> str:
    """The ring of the embedded store: read from `path`, or made there at the first run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        draft = _draft(path, token_urlsafe(32))
    try:
        os.link(draft, path)  # the first of two processes wins, and both read its key
        _sync_folder(path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()


def _draft(path: Path, text: str) -> Path:
    """`text` on disk beside `path`, for its owner's eyes only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parts(ring: str) -> list[str]:
    return [part.strip() for part in ring.split(",") if part.strip()]


def _parsed(ring: str) -> dict[bytes, bytes]:
    """Keys by their ids, in the order of the ring. Raises SealError."""
    keys = [hashlib.sha256(b"batchgate.seal\0" + part.encode()).digest() for part in _parts(ring)]
    if not keys:
        raise SealError("BATCHGATE_SECRET_KEY is empty.")
    return {hashlib.sha256(b"batchgate.key-id\0" + key).digest()[:KEY_ID_BYTES]: key for key in keys}
