"""Lists by keyset: pages stay right while rows are added and deleted, and cost the same at any depth."""

from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, bindparam, func, select, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Position = tuple[int, int]  # (created_at, id)

S = TypeVar("S", bound=Select[Any])


def position(connection: Connection, table: Table, *scope: ColumnElement[bool], public_id: str) -> Position | None:
    """Where `public_id` stands in the order of lists, tombstones included; None when it is outside `scope`."""
    statement = select(table.c.created_at, table.c.id).where(table.c.public_id == public_id, *scope)
    row = connection.execute(statement).first()
    return None if row is None else (row.created_at, row.id)


def within(column: ColumnElement[int], owner_id: int | ColumnElement[int]) -> ColumnElement[bool]:
    """`column` = `owner_id`, for a row that is looked up by its unique id: no index answers this condition.

    Otherwise PostgreSQL may prefer the index of the owner's rows, and read all of them, while it has no statistics.
    """
    return column + 0 == owner_id


def alive(deleted_at: ColumnElement[int] | Column[int]) -> ColumnElement[bool]:
    """`deleted_at` IS NULL, as `within`: the partial index of all rows that are alive does not answer it."""
    return func.coalesce(deleted_at, 0) == 0


class few(FunctionElement[bool]):  # noqa: N801 - used as an SQL function
    """A condition that is true of few rows, so that SQLite uses the index that answers it; it has no statistics."""

    inherit_cache = True


@compiles(few, "sqlite")
def _few_sqlite(element: few, compiler: SQLCompiler, **options: Any) -> str:
    return f"unlikely({compiler.process(element.clauses, **options)})"


@compiles(few)
def _few(element: few, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})"


def native_position(
    connection: Connection, table: Table, *scope: ColumnElement[bool], native_id: str
) -> Position | None:
    """As `position`, by the native id; the newest row where several have it."""
    statement = select(table.c.created_at, table.c.id).where(table.c.native_id == native_id, *scope)
    row = connection.execute(statement.order_by(table.c.id.desc()).limit(1)).first()
    return None if row is None else (row.created_at, row.id)


def page(statement: S, table: Table, *, after: Position | None, descending: bool, limit: int) -> S:
    """`statement` in the order of lists, after `after`, with one row more than `limit` to show whether more follow."""
    return _page(statement, table, after=after, descending=descending).limit(limit + 1)


def prepared_page(statement: S, table: Table, *, is_first: bool, descending: bool) -> S:
    """As `page`, to be built once: what differs between requests are the parameters of `page_parameters`."""
    after = None if is_first else tuple_(bindparam("after_created_at"), bindparam("after_id"))
    return _page(statement, table, after=after, descending=descending).limit(bindparam("rows"))


def page_parameters(after: Position | None, *, limit: int) -> dict[str, int]:
    """What a prepared page is executed with."""
    position = {} if after is None else {"after_created_at": after[0], "after_id": after[1]}
    return {"rows": limit + 1, **position}


def _page(statement: S, table: Table, *, after: Any, descending: bool) -> S:
    key = tuple_(table.c.created_at, table.c.id)
    if after is not None:
        statement = statement.where(key < after if descending else key > after)
    columns = (table.c.created_at, table.c.id)
    return statement.order_by(*(column.desc() if descending else column.asc() for column in columns))
