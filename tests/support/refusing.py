"""A store that refuses some rows, for a reason that no time will change."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from app.services.gateway import Gateway

QUOTE = "'"


@contextmanager
def refusing(gateway: Gateway, condition: str, *, event: str = "UPDATE") -> Iterator[None]:
    """Each `event` on a row of batch_lines that meets `condition` (of `NEW`) fails."""
    if gateway.database.dialect == "sqlite":
        refused = "BEGIN SELECT RAISE(ABORT, 'no'); END"
        made = [f"CREATE TRIGGER poison BEFORE {event} ON batch_lines WHEN {condition} {refused}"]
        undone = ["DROP TRIGGER poison"]
    else:
        body = "BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END".replace(QUOTE, QUOTE * 2)
        when = f"BEFORE {event} ON batch_lines FOR EACH ROW WHEN ({condition})"
        made = [
            f"CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS '{body}'",
            f"CREATE TRIGGER poison {when} EXECUTE FUNCTION poison()",
        ]
        undone = ["DROP TRIGGER poison ON batch_lines", "DROP FUNCTION poison"]
    _execute(gateway, made)
    try:
        yield
    finally:
        _execute(gateway, undone)


def _execute(gateway: Gateway, statements: list[str]) -> None:
    with gateway.database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))
