"""A store with rows in every table, made from the tables' own declarations."""

import re
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, Connection, Float, LargeBinary, Table, insert
from sqlalchemy.sql.sqltypes import String, Text

from app.data.tables import metadata

ROWS = 4
CHOICE = re.compile(r"^(\w+) IN \((.*)\)$")


def fill(connection: Connection) -> None:
    """Put ROWS rows into each table; half of them have NULL wherever it is allowed."""
    for table in metadata.sorted_tables:
        for number in range(1, ROWS + 1):
            connection.execute(insert(table).values(_row(table, number)))


def _row(table: Table, number: int) -> dict[str, Any]:
    choices = {
        found[1]: [value.strip().strip("'") for value in found[2].split(",")]
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint) and (found := CHOICE.match(str(constraint.sqltext)))
    }
    return {column.name: _value(column, number, choices) for column in table.columns}


def _value(column: Column[Any], number: int, choices: dict[str, list[str]]) -> Any:
    if column.name == "id" or column.foreign_keys:
        return number
    if column.nullable and number % 2 == 0:
        return None
    if column.name in choices:
        return choices[column.name][number % len(choices[column.name])]
    if isinstance(column.type, JSON):
        return {"ü": [number, None, 1.5, "\t\\N"], "": {}}
    if isinstance(column.type, LargeBinary):
        return bytes([0, number, 255, 10, 92])
    if isinstance(column.type, Float):
        return number / 3
    if isinstance(column.type, String | Text):
        return f'{number} \t\\N ü \n"'[: getattr(column.type, "length", None) or 99]
    return 2**53 + number if isinstance(column.type, BigInteger) else number
