"""Sums over the ledger, by what an admin asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, String, case, func, literal_column, select

from app.data.store.database import AnyRow
from app.data.tables import projects, usage_ledger, virtual_keys

DAY_MS = 86_400_000
# Sums are made of two parts: SQLite's end at 2^63, which is nine million dollars.
PART = 1_000_000

_ledger = usage_ledger.c
# Constants are literals: PostgreSQL takes no two parameters for the same expression.
_GROUPS: dict[str, ColumnElement[Any]] = {
    # Work of nobody's key, of a project that was adopted, is of key 0.
    "key": func.coalesce(_ledger.key_id, literal_column("0")),
    "project": _ledger.project_id,
    "provider": _ledger.provider,
    "model": _ledger.provider + literal_column("'/'", String) + _ledger.model,
    "day": _ledger.created_at // literal_column(str(DAY_MS), BigInteger),
}
GROUPS = tuple(_GROUPS)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which entries: `begins` <= created_at < `ends` (Unix ms), of one project or key (their integer ids) or of all."""

    begins: int
    ends: int
    project_id: int | None = None
    key_id: int | None = None


def sums(
    connection: Connection, scope: Scope, *, group_by: str, after: str | int | None, limit: int
) -> Sequence[AnyRow]:
    """One row for each group beyond `after`, in order of `bucket`, at most `limit`.

    `bucket` is an integer id for keys and projects, a number of days since 1970 for days, else text.
    """
    group = _GROUPS[group_by]
    statement = _summed(select(group.label("bucket")), scope)
    if after is not None:
        statement = statement.where(group > after)
    return connection.execute(statement.group_by(group).order_by(group).limit(limit)).all()


def total(connection: Connection, scope: Scope) -> AnyRow:
    """The sums of all groups."""
    return connection.execute(_summed(select(func.count().label("entries")), scope)).one()


def names_of_projects(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Names by integer id."""
    rows = connection.execute(select(projects.c.id, projects.c.name).where(projects.c.id.in_(ids)))
    return {row.id: row.name for row in rows}


def names_of_keys(connection: Connection, ids: Sequence[int]) -> dict[int, AnyRow]:
    """(id, public_id, name, project) by integer id."""
    columns = (virtual_keys.c.id, virtual_keys.c.public_id, virtual_keys.c.name, projects.c.name.label("project"))
    statement = select(*columns).join_from(virtual_keys, projects).where(virtual_keys.c.id.in_(ids))
    return {row.id: row for row in connection.execute(statement)}


def project_id(connection: Connection, name: str) -> int | None:
    """The integer id of a project."""
    return connection.execute(select(projects.c.id).where(projects.c.name == name)).scalar()


def key_id(connection: Connection, public_id: str) -> int | None:
    """The integer id of a key."""
    return connection.execute(select(virtual_keys.c.id).where(virtual_keys.c.public_id == public_id)).scalar()


def _summed(statement: Select[Any], scope: Scope) -> Select[Any]:
    cost = _ledger.cost_picodollars

    def total_of(column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        return func.coalesce(func.sum(column), 0).label(name)

    statement = statement.add_columns(
        total_of(case((_ledger.kind == "line", 1), else_=0), "lines"),
        total_of(case((cost.is_(None), 1), else_=0), "unknown"),
        total_of(_ledger.input_tokens, "input_tokens"),
        total_of(_ledger.cached_tokens, "cached_tokens"),
        total_of(_ledger.output_tokens, "output_tokens"),
        total_of(_ledger.reasoning_tokens, "reasoning_tokens"),
        total_of(cost // PART, "cost_whole"),
        total_of(cost % PART, "cost_part"),
    ).where(_ledger.created_at >= scope.begins, _ledger.created_at < scope.ends)
    if scope.project_id is not None:
        statement = statement.where(_ledger.project_id == scope.project_id)
    if scope.key_id is not None:
        statement = statement.where(_ledger.key_id == scope.key_id)
    return statement
