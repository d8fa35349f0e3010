"""What every use case leans on, passed in as one value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.blobs import BlobStore
from app.data.database import Database
from app.lib.clock import Clock
from app.services.accounts import Accounts
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Gateway:
    """One process's view of the gateway; safe to share between threads."""

    settings: Settings
    database: Database
    blobs: BlobStore
    accounts: Accounts
    pepper: Callable[[], bytes]
    clock: Clock
    log: Any


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: found by the credential, before anything else happens.

    `account` is the one that the request names, `accounts` are the names of those that its key may use (None: all).
    """

    project_id: int
    project: str
    default_provider: str | None
    key_id: int
    request_id: str
    account: str | None = None
    accounts: Sequence[str] | None = None
