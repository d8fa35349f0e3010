"""Batches as clients create, list, cancel and delete them; `work` has what workers do with them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypedDict

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, insert, select, update

from app.data.batches import waits
from app.data.batches.job_facts import Errors
from app.data.batches.waits import Progress, WaitingOn
from app.data.store import paging
from app.data.store.database import now_ms
from app.data.store.rows import columns
from app.data.tables import batch_jobs, batches, files, webhook_endpoints
from app.data.tables.batches import IS_RUNNING
from app.lib import ids
from app.lib.states import TERMINAL

CANCELLABLE = ("validating", "in_progress")

_input = files.alias("input_file")
_output = files.alias("output_file")
_error = files.alias("error_file")
_first = batches.alias("first_try")
_hook = webhook_endpoints.alias("hook")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch, with the ids of its files. Instants are Unix milliseconds; `status` and `lines_state` as in SQL.

    `native_id` is the id of its job at the provider, None when it was split into several; `first_native_id` is the id
    of the first of them. `retry_of_batch` is the id of the batch whose failed lines this one repeats. `waiting_on` is
    why it waits, None of one that is over, and `progress` how fast it runs, None while that cannot be known.

    No line is sent before `not_before`, nor while `paused_at` is set. One with `off_peak_until` waits for its account's
    off-peak hours; those that it is in, or was last, end then.

    `webhook_endpoint` is told of its end besides the project's others; of one that the batch brought along there is
    the `webhook_url` instead.
    """

    id: int
    public_id: str
    project_id: int
    key_id: int | None
    account_id: int
    provider: str
    execution: str
    endpoint: str
    model: str | None
    model_override: str | None
    completion_window: str
    status: str
    errors: Errors | None
    metadata: dict[str, str] | None
    output_expires_after_s: int | None
    lines_total: int
    lines_completed: int
    lines_failed: int
    lines_expired: int
    lines_cancelled: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    total_tokens: int
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    lines_state: str
    price_id: int | None
    input_file: str
    output_file: str | None
    error_file: str | None
    retry_of_batch: str | None
    native_id: str | None
    first_native_id: str | None
    priority: int = 0
    concurrency: int | None = None
    finish_by: int | None = None
    not_before: int | None = None
    off_peak_until: int | None = None
    paused_at: int | None = None
    webhook_endpoint_id: int | None = None
    webhook_endpoint: str | None = None
    webhook_url: str | None = None
    waiting_on: WaitingOn | None = None
    progress: Progress | None = None

    @property
    def has_ended(self) -> bool:
        """True in a state that is never left."""
        return self.status in TERMINAL


@dataclass(frozen=True, slots=True)
class BatchLabels:
    """What people call a batch: its metadata, and the name of its input file."""

    id: int
    public_id: str
    metadata: dict[str, str] | None
    filename: str | None


@dataclass(frozen=True, slots=True)
class NewBatch:
    """Columns of a batch that is about to be inserted; `retry_of` is a row id."""

    public_id: str
    project_id: int
    account_id: int
    provider: str
    execution: str
    endpoint: str
    completion_window: str
    input_file_id: int
    key_id: int | None = None
    model: str | None = None
    model_override: str | None = None
    retry_of: int | None = None
    metadata: dict[str, str] | None = None
    output_expires_after_s: int | None = None
    lines_total: int = 0
    priority: int = 0
    concurrency: int | None = None
    finish_by: int | None = None
    not_before: int | None = None
    off_peak_until: int | None = None
    webhook_endpoint_id: int | None = None


class Steering(TypedDict, total=False):
    """What a project may change of a batch that is not over. Instants are Unix milliseconds."""

    priority: int
    concurrency: int | None
    finish_by: int | None
    not_before: int | None
    off_peak_until: int | None
    expires_at: int


_BATCH = (
    select(
        *columns(batches, Batch),
        _input.c.public_id.label("input_file"),
        _output.c.public_id.label("output_file"),
        _error.c.public_id.label("error_file"),
        _first.c.public_id.label("retry_of_batch"),
        case((_hook.c.scope == "project", _hook.c.public_id)).label("webhook_endpoint"),
        case((_hook.c.scope == "batch", _hook.c.url)).label("webhook_url"),
        # A batch that was split has no one id there.
        select(case((func.count() == 1, func.min(batch_jobs.c.native_id))))
        .where(batch_jobs.c.batch_id == batches.c.id)
        .correlate(batches)
        .scalar_subquery()
        .label("native_id"),
        select(batch_jobs.c.native_id)
        .where(batch_jobs.c.batch_id == batches.c.id, batch_jobs.c.number == 1)
        .correlate(batches)
        .scalar_subquery()
        .label("first_native_id"),
    )
    .join_from(batches, _input, _input.c.id == batches.c.input_file_id)
    .outerjoin(_output, _output.c.id == batches.c.output_file_id)
    .outerjoin(_error, _error.c.id == batches.c.error_file_id)
    .outerjoin(_first, _first.c.id == batches.c.retry_of)
    .outerjoin(_hook, _hook.c.id == batches.c.webhook_endpoint_id)
)


def insert_batch(connection: Connection, new: NewBatch, *, window_ms: int) -> Batch:
    """A `validating` batch whose window of `window_ms` begins now, or when it may; it ends at `finish_by` if given."""
    # The clock is read once: two readings may be a millisecond apart, and then a second apart on the wire.
    now = connection.execute(select(now_ms())).scalar_one()
    expires_at = new.finish_by or max(now, new.not_before or 0) + window_ms
    statement = insert(batches).values(status="validating", created_at=now, expires_at=expires_at, **asdict(new))
    batch_id = connection.execute(statement.returning(batches.c.id)).scalar_one()
    return _batch(connection.execute(_BATCH.where(batches.c.id == batch_id)).one())


def find(connection: Connection, *, project_id: int, public_id: str) -> Batch | None:
    """A batch of the project that is not deleted."""
    mine = and_(paging.within(batches.c.project_id, project_id), paging.alive(batches.c.deleted_at))
    row = connection.execute(_BATCH.where(mine, batches.c.public_id == ids.canonical(public_id))).first()
    return None if row is None else _with_waits(connection, [_batch(row)])[0]


def list_page(
    connection: Connection,
    *,
    project_id: int,
    provider: str | None,
    statuses: Sequence[str] | None,
    after: paging.Position | None,
    limit: int,
    descending: bool = True,
) -> list[Batch]:
    """At most `limit` + 1 batches of the project, newest first when `descending`."""
    statement = _BATCH.where(_visible(project_id))
    if provider is not None:
        statement = statement.where(batches.c.provider == provider)
    if statuses is not None:
        same = batches.c.status == statuses[0] if len(statuses) == 1 else batches.c.status.in_(statuses)
        statement = statement.where(same)
    page = paging.page(statement, batches, after=after, descending=descending, limit=limit)
    return _with_waits(connection, [_batch(row) for row in connection.execute(page)])


def labels(connection: Connection, *, project_id: int, after: paging.Position | None, limit: int) -> list[BatchLabels]:
    """What at most `limit` batches of the project are called, newest first."""
    statement = (
        select(batches.c.id, batches.c.public_id, batches.c.metadata, _input.c.filename)
        .join_from(batches, _input, _input.c.id == batches.c.input_file_id)
        .where(_visible(project_id))
    )
    page = paging.page(statement, batches, after=after, descending=True, limit=limit - 1)
    return [BatchLabels(*row) for row in connection.execute(page)]


def by_ids(connection: Connection, ids: Sequence[int]) -> list[Batch]:
    """The batches with these few integer ids, newest first."""
    # One by one: for a list of ids PostgreSQL reads whole tables while it has no statistics.
    found = (connection.execute(_BATCH.where(batches.c.id == row_id)).first() for row_id in sorted(ids, reverse=True))
    return _with_waits(connection, [_batch(row) for row in found if row is not None])


def position(connection: Connection, *, project_id: int, public_id: str) -> paging.Position | None:
    """The position of a batch of the project in lists, also of a deleted one."""
    mine = paging.within(batches.c.project_id, project_id)
    return paging.position(connection, batches, mine, public_id=ids.canonical(public_id))


def find_native(connection: Connection, *, project_id: int, native_id: str) -> Batch | None:
    """As `find`, by the id of a job at its provider. None when several jobs have it."""
    mine = select(batch_jobs.c.batch_id).where(batch_jobs.c.native_id == native_id)
    rows = connection.execute(_BATCH.where(_visible(project_id), batches.c.id.in_(mine)).limit(2)).all()
    return _with_waits(connection, [_batch(rows[0])])[0] if len(rows) == 1 else None


def cancellable(connection: Connection, project_id: int, *, limit: int) -> Sequence[tuple[int, str, int | None]]:
    """(row id, public id, key) of at most `limit` batches of a project that can be cancelled."""
    mine = (IS_RUNNING, batches.c.project_id == project_id, batches.c.status.in_(CANCELLABLE))
    statement = select(batches.c.id, batches.c.public_id, batches.c.key_id).where(*mine).limit(limit)
    return [(row.id, row.public_id, row.key_id) for row in connection.execute(statement)]


def cancel(connection: Connection, batch_id: int) -> bool:
    """Let the workers end a batch. False when it is neither `validating` nor `in_progress`."""
    statement = (
        update(batches)
        .where(batches.c.id == batch_id, batches.c.status.in_(CANCELLABLE), batches.c.deleted_at.is_(None))
        .values(status="cancelling", cancelling_at=now_ms(), ending="cancelled")
    )
    return connection.execute(statement).rowcount == 1


def lock(connection: Connection, batch_id: int) -> bool:
    """Lock a batch that lines or jobs may still be sent of, until the transaction ends. False when there is none."""
    mine = (batches.c.id == batch_id, batches.c.status.in_(CANCELLABLE), batches.c.deleted_at.is_(None))
    return connection.execute(select(batches.c.id).where(*mine).with_for_update()).first() is not None


def pause(connection: Connection, batch_id: int) -> None:
    """Let workers send nothing more of a batch; since when stays as it was for one that is paused."""
    fresh = (batches.c.id == batch_id, batches.c.paused_at.is_(None))
    connection.execute(update(batches).where(*fresh).values(paused_at=now_ms()))


def resume(connection: Connection, batch_id: int) -> None:
    """Let workers go on with a batch."""
    connection.execute(update(batches).where(batches.c.id == batch_id).values(paused_at=None))


def steer(connection: Connection, batch_id: int, changes: Steering) -> None:
    """Change how a batch is run. The caller holds its lock."""
    connection.execute(update(batches).where(batches.c.id == batch_id).values(**changes))


@dataclass(frozen=True, slots=True)
class OverBatch:
    """A batch whose account's off-peak hours ended at `until`."""

    id: int
    account_id: int
    model: str | None
    until: int


def off_peak_over(connection: Connection, *, limit: int) -> list[OverBatch]:
    """At most `limit` batches that wait for off-peak hours, and whose last ones are over."""
    over = (IS_RUNNING, batches.c.off_peak_until.is_not(None), batches.c.off_peak_until <= now_ms())
    columns = (batches.c.id, batches.c.account_id, batches.c.model, batches.c.off_peak_until)
    return [OverBatch(*row) for row in connection.execute(select(*columns).where(*over).limit(limit))]


def wait_for_off_peak(
    connection: Connection, batch_id: int, *, seen: int, begins: int | None, ends: int | None
) -> bool:
    """Let a batch wait for hours from `begins` to `ends`, or for none. False when somebody else did so."""
    mine = (batches.c.id == batch_id, batches.c.off_peak_until == seen)
    values = {"not_before": begins, "off_peak_until": ends}
    return connection.execute(update(batches).where(*mine).values(**values)).rowcount == 1


def mark_deleted(connection: Connection, batch_id: int) -> bool:
    """Hide a batch that has ended; its files, lines and tokens stay. False when it has not ended, or is deleted."""
    statement = (
        update(batches)
        .where(batches.c.id == batch_id, batches.c.status.in_(TERMINAL), batches.c.deleted_at.is_(None))
        .values(deleted_at=now_ms())
    )
    return connection.execute(statement).rowcount == 1


def _with_waits(connection: Connection, found: list[Batch]) -> list[Batch]:
    running = [batch.id for batch in found if not batch.has_ended]
    if not running:
        return found
    reasons, progress = waits.of_batches(connection, running), waits.progress(connection, running)
    return [replace(batch, waiting_on=reasons.get(batch.id), progress=progress.get(batch.id)) for batch in found]


def _visible(project_id: int) -> ColumnElement[bool]:
    return and_(batches.c.project_id == project_id, batches.c.deleted_at.is_(None))


def _batch(row: Row[*tuple[Any, ...]]) -> Batch:
    return Batch(**row._asdict())
