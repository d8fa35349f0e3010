"""How much work a query makes the database do, in rows (PostgreSQL) or instructions (SQLite): no clock is involved."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event

# SQLite takes some dozen instructions to look at a row.
INSTRUCTIONS_PER_ROW = 100
STEP = 100


def rows_read(connection: Connection, act: Callable[[Connection], Any]) -> tuple[int, str]:
    """(rows that the statements of `act` look at, about; their plans, for a person)."""
    if connection.dialect.name == "sqlite":
        return _sqlite(connection, act)
    statements = _statements(connection, act)
    plans = [f"{text}\n{_outline(plan)}" for text, plan in statements]
    return sum(_touched(plan) for _, plan in statements), "\n".join(plans)


def _sqlite(connection: Connection, act: Callable[[Connection], Any]) -> tuple[int, str]:
    steps = 0
    plans: list[str] = []

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        given = parameters[0] if isinstance(parameters, list) else parameters
        rows = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()
        plans.append("\n".join([statement, *(row[-1] for row in rows)]))

    event.listen(connection, "before_cursor_execute", explain)
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.set_progress_handler(count, STEP)
    try:
        act(connection)
    finally:
        driver.set_progress_handler(None, 0)
        event.remove(connection, "before_cursor_execute", explain)
    return steps * STEP // INSTRUCTIONS_PER_ROW, "\n".join(plans)


def _statements(connection: Connection, act: Callable[[Connection], Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every statement of `act` with its plan, analysed; what that writes is done before `act` does it."""
    found: list[tuple[str, dict[str, Any]]] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SET "):
            return
        given = parameters[0] if isinstance(parameters, list) else parameters
        cursor.execute("SAVEPOINT before_explain")
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", given)
        found.append((statement, cursor.fetchone()[0][0]["Plan"]))
        cursor.execute("ROLLBACK TO SAVEPOINT before_explain")

    event.listen(connection, "before_cursor_execute", explain)
    try:
        act(connection)
    finally:
        event.remove(connection, "before_cursor_execute", explain)
    return found


def _touched(plan: dict[str, Any]) -> int:
    """Rows that a node and those below it produce or throw away."""
    removed = sum(plan.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Join Filter", "Index Recheck"))
    mine = (plan.get("Actual Rows", 0) + removed) * plan.get("Actual Loops", 0)
    return int(mine) + sum(_touched(below) for below in plan.get("Plans", []))


def _outline(plan: dict[str, Any], depth: int = 0) -> str:
    about = [str(plan[name]) for name in ("Relation Name", "Index Name", "Index Cond", "Filter") if name in plan]
    line = f"{'  ' * depth}{plan['Node Type']} {' '.join(about)}: {_touched(plan)} rows"
    return "\n".join([line, *(_outline(below, depth + 1) for below in plan.get("Plans", []))])
