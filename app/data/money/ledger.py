"""Queries on the usage ledger. Each charge has a key and is stored once, however often it is written."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import JSON, Connection, Text, bindparam, cast, column, func, select

from app.data.money.prices import Rates
from app.data.store.bulk import Bulk
from app.data.store.database import insert_ignoring, now_ms
from app.data.tables import batch_jobs, batch_lines, batches, prices, usage_ledger
from app.lib import json


@dataclass(frozen=True, slots=True)
class ChargedBatch:
    """What all charges of a batch have in common. `rates` are None while the batch has no price."""

    id: int
    public_id: str
    project_id: int
    key_id: int | None
    account_id: int
    provider: str
    model: str | None
    model_override: str | None
    execution: str
    created_at: int
    rates: Rates | None


class Charge(NamedTuple):
    """One entry. Token counts and cost are None while unknown. A named tuple, since there is one for each line."""

    charge_key: str
    kind: str
    project_id: int
    key_id: int | None
    account_id: int
    batch_id: int
    line: int | None
    provider: str
    model: str
    execution: str
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    price_id: int | None = None
    cost_picodollars: int | None = None


# Built once: every flush of results runs it.
_FACTS = (
    select(
        batches.c.public_id,
        batches.c.project_id,
        batches.c.key_id,
        batches.c.account_id,
        batches.c.provider,
        batches.c.model,
        batches.c.model_override,
        batches.c.execution,
        batches.c.created_at,
        prices.c.id.label("price_id"),
        prices.c.input_picodollars,
        prices.c.cached_picodollars,
        prices.c.output_picodollars,
        prices.c.batch_percent,
        prices.c.cached_batch_percent,
    )
    .outerjoin_from(batches, prices, prices.c.id == batches.c.price_id)
    .where(batches.c.id == bindparam("batch_id"))
)

_COLUMNS = [column for column in usage_ledger.c if column.name not in ("id", "created_at")]
_INSERT = insert_ignoring("sqlite", usage_ledger, "charge_key").values(
    {name: bindparam(name) for name in Charge._fields} | {"created_at": now_ms()}
)
_INSERT_ALL = Bulk(_INSERT, Charge._fields)
_INSERT_SOME = _INSERT.returning(usage_ledger.c.charge_key)
# Measured on PostgreSQL: one JSON parameter for all rows takes half the time of hundreds of parameters.
_ROWS = (
    func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
    .table_valued(*(column(each.name, each.type) for each in _COLUMNS), name="given")
    .render_derived(with_types=True)
)
_INSERT_JSON = (
    insert_ignoring("postgresql", usage_ledger, "charge_key")
    .from_select([*(each.name for each in _COLUMNS), "created_at"], select(*_ROWS.c, now_ms()))
    .returning(usage_ledger.c.charge_key)
)


def unended_lines(connection: Connection, job_id: int) -> int:
    """How many lines of a job have no result."""
    unended = batch_jobs.c.lines - batch_jobs.c.lines_completed - batch_jobs.c.lines_failed
    return connection.execute(select(unended).where(batch_jobs.c.id == job_id)).scalar() or 0


def charged_batch(connection: Connection, batch_id: int) -> ChargedBatch:
    """Returns what all charges of a batch have in common."""
    row = connection.execute(_FACTS, {"batch_id": batch_id}).one()
    rates = None
    if row.price_id is not None:
        rates = Rates(
            id=row.price_id,
            input_picodollars=row.input_picodollars,
            cached_picodollars=row.cached_picodollars,
            output_picodollars=row.output_picodollars,
            batch_percent=row.batch_percent,
            cached_batch_percent=row.cached_batch_percent,
        )
    return ChargedBatch(
        id=batch_id,
        public_id=row.public_id,
        project_id=row.project_id,
        key_id=row.key_id,
        account_id=row.account_id,
        provider=row.provider,
        model=row.model,
        model_override=row.model_override,
        execution=row.execution,
        created_at=row.created_at,
        rates=rates,
    )


def other_models(connection: Connection, batch_id: int, lines: Collection[int]) -> dict[int, str]:
    """Returns the models of those lines whose model differs from the batch's, by line number."""
    where = (batch_lines.c.batch_id == batch_id, batch_lines.c.line.in_(list(lines)), batch_lines.c.model.is_not(None))
    rows = connection.execute(select(batch_lines.c.line, batch_lines.c.model).where(*where))
    return {row.line: row.model for row in rows}


def insert(connection: Connection, charges: Sequence[Charge]) -> set[str]:
    """Inserts charges and returns the keys of those that were not there before."""
    if connection.dialect.name == "postgresql":
        rows = json.dumps([charge._asdict() for charge in charges]).decode()
        return set(connection.execute(_INSERT_JSON, {"rows": rows}).scalars())
    with connection.begin_nested() as savepoint:
        if _INSERT_ALL.run(connection, charges) == len(charges):
            return {charge.charge_key for charge in charges}
        savepoint.rollback()
    # Some are there already, which is rare: which ones, SQLite says of one row at a time.
    inserted = (connection.execute(_INSERT_SOME, charge._asdict()).scalar() for charge in charges)
    return {key for key in inserted if key is not None}
