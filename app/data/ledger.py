"""Rows of the ledger of usage: each charge once, by its key, whatever is written again."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from app.data.database import AnyRow, insert_ignoring, now_ms
from app.data.tables import batch_lines, batches, prices, usage_ledger

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


def facts(connection: Connection, batch_id: int) -> AnyRow:
    """What charges of a batch have in common; the columns of its price are None where it has none."""
    return connection.execute(_FACTS, {"batch_id": batch_id}).one()


def other_models(connection: Connection, batch_id: int, lines: Collection[int]) -> dict[int, str]:
    """The models of those of the lines that have another one than the batch."""
    where = (batch_lines.c.batch_id == batch_id, batch_lines.c.line.in_(list(lines)), batch_lines.c.model.is_not(None))
    rows = connection.execute(select(batch_lines.c.line, batch_lines.c.model).where(*where))
    return {row.line: row.model for row in rows}


def insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Write charges; returns the keys of those that were not there. All rows have the same columns."""
    statement = insert_ignoring(connection, usage_ledger, "charge_key").values(created_at=now_ms())
    return set(connection.execute(statement.returning(usage_ledger.c.charge_key), list(rows)).scalars())
