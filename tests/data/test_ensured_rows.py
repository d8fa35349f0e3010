"""Rows that are made at their first use, while another process makes the same one."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from app.data import tables
from app.data.access import accounts, keys
from app.data.batches import capacity, workers
from app.services.gateway import Gateway
from tests.support.waiting import until

ENSURED: dict[str, tuple[Any, Callable[[Connection], Any]]] = {
    "project": (tables.projects, lambda c: keys.ensure_project(c, "new")),
    "account": (tables.accounts, lambda c: accounts.ensure(c, provider="local", name="x", base_url="http://x/v1")),
    "capacity": (tables.account_capacity, lambda c: capacity.ensure(c, account_id=1, model="m", ceiling=8)),
    "periodic": (tables.periodic_leases, lambda c: workers.ensure_periodic(c, name="sweep")),
}


@pytest.mark.parametrize("kind", ENSURED)
def test_two_processes_that_need_a_row_first_share_it(gateway: Gateway, kind: str) -> None:
    table, ensure = ENSURED[kind]
    assert gateway.accounts.ids() == [1]  # the account that the capacity is of
    with gateway.database.read() as connection:
        before = connection.execute(select(func.count()).select_from(table)).scalar_one()
    found: list[Any] = []

    def other() -> None:
        with gateway.database.write() as connection:
            found.append(ensure(connection))

    thread = threading.Thread(target=other)
    with gateway.database.write() as connection:
        mine = ensure(connection)
        thread.start()
        until(lambda: _waits(gateway))
    thread.join()
    assert found == [mine]
    with gateway.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() == before + 1


def _waits(gateway: Gateway) -> bool:
    """True when the other transaction waits for the first one, as far as the database tells."""
    if gateway.database.dialect == "sqlite":
        return True  # it waits before its first statement
    with gateway.database.read() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(connection.exec_driver_sql(waiting).scalar_one())
