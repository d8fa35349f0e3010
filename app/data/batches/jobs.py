"""Jobs as workers move them on. Every write names the state that it leaves, and the lease or attempt it belongs to."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict, Unpack

from sqlalchemy import Connection, case, exists, func, insert, literal, or_, select, update

from app.data.batches.job_facts import DueJob, Errors, JobRow
from app.data.store.database import now_ms
from app.data.store.leases import RELEASED, Lease, LeasedTable
from app.data.tables import batch_jobs, batch_segments, batches

# States of a batch under which its jobs may still be made.
MAKING = ("validating", "in_progress")
# When a job is looked at again that its batch holds. Whoever lets go of the batch makes it due at once.
HELD_MS = 30_000
FULL_MS = 1000
# Among the instants that a write sets: now, by the database's clock.
NOW: Final[Literal[True]] = True

_LEASES = LeasedTable(batch_jobs)

Instant = int | Literal[True] | None


@dataclass(frozen=True, slots=True)
class JobLease(Lease):
    """A job in one worker's hands, in the state that it was found in; leaving that state loses the lease."""

    batch_id: int
    account_id: int
    state: str

    @classmethod
    def to_claim(cls, job: DueJob | JobRow, worker: str) -> "JobLease":
        """The lease that claiming `job` gives `worker`."""
        return cls(job.id, job.epoch + 1, worker, job.batch_id, job.account_id, job.state)


class JobChanges(TypedDict, total=False):
    """Columns of a job that a write sets. Instants are Unix milliseconds, or NOW."""

    state: str
    status: str | None
    marker: str
    native_id: str | None
    native_status: str | None
    output_native_id: str | None
    error_native_id: str | None
    native_total: int | None
    native_completed: int | None
    native_failed: int | None
    native_expires_at: int | None
    errors: Errors
    faults: int
    last_error: str | None
    next_at: Instant
    refreshed_at: Instant
    submitted_at: Instant
    cancel_sent_at: Instant
    ended_at: Instant
    done_at: Instant


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job of a batch that is being planned. `rewritten`: the provider gets another file than the batch's input."""

    account_id: int
    number: int
    first_line: int
    last_line: int
    lines: int
    rewritten: bool
    marker: str

    def columns(self) -> dict[str, Any]:
        """Its columns in batch_jobs."""
        return {
            "account_id": self.account_id,
            "number": self.number,
            "first_line": self.first_line,
            "last_line": self.last_line,
            "lines": self.lines,
            "rewritten": int(self.rewritten),
            "marker": self.marker,
        }


def claim(connection: Connection, lease: JobLease, *, lease_ms: int) -> bool:
    """Take a free job. False when another worker was faster."""
    return _LEASES.claim(connection, lease, batch_jobs.c.state == lease.state, lease_ms=lease_ms)


def renew(connection: Connection, leases: Collection[JobLease], *, worker: str, lease_ms: int) -> None:
    """Renew the leases that `worker` still holds, whatever state it has brought their jobs to."""
    _LEASES.renew(connection, leases, worker=worker, lease_ms=lease_ms)


def move(connection: Connection, lease: JobLease, *, delay_ms: int = 0, **changes: Unpack[JobChanges]) -> bool:
    """Write `changes` and release the job; it is due again after `delay_ms`. False when the lease is lost."""
    values = {"next_at": now_ms() + delay_ms, **stamped(changes)}
    return _LEASES.release(connection, lease, batch_jobs.c.state == lease.state, **values)


def hold(connection: Connection, lease: JobLease, *, lease_ms: int) -> bool:
    """Fence the writes of this transaction. False when the lease is lost."""
    return _LEASES.hold(connection, lease, batch_jobs.c.state == lease.state, lease_ms=lease_ms)


def count(connection: Connection, lease: JobLease, *, answered: bool, **added: int) -> None:
    """Add lines that have ended to the counters of a job. The caller holds the lease.

    With the first result that its provider `answered`, a job that failed counts as completed: its lines show how it
    went, and `native_status` and `errors` stay.
    """
    values: dict[str, Any] = {name: batch_jobs.c[name] + number for name, number in added.items() if number}
    if answered:
        values["status"] = case((batch_jobs.c.status == "failed", "completed"), else_=batch_jobs.c.status)
    if values:
        _LEASES.write(connection, lease, **values)


def has_unmade(connection: Connection, batch_id: int) -> bool:
    """True while there is a job of the batch that its provider was not asked for yet."""
    pending = (batch_jobs.c.batch_id == batch_id, batch_jobs.c.state == "pending")
    return connection.execute(select(batch_jobs.c.id).where(*pending).limit(1)).first() is not None


def hurry_unmade(connection: Connection, batch_id: int) -> None:
    """Make the jobs due now that no provider was asked for yet: the batch may be held no more."""
    pending = (batch_jobs.c.batch_id == batch_id, batch_jobs.c.state == "pending")
    connection.execute(update(batch_jobs).where(*pending).values(next_at=now_ms()))


def held_ms(connection: Connection, batch_id: int) -> int | None:
    """How long none of its other jobs may be made, as its project asked for; None when one may.

    Locks the batch, so that no two jobs are made where one may be.
    """
    until = case((batches.c.not_before > now_ms(), batches.c.not_before - now_ms()))
    over = batches.c.off_peak_until <= now_ms()
    statement = select(batches.c.paused_at, batches.c.concurrency, until.label("wait_ms"), over.label("is_peak"))
    row = connection.execute(statement.where(batches.c.id == batch_id).with_for_update()).one()
    if row.paused_at is not None or row.is_peak:
        return HELD_MS
    if row.wait_ms is not None:
        return min(int(row.wait_ms), HELD_MS)
    if row.concurrency is None:
        return None
    made = (batch_jobs.c.batch_id == batch_id, batch_jobs.c.state.in_(("creating", "running", "unknown")))
    count = connection.execute(select(func.count()).select_from(batch_jobs).where(*made)).scalar_one()
    return FULL_MS if count >= row.concurrency else None


def begin(
    connection: Connection, lease: JobLease, *, input_object_id: int | None, rewritten: bool, reconcile_ms: int
) -> bool:
    """The intent: the provider is about to be asked. False when the lease is lost, or the batch takes no more jobs."""
    takes_jobs = exists(
        select(literal(1)).where(batches.c.id == batch_jobs.c.batch_id, batches.c.status.in_(MAKING))
    ).correlate(batch_jobs)
    values = {
        "state": "creating",
        "attempt": batch_jobs.c.attempt + 1,
        "creating_at": now_ms(),
        "input_object_id": input_object_id,
        "rewritten": int(rewritten),
        "next_at": now_ms() + reconcile_ms,
        "last_error": None,
        "native_status": None,
    }
    return _LEASES.write(connection, lease, batch_jobs.c.state == lease.state, takes_jobs, **values)


def confirm(connection: Connection, job_id: int, *, attempt: int, delay_ms: int, **changes: Unpack[JobChanges]) -> bool:
    """The provider has made the job, as whoever asked in this attempt says, however late.

    False when another attempt has been made meanwhile.
    """
    where = (
        batch_jobs.c.id == job_id,
        batch_jobs.c.native_id.is_(None),
        batch_jobs.c.attempt == attempt,
        batch_jobs.c.state.in_(("creating", "pending", "unknown")),
    )
    values = {
        "epoch": batch_jobs.c.epoch + 1,
        "state": "running",
        "submitted_at": now_ms(),
        "refreshed_at": now_ms(),
        "next_at": now_ms() + delay_ms,
        "faults": 0,
        "last_error": None,
    }
    statement = update(batch_jobs).where(*where).values(**(values | RELEASED | stamped(changes)))
    return connection.execute(statement).rowcount == 1


def observe(connection: Connection, job_id: int, seen_id: str, **changes: Unpack[JobChanges]) -> bool:
    """Write what anybody saw of a running job, without a lease. False when it no longer runs, or not as `seen_id`."""
    where = (batch_jobs.c.id == job_id, batch_jobs.c.state == "running", batch_jobs.c.native_id == seen_id)
    values = {"refreshed_at": now_ms(), **stamped(changes)}
    return connection.execute(update(batch_jobs).where(*where).values(**values)).rowcount == 1


def take_look(connection: Connection, job_id: int, *, stale_ms: int) -> bool:
    """True for the one caller who may poll a running job that was last polled over `stale_ms` ago."""
    stale = or_(batch_jobs.c.refreshed_at.is_(None), batch_jobs.c.refreshed_at < now_ms() - stale_ms)
    where = (batch_jobs.c.id == job_id, batch_jobs.c.state == "running", stale)
    return connection.execute(update(batch_jobs).where(*where).values(refreshed_at=now_ms())).rowcount == 1


def hurry(connection: Connection, batch_id: int) -> None:
    """Make the running and the unknown jobs of a batch due now."""
    running = (batch_jobs.c.batch_id == batch_id, batch_jobs.c.state.in_(("running", "unknown")))
    connection.execute(update(batch_jobs).where(*running).values(next_at=now_ms()))


def hint(connection: Connection, *, account_id: int, native_ids: Collection[str], every_ms: int) -> int:
    """Make running jobs of an account due now, or `every_ms` after the last look at them; returns how many."""
    earliest = func.coalesce(batch_jobs.c.refreshed_at, 0) + every_ms
    due = case((earliest > now_ms(), earliest), else_=now_ms())
    where = (
        batch_jobs.c.native_id.in_(list(native_ids)),
        batch_jobs.c.account_id + 0 == account_id,
        batch_jobs.c.state == "running",
        batch_jobs.c.next_at > due,
    )
    return connection.execute(update(batch_jobs).where(*where).values(next_at=due)).rowcount


def drop_unmade(connection: Connection, batch_id: int) -> None:
    """Cancel the jobs that no provider was asked for yet. Whoever holds one loses its lease."""
    statement = update(batch_jobs).where(batch_jobs.c.batch_id == batch_id, batch_jobs.c.state == "pending")
    values = {"state": "done", "status": "cancelled", "done_at": now_ms(), "epoch": batch_jobs.c.epoch + 1}
    connection.execute(statement.values(**values, **RELEASED))


def insert_running(
    connection: Connection, batch_id: int, job: NewJob, *, native_id: str, submitted_at: int | None
) -> None:
    """A job that its provider has already, with the segment that its results go into."""
    segment = {"batch_id": batch_id, "first_line": job.first_line, "last_line": job.last_line}
    connection.execute(insert(batch_segments).values(state="done", **segment))
    values: dict[str, Any] = {"native_id": native_id, "state": "running", "next_at": now_ms()}
    values["submitted_at"] = submitted_at or now_ms()
    connection.execute(insert(batch_jobs).values(batch_id=batch_id, **job.columns(), **values))


def resolve(connection: Connection, job_id: int, **changes: Unpack[JobChanges]) -> bool:
    """Write what the operator says of an unknown job. False when it is not unknown."""
    values = {"next_at": now_ms(), "faults": 0, **RELEASED, **stamped(changes)}
    where = (batch_jobs.c.id == job_id, batch_jobs.c.state == "unknown")
    return connection.execute(update(batch_jobs).where(*where).values(**values)).rowcount == 1


def stamped(changes: Mapping[str, Any]) -> dict[str, Any]:
    """`changes` with the database's clock for NOW."""
    return {name: now_ms() if value is NOW else value for name, value in changes.items()}
