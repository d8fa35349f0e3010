"""Rows of the ledger of usage: each charge once, by its key, whatever is written again."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import JSON, Connection, Text, bindparam, cast, column, func, select

from app.data.store.database import AnyRow, insert_ignoring, now_ms
from app.data.tables import batch_lines, batches, prices, usage_ledger
from app.lib import json

# Built once: every flush of results runs it.
_FACTS = (
    select(
        batches.c.project_id,
        batches.c.key_id,
        batches.c.account_id,
        batches.c.provider,
        batches.c.model,
        batches.c.model_override,
        batches.c.execution,
        batches.c.created_at,
        prices.c.id,
        prices.c.input_picodollars,
        prices.c.cached_picodollars,
        prices.c.output_picodollars,
        prices.c.batch_percent,
    )
    .outerjoin_from(batches, prices, prices.c.id == batches.c.price_id)
    .where(batches.c.id == bindparam("batch_id"))
)

_GIVEN = [column for column in usage_ledger.c if column.name not in ("id", "created_at")]
_INSERT = (
    insert_ignoring("sqlite", usage_ledger, "charge_key")
    .values(created_at=now_ms())
    .returning(usage_ledger.c.charge_key)
)
# PostgreSQL takes many rows in half the time as one parameter than as hundreds of them.
_ROWS = (
    func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
    .table_valued(*(column(given.name, given.type) for given in _GIVEN), name="given")
    .render_derived(with_types=True)
)
_INSERT_JSON = (
    insert_ignoring("postgresql", usage_ledger, "charge_key")
    .from_select([*(given.name for given in _GIVEN), "created_at"], select(*_ROWS.c, now_ms()))
    .returning(usage_ledger.c.charge_key)
)


def facts(connection: Connection, batch_id: int) -> AnyRow:
    """What charges of a batch have in common; the columns of its price are None where it has none."""
    return connection.execute(_FACTS, {"batch_id": batch_id}).one()


def other_models(connection: Connection, batch_id: int, lines: Collection[int]) -> dict[int, str]:
    """The models of those of the lines that have another one than the batch."""
    where = (batch_lines.c.batch_id == batch_id, batch_lines.c.line.in_(list(lines)), batch_lines.c.model.is_not(None))
    rows = connection.execute(select(batch_lines.c.line, batch_lines.c.model).where(*where))
    return {row.line: row.model for row in rows}


def insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Write charges; returns the keys of those that were not there. Rows have all columns but `id`, `created_at`."""
    if connection.dialect.name == "postgresql":
        return set(connection.execute(_INSERT_JSON, {"rows": json.dumps(list(rows)).decode()}).scalars())
    return set(connection.execute(_INSERT, list(rows)).scalars())
