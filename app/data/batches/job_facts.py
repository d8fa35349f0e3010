"""Jobs as they are read: found when due, handled, folded into their batch, listed for operators."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, select

from app.data.store.database import now_ms
from app.data.store.leases import LeasedTable
from app.data.store.rows import columns
from app.data.tables import accounts, batch_jobs, batches, blobs, files, native_objects

Errors = list[dict[str, Any]]  # entries of `errors.data`, as they are on the wire


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job that a worker may claim."""

    id: int
    batch_id: int
    account_id: int
    state: str
    epoch: int


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job with what handling it needs of the batch and of the input file.

    `left_ms` is left of the window and `age_ms` has passed since the job was made, by the database's clock.
    `input_key` is None when the bytes of the input file are deleted; `input_native_id` is the input's copy there.
    """

    id: int
    batch_id: int
    account_id: int
    number: int
    first_line: int
    last_line: int
    rewritten: int
    state: str
    marker: str
    attempt: int
    native_id: str | None
    native_status: str | None
    status: str | None
    output_native_id: str | None
    error_native_id: str | None
    native_total: int | None
    native_completed: int | None
    native_failed: int | None
    errors: Errors | None
    faults: int
    last_error: str | None
    creating_at: int | None
    cancel_sent_at: int | None
    ended_at: int | None
    public_id: str
    project_id: int
    provider: str
    batch_status: str
    endpoint: str
    model: str
    model_override: str | None
    completion_window: str
    output_expires_after_s: int | None
    batch_metadata: dict[str, str] | None
    expires_at: int
    input_file_id: int
    input_filename: str
    input_bytes: int
    input_key: str | None
    input_native_id: str | None
    left_ms: int
    age_ms: int | None

    @property
    def made_id(self) -> str:
        """The native id of a job that its provider has made. Raises ValueError for another one."""
        if self.native_id is None:
            raise ValueError(f"job {self.number} of {self.public_id} has no native id")
        return self.native_id


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job of a batch: where it is, and what it is called at its provider."""

    id: int
    batch_id: int
    account_id: int
    number: int
    state: str
    epoch: int
    native_id: str | None
    output_native_id: str | None
    error_native_id: str | None
    cancel_sent_at: int | None


@dataclass(frozen=True, slots=True)
class JobTally:
    """What a job adds to the state and the counts of its batch."""

    state: str
    status: str | None
    lines: int
    native_id: str | None
    native_total: int | None
    native_completed: int | None
    native_failed: int | None
    native_expires_at: int | None
    lines_completed: int
    lines_failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    total_tokens: int
    errors: Errors | None


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job as operators see it; `account` is the account's name."""

    id: int
    batch_id: int
    account_id: int
    number: int
    state: str
    status: str | None
    native_id: str | None
    native_status: str | None
    marker: str
    attempt: int
    lines: int
    lines_completed: int
    lines_failed: int
    faults: int
    last_error: str | None
    errors: Errors | None
    account: str
    provider: str
    project_id: int


_FREE = LeasedTable(batch_jobs).free
_OF_BATCH = select(*columns(batch_jobs, JobRow)).order_by(batch_jobs.c.number)
_TALLY = select(*columns(batch_jobs, JobTally)).order_by(batch_jobs.c.number)
_FACTS = (
    select(
        *columns(batch_jobs, JobFacts),
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
)
_SHOWN = (
    select(
        *columns(batch_jobs, ShownJob),
        accounts.c.name.label("account"),
        accounts.c.provider,
        batches.c.project_id,
    )
    .join_from(batch_jobs, batches, batches.c.id == batch_jobs.c.batch_id)
    .join(accounts, accounts.c.id == batch_jobs.c.account_id)
    .order_by(batch_jobs.c.number)
)


def next_due(connection: Connection, *, skip: Collection[int]) -> DueJob | None:
    """The job that has been due for longest, of an account that is not in `skip`."""
    row = connection.execute(_next_due(), {"skip": list(skip)}).first()
    return None if row is None else DueJob(*row)


@cache
def _next_due() -> Select[Any]:
    """Built once: many threads of each worker ask it all the time."""
    due = and_(batch_jobs.c.state != "done", batch_jobs.c.next_at <= now_ms(), _FREE)
    others = batch_jobs.c.account_id.not_in(bindparam("skip", expanding=True))
    statement = select(*columns(batch_jobs, DueJob)).where(due, others)
    return statement.order_by(batch_jobs.c.next_at, batch_jobs.c.id).limit(1)


def find(connection: Connection, job_id: int) -> JobFacts:
    """A job as its handling needs it."""
    row = connection.execute(_FACTS.where(batch_jobs.c.id == job_id)).one()
    return JobFacts(**row._asdict())


def of_batch(connection: Connection, batch_id: int) -> list[JobRow]:
    """All jobs of a batch, in order."""
    return [JobRow(*row) for row in connection.execute(_OF_BATCH.where(batch_jobs.c.batch_id == batch_id))]


def tallies(connection: Connection, batch_id: int) -> list[JobTally]:
    """What all jobs of a batch add to it, in order: an input may be cut into thousands."""
    return [JobTally(*row) for row in connection.execute(_TALLY.where(batch_jobs.c.batch_id == batch_id))]


def held_native_ids(connection: Connection, account_id: int, native_ids: Collection[str]) -> set[str]:
    """Those of the ids that are jobs of this gateway already."""
    where = (batch_jobs.c.account_id == account_id, batch_jobs.c.native_id.in_(list(native_ids)))
    return set(connection.execute(select(batch_jobs.c.native_id).where(*where)).scalars())


def named(connection: Connection, batch_public_id: str, *, limit: int | None = None) -> list[ShownJob]:
    """The jobs of a batch of any project, in order: all, or at most `limit`."""
    rows = connection.execute(_SHOWN.where(batches.c.public_id == batch_public_id).limit(limit))
    return [ShownJob(**row._asdict()) for row in rows]
