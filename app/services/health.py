"""Whether this process can serve requests: looked at in the background, and answered from what was seen last."""

import threading
from dataclasses import dataclass, replace
from secrets import token_hex

from sqlalchemy.exc import SQLAlchemyError

from app.auth.secrets import SealError
from app.blobs import BlobError, BlobFullError
from app.data.batches import workers
from app.data.store.database import is_full
from app.lib.threads.episodes import Episodes
from app.services import blobs
from app.services.access import pepper
from app.services.backups import fence
from app.services.gateway import Gateway

CHECK_S = 5.0
# While something is not as it should be, so that a start and a recovery show soon.
HURRIED_CHECK_S = 1.0
# A check that takes so long hangs. A database that is merely busy answers within 30 seconds.
STALE_S = 60.0
OK, FULL, LOW, AWAY, REPLACED = "ok", "full", "low", "not available", "replaced"


@dataclass(frozen=True, slots=True)
class Report:
    """The state of `database`, `secrets` (the key ring), `blobs` and `disk`: "ok", or a reason that may be published.

    A disk below its reserve is "low": uploads are refused, everything else works, so it does not affect `status`. Nor
    does a `store` that is "fenced", which can be read; one that was "moved" serves nothing.
    """

    status: str
    database: str
    store: str
    secrets: str
    blobs: str
    disk: str
    worker_seen_seconds_ago: float | None
    checked_seconds_ago: float | None

    @property
    def ready(self) -> bool:
        return self.status == OK


UNKNOWN = Report("unavailable", "not checked", "not checked", "not checked", "not checked", "not checked", None, None)


class Probe:
    """Writes to the database and the blob store every few seconds, and remembers how it went.

    `run` does so until it is stopped. Without it, whoever asks for the latest report does so when it is due, one at
    a time.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._lock = threading.Lock()
        self._latest: tuple[float, Report] | None = None
        self._episodes = Episodes()
        self._name = f"probe {token_hex(8)}"
        self._is_running = False
        self._stop = threading.Event()

    def latest(self) -> Report:
        """The last report, with its age. Never waits for a check that somebody else makes."""
        if not self._is_running and self._is_due() and self._lock.acquire(blocking=False):
            try:
                self._check()
            finally:
                self._lock.release()
        if self._latest is None:
            return UNKNOWN
        at, report = self._latest
        age_s = self.gateway.clock.monotonic() - at
        seen = report.worker_seen_seconds_ago
        status = report.status if age_s < STALE_S else UNKNOWN.status
        return replace(
            report,
            status=status,
            worker_seen_seconds_ago=None if seen is None else round(seen + age_s, 1),
            checked_seconds_ago=round(age_s, 1),
        )

    def run(self) -> bool:
        """Check until `stop`, or until the database file was replaced: then True, and this process must start anew."""
        self._is_running = True
        while not self.gateway.database.is_replaced():
            with self._lock:
                report = self._check()
            if self._stop.wait(self._pause_s(report)):
                return False
        self.gateway.log.error("database.replaced", reason="Another file lies where the database was.")
        return True

    def stop(self) -> None:
        self._stop.set()

    def _is_due(self) -> bool:
        if self._latest is None:
            return True
        at, report = self._latest
        return self.gateway.clock.monotonic() - at >= self._pause_s(report)

    @staticmethod
    def _pause_s(report: Report) -> float:
        return CHECK_S if report.ready and report.worker_seen_seconds_ago is not None else HURRIED_CHECK_S

    def _check(self) -> Report:
        report = self._report()
        self._latest = self.gateway.clock.monotonic(), report
        return report

    def _report(self) -> Report:
        database, seen = self._database()
        store = self._store() if database == OK else AWAY
        secrets = self._secrets() if database == OK else AWAY
        stored, disk = self._blobs()
        serves = database == secrets == stored == OK and store in (OK, fence.FENCED)
        return Report(OK if serves else UNKNOWN.status, database, store, secrets, stored, disk, seen, 0.0)

    def _database(self) -> tuple[str, float | None]:
        database = self.gateway.database
        try:
            database.run(lambda connection: workers.try_write(connection, name=self._name))
            with database.read() as connection:
                age_ms = workers.newest_age_ms(connection)
        except SQLAlchemyError as error:
            state = REPLACED if database.is_replaced() else FULL if is_full(error) else AWAY
            return self._failed("database", state, error), None
        return self._works("database"), None if age_ms is None else round(age_ms / 1000, 1)

    def _store(self) -> str:
        try:
            found = fence.now(self.gateway.database)
        except SQLAlchemyError as error:
            return self._failed("store", AWAY, error)
        if found.state != fence.OPEN:
            return self._failed("store", found.state, fence.describe(found))
        return self._works("store")

    def _secrets(self) -> str:
        try:
            pepper.check(self.gateway.database, self.gateway.ring)
        except (SealError, SQLAlchemyError) as error:
            return self._failed("secrets", AWAY, error)
        return self._works("secrets")

    def _blobs(self) -> tuple[str, str]:
        try:
            self.gateway.blobs.check()
            disk = LOW if blobs.is_low(self.gateway) else OK
        except BlobError as error:
            state = FULL if isinstance(error, BlobFullError) else AWAY
            return self._failed("blobs", state, error), state
        if disk == LOW:
            self._failed("disk", LOW, f"less than {self.gateway.settings.disk_reserve_bytes} bytes are free")
        else:
            self._works("disk")
        return self._works("blobs"), disk

    def _failed(self, part: str, state: str, reason: object) -> str:
        """Log the first failure of an episode, and each that is of another kind."""
        log = self.gateway.log.error if self._episodes.failed(part, state) else self.gateway.log.debug
        log("ready.failed", part=part, state=state, reason=str(reason))
        return state

    def _works(self, part: str) -> str:
        if self._episodes.worked(part):
            self.gateway.log.warning("ready.recovered", part=part)
        return OK
