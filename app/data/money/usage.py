"""Sums over the usage ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    String,
    case,
    func,
    literal_column,
    select,
)

from app.data.tables import projects, usage_ledger, virtual_keys

DAY_MS = 86_400_000
# Costs are summed in two parts: a single sum would overflow SQLite's 64-bit integers at about nine million dollars.
PART = 1_000_000

_ledger = usage_ledger.c
# Constants are literals: PostgreSQL treats two parameters as different expressions, so GROUP BY would not match.
_GROUPS: dict[str, ColumnElement[Any]] = {
    # Adopted work belongs to a project but to no key; it is grouped as key 0.
    "key": func.coalesce(_ledger.key_id, literal_column("0")),
    "project": _ledger.project_id,
    "provider": _ledger.provider,
    "model": _ledger.provider + literal_column("'/'", String) + _ledger.model,
    "day": _ledger.created_at // literal_column(str(DAY_MS), BigInteger),
}
GROUPS = tuple(_GROUPS)


@dataclass(frozen=True, slots=True)
class Scope:
    """Selects entries with `begins` <= created_at < `ends` (Unix ms), of one project or key (integer ids) or of all."""

    begins: int
    ends: int
    project_id: int | None = None
    key_id: int | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of some entries. The cost is `cost_whole` * PART + `cost_part` picodollars; `unknown` entries have none.

    `bucket` is what the group has in common: the integer id of a key or project, days since 1970, or text. It is None
    for the sum of all groups.
    """

    bucket: int | str | None
    lines: int
    unknown: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_whole: int
    cost_part: int


@dataclass(frozen=True, slots=True)
class KeyName:
    """What a key is called."""

    id: int
    public_id: str
    name: str
    project: str


def sums(connection: Connection, scope: Scope, *, group_by: str, after: str | int | None, limit: int) -> Sequence[Sums]:
    """Returns at most `limit` groups after the bucket `after`, in order of their buckets."""
    group = _GROUPS[group_by]
    statement = _summed(select(group.label("bucket")), scope)
    if after is not None:
        statement = statement.where(group > after)
    rows = connection.execute(statement.group_by(group).order_by(group).limit(limit))
    return [_sums(row._mapping, bucket=row.bucket) for row in rows]


def total(connection: Connection, scope: Scope) -> Sums:
    """Returns the sum of all groups."""
    return _sums(connection.execute(_summed(select(), scope)).one()._mapping, bucket=None)


def names_of_projects(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Returns the names of projects by their integer ids."""
    rows = connection.execute(select(projects.c.id, projects.c.name).where(projects.c.id.in_(ids)))
    return {row.id: row.name for row in rows}


def names_of_keys(connection: Connection, ids: Sequence[int]) -> dict[int, KeyName]:
    """Returns the names of keys by their integer ids."""
    columns = (virtual_keys.c.id, virtual_keys.c.public_id, virtual_keys.c.name, projects.c.name.label("project"))
    statement = select(*columns).join_from(virtual_keys, projects).where(virtual_keys.c.id.in_(ids))
    return {row.id: KeyName(**row._mapping) for row in connection.execute(statement)}


def project_id(connection: Connection, name: str) -> int | None:
    """Returns the integer id of the project called `name`."""
    return connection.execute(select(projects.c.id).where(projects.c.name == name)).scalar()


def key_id(connection: Connection, public_id: str) -> int | None:
    """Returns the integer id of the key with this public id."""
    return connection.execute(select(virtual_keys.c.id).where(virtual_keys.c.public_id == public_id)).scalar()


def _sums(row: RowMapping, *, bucket: int | str | None) -> Sums:
    # PostgreSQL sums BIGINT as NUMERIC, which arrives as Decimal.
    return Sums(bucket, **{name: int(row[name]) for name in Sums.__dataclass_fields__ if name != "bucket"})


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
