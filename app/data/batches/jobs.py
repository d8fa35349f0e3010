"""Jobs as workers move them on. Every write names the state that it leaves, and the lease or attempt it belongs to.

Among the values of a write, an instant that is True means now, by the database's clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, exists, insert, literal, or_, select, update

from app.data.money import budgets
from app.data.store.database import AnyRow, now_ms
from app.data.store.leases import RELEASED, Lease, LeasedTable
from app.data.tables import accounts, batch_jobs, batch_segments, batches, blobs, files, native_objects
from app.data.tables.batches import TERMINAL

# States of a batch under which its jobs may still be made.
MAKING = ("validating", "in_progress")

_LEASES = LeasedTable(batch_jobs)

_FOLDED = select(
    *(
        batch_jobs.c[name]
        for name in (
            "state",
            "status",
            "lines",
            "native_id",
            "native_total",
            "native_completed",
            "native_failed",
            "native_expires_at",
            "lines_completed",
            "lines_failed",
            "input_tokens",
            "cached_tokens",
            "output_tokens",
            "reasoning_tokens",
            "total_tokens",
            "errors",
        )
    )
)


@dataclass(frozen=True, slots=True)
class JobLease(Lease):
    """A job in one worker's hands, in the state that it was found in; leaving that state loses the lease."""

    batch_id: int
    account_id: int
    state: str


def next_due(connection: Connection, *, skip: Collection[int]) -> AnyRow | None:
    """The job that waits longest for a look, of an account that is not in `skip`."""
    columns = (batch_jobs.c.id, batch_jobs.c.batch_id, batch_jobs.c.account_id, batch_jobs.c.state, batch_jobs.c.epoch)
    due = and_(batch_jobs.c.state != "done", batch_jobs.c.next_at <= now_ms(), _LEASES.free)
    statement = select(*columns).where(due, batch_jobs.c.account_id.not_in(list(skip)))
    return connection.execute(statement.order_by(batch_jobs.c.next_at, batch_jobs.c.id).limit(1)).first()


def claim(connection: Connection, lease: JobLease, *, lease_ms: int) -> bool:
    """Take a free job. False when another worker was faster."""
    return _LEASES.claim(connection, lease, batch_jobs.c.state == lease.state, lease_ms=lease_ms)


def renew(connection: Connection, leases: Collection[JobLease], *, worker: str, lease_ms: int) -> None:
    """Renew the leases that `worker` still holds, whatever state it has brought their jobs to."""
    _LEASES.renew(connection, leases, worker=worker, lease_ms=lease_ms)


def move(connection: Connection, lease: JobLease, *, delay_ms: int = 0, **values: Any) -> bool:
    """Write `values` and release the job; it is due again after `delay_ms`. False when the lease is lost."""
    full = {"next_at": now_ms() + delay_ms, **_stamped(values)}
    return _LEASES.release(connection, lease, batch_jobs.c.state == lease.state, **full)


def add(connection: Connection, lease: JobLease, *, came: bool, lease_ms: int, **added: int) -> bool:
    """Lines have ended: renews the lease and adds to the job's counters. False when the lease is lost.

    With the first result that `came` from the provider, a job that failed counts as completed: its lines tell how
    it went, and `native_status` and `errors` remain.
    """
    values: dict[str, Any] = {name: batch_jobs.c[name] + number for name, number in added.items() if number}
    if came:
        values["status"] = case((batch_jobs.c.status == "failed", "completed"), else_=batch_jobs.c.status)
    return _LEASES.hold(connection, lease, batch_jobs.c.state == lease.state, lease_ms=lease_ms, **values)


def begin(
    connection: Connection, lease: JobLease, *, input_object_id: int | None, rewritten: bool, reconcile_ms: int
) -> bool:
    """The intent: the provider is about to be asked. False when the lease is lost, or the batch takes no more."""
    wanted = exists(
        select(literal(1)).where(batches.c.id == batch_jobs.c.batch_id, batches.c.status.in_(MAKING))
    ).correlate(batch_jobs)
    values = {
        "state": "creating",
        "attempt": batch_jobs.c.attempt + 1,
        "creating_at": now_ms(),
        "input_object_id": input_object_id,
        "rewritten": int(rewritten),
        "next_at": now_ms() + reconcile_ms,
    }
    return _LEASES.write(connection, lease, batch_jobs.c.state == lease.state, wanted, **values)


def confirm(connection: Connection, job_id: int, *, attempt: int, delay_ms: int, **values: Any) -> bool:
    """The provider has made the job, says who asked in this attempt, however late. False: another attempt is on."""
    where = (
        batch_jobs.c.id == job_id,
        batch_jobs.c.native_id.is_(None),
        batch_jobs.c.attempt == attempt,
        batch_jobs.c.state.in_(("creating", "pending", "unknown")),
    )
    full = {
        "epoch": batch_jobs.c.epoch + 1,
        "submitted_at": now_ms(),
        "refreshed_at": now_ms(),
        "faults": 0,
        **RELEASED,
    }
    full |= {"next_at": now_ms() + delay_ms, "last_error": None, "state": "running", **RELEASED, **_stamped(values)}
    return connection.execute(update(batch_jobs).where(*where).values(**full)).rowcount == 1


def observe(connection: Connection, job_id: int, native_id: str, **values: Any) -> bool:
    """What was seen of a running job, by whoever looked. False when it runs no more."""
    where = (batch_jobs.c.id == job_id, batch_jobs.c.state == "running", batch_jobs.c.native_id == native_id)
    full = {"refreshed_at": now_ms(), **_stamped(values)}
    return connection.execute(update(batch_jobs).where(*where).values(**full)).rowcount == 1


def take_look(connection: Connection, job_id: int, *, stale_ms: int) -> bool:
    """True for the one caller who may look at a running job that nobody has seen for `stale_ms`."""
    stale = or_(batch_jobs.c.refreshed_at.is_(None), batch_jobs.c.refreshed_at < now_ms() - stale_ms)
    where = (batch_jobs.c.id == job_id, batch_jobs.c.state == "running", stale)
    return connection.execute(update(batch_jobs).where(*where).values(refreshed_at=now_ms())).rowcount == 1


def hurry(connection: Connection, batch_id: int) -> None:
    """Whatever waits at a provider is looked at soon."""
    running = (batch_jobs.c.batch_id == batch_id, batch_jobs.c.state == "running")
    connection.execute(update(batch_jobs).where(*running).values(next_at=now_ms()))


def drop_unmade(connection: Connection, batch_id: int) -> None:
    """Jobs that were never asked for are over: cancelled without a call. Whoever holds one has lost it."""
    statement = update(batch_jobs).where(batch_jobs.c.batch_id == batch_id, batch_jobs.c.state == "pending")
    over = {"state": "done", "status": "cancelled", "done_at": now_ms(), "epoch": batch_jobs.c.epoch + 1}
    connection.execute(statement.values(**over, **RELEASED))


def facts(connection: Connection, job_id: int) -> AnyRow:
    """A job with what its handling needs of the batch and its input; ages and `left_ms` by the database's clock."""
    statement = (
        select(
            batch_jobs,
            batches.c.public_id,
            batches.c.project_id,
            batches.c.provider,
            batches.c.status.label("batch_status"),
            batches.c.endpoint,
            batches.c.model,
            batches.c.model_override,
            batches.c.completion_window,
            batches.c.output_expires_after_s,
            batches.c.metadata.label("batch_metadata"),
            batches.c.expires_at,
            batches.c.lines_total,
            batches.c.input_file_id,
            files.c.filename.label("input_filename"),
            files.c.bytes.label("input_bytes"),
            blobs.c.key.label("input_key"),
            native_objects.c.native_id.label("input_native_id"),
            (batches.c.expires_at - now_ms()).label("left_ms"),
            (now_ms() - batch_jobs.c.submitted_at).label("age_ms"),
        )
        .select_from(batch_jobs)
        .join(batches, batches.c.id == batch_jobs.c.batch_id)
        .join(files, files.c.id == batches.c.input_file_id)
        .outerjoin(blobs, and_(blobs.c.id == files.c.blob_id, blobs.c.state == "live"))
        .outerjoin(native_objects, native_objects.c.id == batch_jobs.c.input_object_id)
        .where(batch_jobs.c.id == job_id)
    )
    return connection.execute(statement).one()


def of_batch(connection: Connection, batch_id: int) -> Sequence[AnyRow]:
    """All jobs of a batch, in order."""
    return connection.execute(
        select(batch_jobs).where(batch_jobs.c.batch_id == batch_id).order_by(batch_jobs.c.number)
    ).all()


def to_fold(connection: Connection, batch_id: int) -> Sequence[AnyRow]:
    """What folding asks of all jobs of a batch: an input may be cut into thousands."""
    return connection.execute(_FOLDED.where(batch_jobs.c.batch_id == batch_id).order_by(batch_jobs.c.number)).all()


def places(connection: Connection, batch_id: int) -> Sequence[AnyRow]:
    """(id, state, native_id) of all jobs of a batch, in order."""
    columns = (batch_jobs.c.id, batch_jobs.c.state, batch_jobs.c.native_id)
    return connection.execute(
        select(*columns).where(batch_jobs.c.batch_id == batch_id).order_by(batch_jobs.c.number)
    ).all()


def held_native_ids(connection: Connection, account_id: int, native_ids: Collection[str]) -> set[str]:
    """Those of the ids that are jobs of ours already."""
    where = (batch_jobs.c.account_id == account_id, batch_jobs.c.native_id.in_(list(native_ids)))
    return set(connection.execute(select(batch_jobs.c.native_id).where(*where)).scalars())


def lock_batch(connection: Connection, batch_id: int) -> AnyRow:
    """The batch of jobs that are about to be written. First of all, so that two ends of jobs see each other."""
    columns = (
        batches.c.id,
        batches.c.public_id,
        batches.c.status,
        batches.c.lines_total,
        batches.c.in_progress_at,
        batches.c.expires_at,
    )
    return connection.execute(select(*columns).where(batches.c.id == batch_id).with_for_update()).one()


def follow(connection: Connection, batch_id: int, **values: Any) -> None:
    """What follows for the batch from its jobs."""
    where = (batches.c.id == batch_id, batches.c.status.not_in(TERMINAL))
    connection.execute(update(batches).where(*where).values(**_stamped(values)))
    if values.get("status") in TERMINAL:
        budgets.refund(connection, batch_id)


def insert_running(connection: Connection, batch_id: int, **values: Any) -> None:
    """A job that is at its provider already; `values` are columns. The segment for its results comes with it."""
    segment = {"batch_id": batch_id, "first_line": values["first_line"], "last_line": values["last_line"]}
    connection.execute(insert(batch_segments).values(state="done", **segment))
    full = {"batch_id": batch_id, "state": "running", "next_at": now_ms(), **_stamped(values)}
    connection.execute(insert(batch_jobs).values(**full))


def named(connection: Connection, batch_public_id: str) -> Sequence[AnyRow]:
    """The jobs of a batch of any project, in order, with the `account` that has each."""
    statement = (
        select(batch_jobs, accounts.c.name.label("account"), accounts.c.provider, batches.c.project_id)
        .join_from(batch_jobs, batches, batches.c.id == batch_jobs.c.batch_id)
        .join(accounts, accounts.c.id == batch_jobs.c.account_id)
        .where(batches.c.public_id == batch_public_id)
    )
    return connection.execute(statement.order_by(batch_jobs.c.number)).all()


def resolve(connection: Connection, job_id: int, **values: Any) -> bool:
    """The operator's word on an unknown job. False when it is not unknown."""
    full = {"next_at": now_ms(), "faults": 0, **RELEASED, **_stamped(values)}
    where = (batch_jobs.c.id == job_id, batch_jobs.c.state == "unknown")
    return connection.execute(update(batch_jobs).where(*where).values(**full)).rowcount == 1


def _stamped(values: dict[str, Any]) -> dict[str, Any]:
    """Instants that are True happen now, by the database's clock."""
    return {name: now_ms() if value is True else value for name, value in values.items()}
