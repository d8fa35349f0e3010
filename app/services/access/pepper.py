"""The pepper: the key of the HMACs of virtual keys. It is generated once and stored sealed.

The key ring can therefore be rotated without invalidating any virtual key.
"""

import secrets
import threading

from app.auth.secrets import KeyRing
from app.data.access import keys
from app.data.store.database import Database

NAME = "virtual_key_pepper"
PURPOSE = "sealed_secrets.sealed:virtual_key_pepper"
BYTES = 32


class Pepper:
    """A callable that returns the pepper. The first call reads it from the database, or generates it."""

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database = database
        self._ring = ring
        self._lock = threading.Lock()
        self._value: bytes | None = None

    def __call__(self) -> bytes:
        if self._value is None:
            with self._lock:
                if self._value is None:
                    self._value = self._ring.open(self._sealed(), purpose=PURPOSE)
        return self._value

    def _sealed(self) -> bytes:
        with self._database.read() as connection:
            sealed = keys.sealed_secret(connection, NAME)
        if sealed is not None:
            return sealed
        with self._database.write() as connection:
            sealed = self._ring.seal(secrets.token_bytes(BYTES), purpose=PURPOSE)
            if keys.insert_sealed_secret(connection, NAME, sealed):
                return sealed
        with self._database.read() as connection:
            stored = keys.sealed_secret(connection, NAME)
        if stored is None:
            raise RuntimeError("The pepper of virtual keys disappeared while it was being created.")
        return stored


def check(database: Database, ring: KeyRing) -> None:
    """Raises SealError when `ring` cannot open the stored pepper, which means that it belongs to another store."""
    with database.read() as connection:
        sealed = keys.sealed_secret(connection, NAME)
    if sealed is not None:
        ring.open(sealed, purpose=PURPOSE)
