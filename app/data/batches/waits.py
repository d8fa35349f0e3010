"""Lines that have run for a while, or wait to be sent again: rows that come and go while a batch runs."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, delete, exists, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from app.data.store.database import now_ms
from app.data.tables import batch_line_waits, batches
from app.lib.states import TERMINAL

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_KEPT = ("state", "epoch", "since", "until", "refusals", "refused_since", "kind", "status_code", "code", "message")


class NewWait(NamedTuple):
    """Why a line of a segment waits; milliseconds from now. `epoch` is that of the segment's lease."""

    line: int
    state: str
    epoch: int
    age_ms: int
    left_ms: int | None
    refusals: int
    refused_ms: int | None
    kind: str | None
    status_code: int | None
    code: str | None
    message: str | None


def note(connection: Connection, batch_id: int, waits: Iterable[NewWait]) -> None:
    """Record waits; one of a later epoch replaces an earlier one."""
    rows = [_row(batch_id, wait) for wait in waits]
    new = _INSERT[connection.dialect.name](batch_line_waits).values(
        batch_id=bindparam("batch_id"),
        line=bindparam("line"),
        since=now_ms() - bindparam("age_ms", type_=BigInteger),
        until=now_ms() + bindparam("left_ms", type_=BigInteger),
        refused_since=now_ms() - bindparam("refused_ms", type_=BigInteger),
        **{name: bindparam(name) for name in _KEPT if name not in ("since", "until", "refused_since")},
    )
    upsert = new.on_conflict_do_update(
        index_elements=["batch_id", "line"],
        set_={name: new.excluded[name] for name in _KEPT},
        where=batch_line_waits.c.epoch <= new.excluded.epoch,
    )
    connection.execute(upsert, rows)


def forget(connection: Connection, batch_id: int, lines: Collection[int]) -> None:
    """Delete the waits of lines that no longer do."""
    mine = (batch_line_waits.c.batch_id == batch_id, batch_line_waits.c.line.in_(list(lines)))
    connection.execute(delete(batch_line_waits).where(*mine))


def forget_ended(connection: Connection) -> None:
    """Delete the waits of batches that have ended."""
    ended = exists(
        select(literal(1)).where(batches.c.id == batch_line_waits.c.batch_id, batches.c.status.in_(TERMINAL))
    )
    connection.execute(delete(batch_line_waits).where(ended))


def _row(batch_id: int, wait: NewWait) -> dict[str, Any]:
    return {"batch_id": batch_id, **wait._asdict()}
