"""The types of rows: a query names its columns by the fields of the dataclass or named tuple that it returns."""

from typing import Any

from sqlalchemy import Column, Table


def columns(table: Table, row_type: type) -> list[Column[Any]]:
    """The columns of `table` that `row_type` has fields of the same name for, in the order of the fields."""
    return [table.c[name] for name in row_type.__annotations__ if name in table.c]
