"""Events of refusals: each one at first, few of a flood, and how many there were besides."""

import io
from typing import Any

import pytest
from sqlalchemy import func, select

from app.data.tables import events
from app.services.events.refusals import BURST, MAX_CALLERS, PER_MINUTE, Refusals
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.support.keyed import keyed


def count(gateway: Gateway, **where: Any) -> int:
    with gateway.database.read() as connection:
        matching = (events.c[name] == value for name, value in where.items())
        return int(connection.execute(select(func.count()).select_from(events).where(*matching)).scalar_one())


@pytest.mark.one_database
def test_a_flood_of_refusals_leaves_few_rows(gateway: Gateway, client: KeyClient) -> None:
    noisy, quiet = keyed(gateway), client
    before = count(gateway)
    for _ in range(BURST + 30):
        assert noisy.get("/v1/files/file-none").status_code == 404
    assert BURST <= count(gateway) - before <= BURST + 5  # on a slow machine a few more are due meanwhile
    assert quiet.get("/v1/files/file-none").status_code == 404
    assert noisy.post("/v1/batches", json={}).status_code == 400
    assert count(gateway, outcome="refused", operation="file_retrieve") >= BURST + 1


def test_of_one_caller_a_hundred_are_recorded_and_then_ten_a_minute() -> None:
    refusals = Refusals()
    assert [refusals.take("a", now=5.0) for _ in range(BURST)] == [0] * BURST
    assert [refusals.take("a", now=5.0) for _ in range(7)] == [None] * 7
    assert refusals.take("b", now=5.0) == 0
    assert refusals.take("a", now=5.0 + 60 / PER_MINUTE) == 7
    assert refusals.take("a", now=5.0 + 60 / PER_MINUTE) is None
    assert [refusals.take("a", now=1e6) for _ in range(BURST + 1)] == [1, *[0] * (BURST - 1), None]


def test_many_callers_take_no_more_memory_than_some() -> None:
    refusals = Refusals()
    assert [refusals.take(str(number), now=0.0) for number in range(MAX_CALLERS + 10)] == [0] * (MAX_CALLERS + 10)
    assert len(refusals._buckets) == MAX_CALLERS


def test_an_answer_that_is_given_again_is_no_event(gateway: Gateway, client: KeyClient) -> None:
    def send() -> Any:
        form = {"purpose": "batch", "file": (io.BytesIO(b"{}\n"), "in.jsonl")}
        headers = {"Idempotency-Key": "one"}
        return client.post("/v1/files", data=form, content_type="multipart/form-data", headers=headers)

    first = send()
    assert {send().json["id"] for _ in range(3)} == {first.json["id"]}
    assert count(gateway, operation="file_upload") == 1


def test_refusals_leave_no_other_rows(gateway: Gateway, client: KeyClient) -> None:
    def tables() -> dict[str, int]:
        with gateway.database.read() as connection:
            return {
                table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
                for table in events.metadata.sorted_tables
                if table is not events
            }

    gateway.accounts.providers()  # those of the environment are rows from now on
    before = tables()
    for number in range(3):
        headers = {"Idempotency-Key": f"key {number}"}
        assert client.post("/v1/batches", json={"input_file_id": "file-none"}, headers=headers).status_code == 400
        form = {"purpose": "unknown", "file": (io.BytesIO(b"{}\n"), "in.jsonl")}
        assert client.post("/v1/files", data=form, content_type="multipart/form-data").status_code == 400
        assert client.post("/v1/uploads", json={"bytes": 0}).status_code == 400
        assert (
            client.post("/v1/containers", json={"name": "x", "provider": "local", "file_ids": ["f"]}).status_code == 400
        )
    assert tables() == before
