"""A database without disk space for some tables, as the database itself reports it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event, text

from app.data.store.database import Database

FUNCTION = """CREATE OR REPLACE FUNCTION no_space() RETURNS trigger AS $$ BEGIN
RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$ LANGUAGE plpgsql"""


@contextmanager
def full(database: Database, *tables: str) -> Iterator[None]:
    """No row can be inserted into `tables` or changed there; rows can be deleted."""
    names = [(table, act, f"full_{table}_{act.lower()}") for table in tables for act in ("INSERT", "UPDATE")]
    is_sqlite = database.dialect == "sqlite"
    with database.write() as connection:
        connection.execute(text("CREATE TABLE filler (x)" if is_sqlite else FUNCTION))
        for table, act, name in names:
            does = (
                "BEGIN INSERT INTO filler VALUES (zeroblob(1000000)); END"
                if is_sqlite
                else "FOR EACH ROW EXECUTE FUNCTION no_space()"
            )
            connection.execute(text(f"CREATE TRIGGER {name} AFTER {act} ON {table} {does}"))
    if is_sqlite:
        event.listen(database.writers, "checkout", _stop_growth)
    try:
        yield
    finally:
        if is_sqlite:
            event.remove(database.writers, "checkout", _stop_growth)
        with database.write() as connection:
            for table, _, name in names:
                connection.execute(text(f"DROP TRIGGER {name}" if is_sqlite else f"DROP TRIGGER {name} ON {table}"))
            if is_sqlite:
                connection.execute(text("PRAGMA max_page_count=1073741823"))


def _stop_growth(connection: object, *_: object) -> None:
    connection.execute("PRAGMA max_page_count=1")  # type: ignore[attr-defined]  # 1 means: no more than now
