"""Rows of batches as clients make, list, cancel and delete them; workers move them on in batch_work."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, insert, select, update

from app.data.store import paging
from app.data.store.database import AnyRow, now_ms
from app.data.tables import batch_jobs, batches, blobs, files
from app.data.tables.batches import TERMINAL

CANCELLABLE = ("validating", "in_progress")

_input = files.alias("input_file")
_output = files.alias("output_file")
_error = files.alias("error_file")
_first = batches.alias("first_try")
_BATCH = (
    select(
        batches,
        _input.c.public_id.label("input_file"),
        _output.c.public_id.label("output_file"),
        _error.c.public_id.label("error_file"),
        _first.c.public_id.label("retry_of_batch"),
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
)


def insert_batch(connection: Connection, *, window_ms: int, **values: Any) -> AnyRow:
    """A new `validating` batch whose window begins now; `values` are its other columns. Returns it as `find` does."""
    # Asked once: two readings of the clock may be a millisecond apart, and then a second apart on the wire.
    now = connection.execute(select(now_ms())).scalar_one()
    statement = insert(batches).values(status="validating", created_at=now, expires_at=now + window_ms, **values)
    batch_id = connection.execute(statement.returning(batches.c.id)).scalar_one()
    return connection.execute(_BATCH.where(batches.c.id == batch_id)).one()


def find(connection: Connection, *, project_id: int, public_id: str) -> AnyRow | None:
    """A batch of the project: all its columns, and `input_file`, `output_file`, `error_file`, `retry_of_batch`."""
    return connection.execute(_BATCH.where(_visible(project_id), batches.c.public_id == public_id)).first()


def list_page(
    connection: Connection,
    *,
    project_id: int,
    provider: str | None,
    statuses: Sequence[str] | None,
    after: paging.Position | None,
    limit: int,
) -> Sequence[AnyRow]:
    """At most `limit` + 1 batches of the project, newest first."""
    statement = _BATCH.where(_visible(project_id))
    if provider is not None:
        statement = statement.where(batches.c.provider == provider)
    if statuses is not None:
        same = batches.c.status == statuses[0] if len(statuses) == 1 else batches.c.status.in_(statuses)
        statement = statement.where(same)
    return connection.execute(paging.page(statement, batches, after=after, descending=True, limit=limit)).all()


def position(connection: Connection, *, project_id: int, public_id: str) -> paging.Position | None:
    """Where a batch of the project stands in lists, deleted ones included."""
    return paging.position(connection, batches, batches.c.project_id == project_id, public_id=public_id)


def find_native(connection: Connection, *, project_id: int, native_id: str) -> AnyRow | None:
    """As `find`, by the id that the batch has at its provider, when a job of it is alone there under that id."""
    mine = select(batch_jobs.c.batch_id).where(batch_jobs.c.native_id == native_id)
    rows = connection.execute(_BATCH.where(_visible(project_id), batches.c.id.in_(mine)).limit(2)).all()
    return rows[0] if len(rows) == 1 else None


def cancel(connection: Connection, batch_id: int) -> bool:
    """Ask the workers to end it. False when it is not validating or running."""
    statement = (
        update(batches)
        .where(batches.c.id == batch_id, batches.c.status.in_(CANCELLABLE), batches.c.deleted_at.is_(None))
        .values(status="cancelling", cancelling_at=now_ms(), ending="cancelled")
    )
    return connection.execute(statement).rowcount == 1


def mark_deleted(connection: Connection, batch_id: int) -> bool:
    """Hide a batch that is over; its files, lines and tokens stay. False when it is not over, or gone."""
    statement = (
        update(batches)
        .where(batches.c.id == batch_id, batches.c.status.in_(TERMINAL), batches.c.deleted_at.is_(None))
        .values(deleted_at=now_ms())
    )
    return connection.execute(statement).rowcount == 1


def find_input(connection: Connection, *, project_id: int, public_id: str) -> AnyRow | None:
    """(id, purpose, lines, home, key) of a file of the project; `key` is NULL when its bytes are gone."""
    return connection.execute(_file(project_id, public_id)).first()


def hold_input(connection: Connection, *, project_id: int, public_id: str) -> AnyRow | None:
    """As `find_input`; until the transaction is over nobody can delete the file."""
    # SQLite has one writer at a time, which is lock enough; it leaves FOR SHARE out.
    return connection.execute(_file(project_id, public_id).with_for_update(read=True, of=files)).first()


def _visible(project_id: int) -> ColumnElement[bool]:
    return and_(batches.c.project_id == project_id, batches.c.deleted_at.is_(None))


def _file(project_id: int, public_id: str) -> Any:
    return (
        select(files.c.id, files.c.purpose, files.c.lines, files.c.home, blobs.c.key)
        .outerjoin_from(files, blobs, and_(blobs.c.id == files.c.blob_id, blobs.c.state == "live"))
        .where(files.c.project_id == project_id, files.c.public_id == public_id, files.c.deleted_at.is_(None))
    )
