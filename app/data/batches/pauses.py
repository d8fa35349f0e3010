"""Pauses: where providers refuse lines, since when, until when, and in which words."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, select, union_all, update
from sqlalchemy.sql import ColumnElement

from app.data.store.database import insert_absent, now_ms
from app.data.tables import accounts, pauses, projects


@dataclass(frozen=True, slots=True)
class PauseState:
    """A pause as workers observe it. The model '' is the whole account; no project is all of them."""

    model: str
    project_id: int | None
    kind: str
    pauses: int
    status_code: int | None
    code: str | None
    message: str | None
    left_ms: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class ShownPause:
    """A pause as operators see it. Instants are Unix milliseconds."""

    id: int
    provider: str
    account: str
    model: str
    project: str | None
    kind: str
    since: int
    paused_until: int
    pauses: int
    status_code: int | None
    code: str | None
    message: str | None


def of_capacity(connection: Connection, *, account_id: int, model: str) -> list[PauseState]:
    """The pauses that lines for `model` at the account observe, also those that only a probe can end now."""
    columns = (
        pauses.c.model,
        pauses.c.project_id,
        pauses.c.kind,
        pauses.c.pauses,
        pauses.c.status_code,
        pauses.c.code,
        pauses.c.message,
        (pauses.c.paused_until - now_ms()).label("left_ms"),
        (now_ms() - pauses.c.since).label("age_ms"),
    )
    mine = (pauses.c.account_id == account_id, pauses.c.model.in_(("", model)))
    # Each of the two partial indexes serves one half.
    halves = (pauses.c.project_id.is_(None), pauses.c.project_id.is_not(None))
    statement = union_all(*(select(*columns).where(*mine, half) for half in halves))
    return [PauseState(**row._asdict()) for row in connection.execute(statement)]


def note(
    connection: Connection,
    *,
    account_id: int,
    model: str,
    project_id: int | None,
    pause_ms: int,
    kind: str,
    status_code: int | None,
    code: str,
    message: str,
) -> None:
    """Pause, or pause once more: `since` stays where it was."""
    values = {
        "kind": kind,
        "status_code": status_code,
        "code": code,
        "message": message,
        "paused_until": now_ms() + pause_ms,
    }
    again = update(pauses).where(_scope(account_id, model, project_id)).values(pauses=pauses.c.pauses + 1, **values)
    if not connection.execute(again).rowcount:
        key = {"account_id": account_id, "model": model, "project_id": project_id}
        insert_absent(connection, pauses, since=now_ms(), pauses=0, **key, **values)


def lift(connection: Connection, *, account_id: int, model: str, project_id: int | None) -> None:
    """End a pause: a line was answered."""
    connection.execute(delete(pauses).where(_scope(account_id, model, project_id)))


def list_all(connection: Connection, *, limit: int, after: int = 0) -> list[ShownPause]:
    """At most `limit` pauses after the id `after`, the oldest first."""
    # Not joined: without statistics PostgreSQL reads all pauses and sorts them for a page.
    account = accounts.c.id == pauses.c.account_id
    statement = (
        select(
            pauses.c.id,
            select(accounts.c.provider).where(account).scalar_subquery().label("provider"),
            select(accounts.c.name).where(account).scalar_subquery().label("account"),
            pauses.c.model,
            select(projects.c.name).where(projects.c.id == pauses.c.project_id).scalar_subquery().label("project"),
            pauses.c.kind,
            pauses.c.since,
            pauses.c.paused_until,
            pauses.c.pauses,
            pauses.c.status_code,
            pauses.c.code,
            pauses.c.message,
        )
        .where(pauses.c.id > after)
        .order_by(pauses.c.id)
        .limit(limit)
    )
    return [ShownPause(**row._asdict()) for row in connection.execute(statement)]


def clear(connection: Connection, ids: Sequence[int]) -> int:
    """Delete pauses; returns how many there were."""
    return connection.execute(delete(pauses).where(pauses.c.id.in_(ids))).rowcount


def forget_old(connection: Connection, *, after_ms: int) -> None:
    """Delete pauses that nobody has probed for `after_ms`: the lines that made them are gone."""
    connection.execute(delete(pauses).where(pauses.c.paused_until < now_ms() - after_ms))


def _scope(account_id: int, model: str, project_id: int | None) -> ColumnElement[bool]:
    mine = pauses.c.project_id.is_(None) if project_id is None else pauses.c.project_id == project_id
    return and_(pauses.c.account_id == account_id, pauses.c.model == model, mine)
