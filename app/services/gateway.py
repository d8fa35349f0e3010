"""The parts of one process, wired together, and who is calling it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.auth.attempts import Attempts
from app.auth.secrets import KeyRing
from app.auth.sign_ins import SignIns
from app.blobs import BlobStore
from app.data.access.keys import CallerRow
from app.data.backups.state import StoreState
from app.data.store.database import Database
from app.engine.hints import Hints, NoHints
from app.lib.clock import Clock
from app.lib.metrics.processes import HostRecorder
from app.lib.threads.episodes import Episodes
from app.lib.threads.remembered import Remembered
from app.lib.threads.slots import Slots
from app.lib.threads.unchanged import Unchanged
from app.lib.traces.spans import NoTraces, Traces
from app.settings import Settings

# Every service imports this module, so the services that it holds are imported for type checking only. The token
# verifier also costs 3 MiB of memory, which workers and translation do without.
if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from app.auth.tokens import Verifier
    from app.connectors.http.public import PublicClient
    from app.services.accounts.directory import Accounts
    from app.services.limits.windows import Rates

MAX_READINGS = 2
MAX_SAMPLES = 8
STORE_STATE_S = 1.0
KEY_S = 1.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that services use in one process; safe to share between threads.

    `pepper` returns the key of the HMACs, `ring` seals secrets at rest, `jwt` verifies tokens, `rates` holds this
    process's leases of rate limits, `keys` remembers rows of virtual keys until the store changes, `outside` calls URLs
    that callers named, `hints` tells workers that there is work, `attempts` limits how often provider keys are verified
    and `sign_ins` how often signing in may fail, `metrics` counts for Prometheus, `traces` takes spans, `samples`
    limits how many samples of webhooks requests send, `readings` how many large files are read through within them,
    `store_state` remembers whether the store may be used, and `episodes` knows what is failing, so that the log has the
    beginning and the end of it.
    """

    settings: Settings
    database: Database
    blobs: BlobStore
    accounts: "Accounts"
    pepper: Callable[[], bytes]
    clock: Clock
    log: "FilteringBoundLogger"
    ring: KeyRing = field(repr=False)
    jwt: "Verifier"
    rates: "Rates" = field(repr=False)
    keys: Unchanged[CallerRow] = field(repr=False)
    outside: "PublicClient" = field(repr=False)
    hints: Hints = field(default_factory=NoHints, repr=False)
    attempts: Attempts = field(default_factory=Attempts)
    sign_ins: SignIns = field(default_factory=SignIns, repr=False)
    episodes: Episodes = field(default_factory=Episodes, repr=False)
    store_state: Remembered[StoreState] = field(default_factory=lambda: Remembered(STORE_STATE_S), repr=False)
    metrics: HostRecorder = field(default_factory=HostRecorder, repr=False)
    traces: Traces = field(default_factory=NoTraces, repr=False)
    samples: Slots = field(default_factory=lambda: Slots(total=MAX_SAMPLES, each=2), repr=False)
    readings: Slots = field(default_factory=lambda: Slots(total=MAX_READINGS, each=1), repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent the request, as authenticated by its credential before anything else is done.

    `account` is the account that the request names. `accounts` (names), `providers`, `models` (patterns such as
    `gpt-5*`) and `endpoints` are what the key may use; None allows all. `limits` are the key's, `project_limits` its
    project's. `name` identifies the caller in events: the public id of the key. `own_account` is the row id of the
    account made from the provider key that the caller sent: the caller uses only this account, and nobody else does.
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

    `latency_ms` returns how long the request has taken so far.
    """

    name: str = "operator"
    source: str = "cli"
    request_id: str = "cli"
    project_id: int | None = None
    key_id: int | None = None
    address: str | None = None
    latency_ms: Callable[[], int] | None = None
