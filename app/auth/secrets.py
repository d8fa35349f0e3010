"""Secrets at rest: encrypted with AES-GCM under a key ring, and bound to their purpose."""

import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_urlsafe

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.lib import private

NONCE_BYTES = 12
KEY_ID_BYTES = 4


class SealError(ValueError):
    """No key of the ring decrypts this secret: it was encrypted with another key or for another purpose."""


class KeyRing:
    """Keys derived from BATCHGATE_SECRET_KEY or from a key file. The first one encrypts, all of them decrypt.

    A key file is read again before each encryption, and when no known key decrypts a secret. A process goes on using
    keys that have left the file to decrypt: it may have read a secret just before that was re-encrypted.
    """

    def __init__(self, ring: str, *, file: Path | None = None) -> None:
        self.file = file
        self._keys: Mapping[bytes, bytes] = _parse(ring, file)
        self._removed: Mapping[bytes, bytes] = {}
        self._lock = threading.Lock()

    @property
    def key_ids(self) -> list[str]:
        """Ids of the keys, which reveal nothing about them. The first key encrypts."""
        return [key_id.hex() for key_id in self._keys]

    def seal(self, secret: bytes, *, purpose: str) -> bytes:
        """Encrypt `secret`, bound to `purpose` (table, column and row). Raises SealError.

        Call it within the transaction that stores the result: a key is dropped in a transaction, too, once no
        committed secret needs it.
        """
        key_id, key = next(iter(self.reread().items()))
        nonce = os.urandom(NONCE_BYTES)
        return key_id + nonce + AESGCM(key).encrypt(nonce, secret, purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> bytes:
        """Decrypt what `seal` returned for the same `purpose`. Raises SealError."""
        key_id, nonce = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        if key_id not in self._keys and key_id not in self._removed:
            self.reread()
        key = self._keys.get(key_id) or self._removed.get(key_id)
        if key is None:
            where = f"{self.file}" if self.file else "BATCHGATE_SECRET_KEY"
            raise SealError(f"No key in {where} decrypts the secret of {purpose}: restore the key that encrypted it.")
        try:
            return AESGCM(key).decrypt(nonce, sealed[KEY_ID_BYTES + NONCE_BYTES :], purpose.encode())
        except InvalidTag as error:
            raise SealError(f"The secret of {purpose} is damaged or belongs to another row.") from error

    def reread(self) -> Mapping[bytes, bytes]:
        """Read the key file again, if there is one. Returns the keys by id. Raises SealError."""
        if self.file is None:
            return self._keys
        with self._lock:  # the last read wins
            try:
                keys = _parse(self.file.read_text(), self.file)
            except OSError as error:
                raise SealError(f"The key ring cannot be read from {self.file}: {error.strerror}.") from error
            # Update _removed first, so that other threads find each key in one of the two at any time.
            self._removed = {**self._removed, **self._keys}
            self._keys = keys
            return keys

    def add_key(self) -> str:
        """Add a new first key to the file and return its id. Raises SealError."""
        return self._rewrite(lambda parts: [token_urlsafe(32), *parts])

    def drop_others(self) -> None:
        """Remove all keys but the first from the file. Raises SealError."""
        self._rewrite(lambda parts: parts[:1])

    def _rewrite(self, change: Callable[[list[str]], list[str]]) -> str:
        if self.file is None:
            raise SealError("The key ring is BATCHGATE_SECRET_KEY: change the variable and restart all processes.")
        self.reread()
        temporary = _write_temporary(self.file, ",".join(change(_parts(self.file.read_text()))))
        os.replace(temporary, self.file)
        _sync_folder(self.file)
        self.reread()
        return self.key_ids[0]


def key_id(sealed: bytes) -> str:
    """Return the id of the key that encrypted this secret."""
    return sealed[:KEY_ID_BYTES].hex()


def kept_key(path: Path) -> str:
    """Read the key ring of the embedded store from `path`, or create it there on the first run. Raises SealError."""
    private.make_folder(path.parent)
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SealError(f"The key ring cannot be read from {path}: {error.strerror}.") from error
    return _made_key(path)


def _made_key(path: Path) -> str:
    temporary = _write_temporary(path, token_urlsafe(32))
    try:
        os.link(temporary, path)  # the first of two processes wins, and both read its key
        _sync_folder(path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_text().strip()


def _write_temporary(path: Path, text: str) -> Path:
    """Write `text` to a new file beside `path`, synced to disk and readable by its owner only."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parts(ring: str) -> list[str]:
    return [part.strip() for part in ring.split(",") if part.strip()]


def _parse(ring: str, file: Path | None) -> dict[bytes, bytes]:
    """Derive the keys of a ring, by id and in order. Raises SealError."""
    keys = [hashlib.sha256(b"batchgate.seal\0" + part.encode()).digest() for part in _parts(ring)]
    if not keys:
        where = f"The key file {file} is empty: restore it from a backup" if file else "BATCHGATE_SECRET_KEY is empty"
        raise SealError(f"{where}.")
    return {hashlib.sha256(b"batchgate.key-id\0" + key).digest()[:KEY_ID_BYTES]: key for key in keys}
