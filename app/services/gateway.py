"""What every use case leans on, passed in as one value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.auth.attempts import Attempts
from app.auth.secrets import KeyRing
from app.blobs import BlobStore
from app.data.store.database import Database
from app.lib.clock import Clock
from app.settings import Settings

# Everything in services leans on this module, so what it holds is imported for its type alone. What verifies tokens
# is 3 MiB of memory, too, which workers and translation do without.
if TYPE_CHECKING:
    from app.auth.tokens import Verifier
    from app.services.accounts.directory import Accounts
    from app.services.limits.windows import Rates


@dataclass(frozen=True, slots=True)
class Gateway:
    """One process's view of the gateway; safe to share between threads."""

    settings: Settings
    database: Database
    blobs: BlobStore
    accounts: "Accounts"
    pepper: Callable[[], bytes]
    clock: Clock
    log: Any
    ring: KeyRing = field(repr=False)
    jwt: "Verifier"
    rates: "Rates" = field(repr=False)
    attempts: Attempts = field(default_factory=Attempts)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: found by the credential, before anything else happens.

    `account` is the one that the request names. What the key may use: `accounts` (names), `providers`, `models`
    (patterns such as `gpt-5*`), `endpoints`; None is all. `limits` are the key's, `project_limits` its project's.
    `name` is what events call the caller: the public id of the key. `own_account` is the row id of the account that
    stands for a provider's own key: such a caller uses that one, and nobody else does.
    """

    project_id: int
    project: str
    default_provider: str | None
    key_id: int
    request_id: str
    account: str | None = None
    accounts: Sequence[str] | None = None
    role: str = "member"
    providers: Sequence[str] | None = None
    models: Sequence[str] | None = None
    endpoints: Sequence[str] | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    project_limits: Mapping[str, int] = field(default_factory=dict)
    address: str | None = None
    name: str | None = None
    own_account: int | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who manages the gateway: an admin over HTTP, or the operator on the command line (the default).

    `latency_ms` tells how long the request has taken so far.
    """

    name: str = "operator"
    source: str = "cli"
    request_id: str = "cli"
    project_id: int | None = None
    key_id: int | None = None
    address: str | None = None
    latency_ms: Callable[[], int] | None = None
