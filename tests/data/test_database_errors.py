"""What an error of the database says, and what it does not."""

import traceback
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError

from app.data.batches import lines
from app.data.batches.lines import LineResult
from app.data.store.database import Database
from app.data.tables import projects
from app.services.gateway import Gateway

SECRET = "canary-of-a-caller"


@pytest.fixture
def database(gateway: Gateway) -> Database:
    return gateway.database


def test_no_parameter_of_a_statement_stands_in_its_error(database: Database) -> None:
    row = {"name": SECRET, "created_at": None}
    statements = (insert(projects).values(**row), insert(projects).values([row, row]))
    for statement in statements:
        with pytest.raises(DBAPIError) as raised, database.write() as connection:
            connection.execute(statement)
        text = "".join(traceback.format_exception(raised.value.with_traceback(None), chain=False))
        assert "INSERT INTO projects" in text  # which statement it was remains
        assert SECRET not in text


def test_no_parameter_stands_in_the_error_of_a_query(database: Database) -> None:
    with pytest.raises(DBAPIError) as raised, database.read() as connection:
        connection.execute(select(projects.c.id / (projects.c.id - projects.c.id)).where(projects.c.name == SECRET))
        connection.exec_driver_sql("SELECT no_such_column")
    assert SECRET not in str(raised.value)


def test_no_parameter_stands_in_the_error_of_a_bulk_write(database: Database) -> None:
    # The state is none that the table allows.
    result = LineResult(1, SECRET, 1, 0, 200, SECRET, 5, 1, 1, None, 1, 0, 10)
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO batch_lines (batch_id, line, custom_id, state) VALUES (1, 1, 'a', 'pending')"
        )
    with pytest.raises(DBAPIError) as raised, database.write() as connection:
        lines.write_results(connection, 1, [result])
    assert SECRET not in str(raised.value)
    assert SECRET not in str(raised.value.orig)


def test_a_connection_that_is_used_while_the_pool_is_disposed_of_is_closed_afterwards(gateway: Gateway) -> None:
    database = gateway.database
    for opened in (database.read, database.write):
        with opened() as connection:
            connection.exec_driver_sql("SELECT 1")
            raw: Any = connection.connection.dbapi_connection
            database.dispose()
        assert database.dialect == "sqlite" or raw.closed
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        kept: Any = connection.connection.dbapi_connection
    assert database.dialect == "sqlite" or not kept.closed
