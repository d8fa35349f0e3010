"""Work on every due row, a slice at a time, however many there are."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from app.services.gateway import Gateway

SLICE_ROWS = 200

T = TypeVar("T")


def each_due(
    gateway: Gateway,
    find: Callable[[Connection, int], Sequence[T]],
    act: Callable[[T], object],
    *,
    slice_rows: int = SLICE_ROWS,
) -> int:
    """Call `act` on each row that `find(connection, limit)` returns, until there are no more.

    Returns for how many rows `act` was true. A row for which it was false stays due; a slice of nothing but such rows
    ends the work.
    """
    total = 0
    while True:
        with gateway.database.read() as connection:
            due = find(connection, slice_rows)
        done = sum(1 for row in due if act(row))
        total += done
        if len(due) < slice_rows or not done:
            return total
