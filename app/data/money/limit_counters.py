"""Queries on limit counters, and on other tables that limits depend on. Owners are projects, keys and accounts."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, case, func, literal, select, text, union_all, update

from app.data.store.database import insert_absent, now_ms
from app.data.tables import accounts, batches, files, limit_counters, projects, uploads, virtual_keys
from app.lib.states import BATCH_STATUSES, TERMINAL

STORED_BYTES = "stored_bytes"
_TABLES = {"account": accounts, "key": virtual_keys, "project": projects}
_OWNER_COLUMNS = {"account": batches.c.account_id, "key": batches.c.key_id, "project": batches.c.project_id}
# Literals instead of parameters: a partial index serves only statements that contain its condition.
_RUNNING = [status for status in BATCH_STATUSES if status not in TERMINAL]
_IS_PENDING = text("uploads.state = 'pending'")
_IS_OPEN = batches.c.status.in_(bindparam("running", _RUNNING, expanding=True, literal_execute=True))


class PendingUploads(NamedTuple):
    """How many uploads wait for their parts, and how many bytes those were announced with."""

    uploads: int
    bytes: int


class OpenWork(NamedTuple):
    """How many batches have not ended, and how many of their lines."""

    batches: int
    lines: int


def add(connection: Connection, *, owner: str, owner_id: int, name: str, amount: int) -> None:
    """Adds to the sum `name` of an owner, inserting the counter if absent."""
    statement = update(limit_counters).where(*_is(owner, owner_id, name))
    statement = statement.values(value=limit_counters.c.value + amount)
    if connection.execute(statement).rowcount == 0:
        insert_absent(connection, limit_counters, owner=owner, owner_id=owner_id, name=name, value=0)
        connection.execute(statement)


def add_stored(connection: Connection, *, project_id: int, key_id: int | None, size: int) -> None:
    """Adds `size` bytes (negative when a file is deleted) to what files of the project, and of the key, store."""
    if size == 0:
        return
    if key_id is not None:
        add(connection, owner="key", owner_id=key_id, name=STORED_BYTES, amount=size)
    add(connection, owner="project", owner_id=project_id, name=STORED_BYTES, amount=size)


def value(connection: Connection, *, owner: str, owner_id: int, name: str) -> int:
    """Returns the sum `name` of an owner."""
    statement = select(limit_counters.c.value).where(*_is(owner, owner_id, name))
    return int(connection.execute(statement).scalar() or 0)


def pending_uploads(connection: Connection, *, owner: str, owner_id: int) -> PendingUploads:
    """Returns the uploads of a project or key that wait for their parts, until a sweep ends those that have expired."""
    project_id: Any = owner_id
    if owner == "key":
        # The index is by project.
        project_id = select(virtual_keys.c.project_id).where(virtual_keys.c.id == owner_id).scalar_subquery()
    statement = select(func.count(), func.coalesce(func.sum(uploads.c.bytes), 0))
    statement = statement.where(uploads.c.project_id == project_id, _IS_PENDING)
    if owner == "key":
        statement = statement.where(uploads.c.key_id == owner_id)
    return PendingUploads(*(int(count) for count in connection.execute(statement).one()))


def lock(connection: Connection, *, owner: str, owner_id: int, name: str) -> tuple[Mapping[str, Any] | None, int]:
    """Locks a counter until the transaction ends. Returns its windows, and the database's time in Unix ms."""
    statement = select(limit_counters.c.windows).where(*_is(owner, owner_id, name)).with_for_update()
    row = connection.execute(statement).first()
    if row is None:
        insert_absent(connection, limit_counters, owner=owner, owner_id=owner_id, name=name, value=0)
        row = connection.execute(statement).one()
    # A separate statement: time may have passed while waiting for the lock.
    return row.windows, int(connection.execute(select(now_ms())).scalar_one())


def read(connection: Connection, *, owner: str, owner_id: int, name: str) -> tuple[Mapping[str, Any] | None, int]:
    """Returns the same as `lock`, without locking."""
    statement = select(limit_counters.c.windows, now_ms()).where(*_is(owner, owner_id, name))
    row = connection.execute(statement).first()
    return (None, 0) if row is None else (row[0], int(row[1]))


def save(
    connection: Connection, *, owner: str, owner_id: int, name: str, windows: Mapping[str, Any], count: int
) -> None:
    """Stores the new windows of a locked counter; `count` is informational, for operators who read SQL."""
    statement = update(limit_counters).where(*_is(owner, owner_id, name))
    connection.execute(statement.values(windows=dict(windows), value=count))


def open_work(connection: Connection, *, owner: str, owner_id: int) -> OpenWork:
    """Returns the owner's open work. For a batch that is not planned yet, the lines of its input file count."""
    over = batches.c.lines_completed + batches.c.lines_failed + batches.c.lines_expired + batches.c.lines_cancelled
    lines = case((batches.c.lines_total > 0, batches.c.lines_total - over), else_=func.coalesce(files.c.lines, 0))
    statement = (
        select(func.count(), func.coalesce(func.sum(lines), 0))
        .join_from(batches, files, files.c.id == batches.c.input_file_id)
        .where(_OWNER_COLUMNS[owner] == owner_id, _IS_OPEN)
    )
    if owner == "key":
        # The first column of the index of open batches is the project.
        project = select(virtual_keys.c.project_id).where(virtual_keys.c.id == owner_id).scalar_subquery()
        statement = statement.where(batches.c.project_id == project)
    return OpenWork(*(int(count) for count in connection.execute(statement).one()))


def limits_of(connection: Connection, owners: Mapping[str, int]) -> dict[str, Mapping[str, int]]:
    """Returns the limits that are set, by kind of owner; `owners` maps each kind to an id."""
    selects = [
        select(literal(owner).label("owner"), _TABLES[owner].c.limits).where(
            _TABLES[owner].c.id == owner_id, _TABLES[owner].c.limits.is_not(None)
        )
        for owner, owner_id in sorted(owners.items())
    ]
    return {row.owner: row.limits for row in connection.execute(union_all(*selects))}


def _is(owner: str, owner_id: int, name: str) -> tuple[Any, ...]:
    return (limit_counters.c.owner == owner, limit_counters.c.owner_id == owner_id, limit_counters.c.name == name)
