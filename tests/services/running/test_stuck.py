"""Batches that are stuck, on purpose: the object, its lines, the views and the command line say why."""

import json
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text, update

from app.cli.commands.batches import waiting
from app.data import tables
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, overload
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, jsonl, retrieve
from tests.support.waiting import until

LINES = jsonl(chat_line(f"c{n}", f"mark-{n}") for n in range(6))


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {
        **environment,
        "LOCAL_MAX_CONCURRENCY": "2",
        "BATCHGATE_REFUSED_SECONDS": "3600",
        "BATCHGATE_WORKER_CONCURRENCY": "4",
    }


class Stuck:
    """A batch, and all that is said of it."""

    def __init__(self, client: KeyClient, gateway: Gateway, environment: dict[str, str]) -> None:
        self.client = client
        self.gateway = gateway
        self._environment = environment

    def create(self, **fields: Any) -> str:
        return str(create(self.client, LINES, **fields)["id"])

    def put(self, table: Any, **values: Any) -> None:
        with self.gateway.database.write() as connection:
            connection.execute(update(table).values(**values))

    def waits(self, batch: str) -> dict[str, Any]:
        return dict(retrieve(self.client, batch)["waiting_on"] or {})

    def of_lines(self, batch: str) -> set[str]:
        lines = self.client.get(f"/v1/batches/{batch}/lines").json["data"]
        return {line["waiting_on"]["reason"] for line in lines if line["waiting_on"]}

    def check(self, batch: str, reason: str, *, of_lines: str | None = None) -> dict[str, Any]:
        """Wait until the batch says `reason`, and see that everything else does."""
        until(lambda: self.waits(batch).get("reason") == reason, what=f"{reason}, not {self.waits(batch)}")
        until(lambda: (of_lines or reason) in (self.of_lines(batch) or {of_lines or reason}))
        printed = CliRunner().invoke(waiting, ["--json"], env=self._environment)
        assert printed.exit_code == 0, printed.output
        assert {"batch": batch, "reason": reason}.items() <= next(
            row for row in json.loads(printed.output) if row["batch"] == batch
        ).items()
        with self.gateway.database.read() as connection:
            seen = connection.execute(text("SELECT waiting_on FROM v_batches WHERE batch = :batch"), {"batch": batch})
            assert seen.scalar_one() == reason
        found = self.waits(batch)
        assert found["message"]
        return found


@pytest.fixture
def stuck(client: KeyClient, gateway: Gateway, environment: dict[str, str]) -> Stuck:
    return Stuck(client, gateway, environment)


def test_a_provider_that_is_silent(stuck: Stuck, workers: Workers, fake: FakeServer) -> None:
    """Two of its lines are out, as many as may be; the others wait for permits, until those that are out hang."""
    fake.faults.add(Fault(hold_s=600))
    workers.start()
    batch = stuck.create()
    found = stuck.check(batch, "permits", of_lines="provider")
    until(lambda: stuck.waits(batch)["in_flight"] == 2)
    assert (found["ceiling"], found["learned_limit"]) == (2, 2)
    # As if they had been out for two minutes.
    stuck.put(tables.batch_line_waits, since=tables.batch_line_waits.c.since - 120_000)
    stuck.check(batch, "provider")
    # Another of the same project: one batch comes first.
    second = stuck.create()
    assert stuck.check(second, "permits")["ahead"] == 1


def test_requests_that_are_refused_for_ever(stuck: Stuck, workers: Workers, fake: FakeServer) -> None:
    fake.faults.add(overload(retry_after="120"))
    workers.start()
    found = stuck.check(stuck.create(), "paused")
    assert (found["status_code"], "Slow down." in found["message"]) == (429, True)
    assert found["until"] > found["since"]


@pytest.mark.parametrize(
    ("status", "code", "shows"), [(403, "model_not_found", True), (401, "invalid_api_key", False)], ids=["model", "key"]
)
def test_a_model_or_key_that_is_refused(
    stuck: Stuck, workers: Workers, fake: FakeServer, status: int, code: str, shows: bool
) -> None:
    """What a provider says of the operator's key is the operator's."""
    body = {"error": {"message": "Nobody here.", "type": "invalid_request_error", "param": None, "code": code}}
    fake.faults.add(Fault(status=status, body=json.dumps(body).encode()))
    workers.start()
    found = stuck.check(stuck.create(), "paused")
    assert ("Nobody here." in found["message"], found["code"]) == (shows, code if shows else None)


def test_nobody_works(stuck: Stuck, workers: Workers) -> None:
    """Also while nobody has planned the batch, and when the only worker has been silent for a lease."""
    batch = stuck.create()
    stuck.check(batch, "no_worker")
    with stuck.gateway.database.write() as connection:
        connection.execute(tables.workers.insert().values(name="w", host="h", pid=1, started_at=0, seen_at=0))
    stuck.check(batch, "no_worker")
    stuck.put(tables.workers, lease_until=4_000_000_000_000)
    assert stuck.check(batch, "planning")["ahead"] == 0
    assert stuck.check(stuck.create(), "planning")["ahead"] == 1


@pytest.mark.parametrize(
    ("table", "values", "reason"),
    [
        (tables.accounts, {"disabled_at": 1_700_000_000_000}, "account_disabled"),
        (tables.batches, {"paused_at": 1_700_000_000_000}, "paused_by_user"),
        (tables.batches, {"not_before": 4_000_000_000_000}, "not_before"),
        (tables.batches, {"not_before": 4_000_000_000_000, "off_peak_until": 4_000_000_000_001}, "off_peak"),
        (tables.batches, {"off_peak_until": 1_700_000_000_000}, "off_peak"),
        (
            tables.batches,
            {
                "status": "cancelling",
                "errors": [{"code": "budget_exceeded", "message": "Spent.", "param": None, "line": None}],
            },
            "budget",
        ),
        (tables.batches, {}, "queue"),
        (tables.batches, {"status": "finalizing"}, "finalizing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_in_the_way_of_a_batch_that_was_planned(
    stuck: Stuck, workers: Workers, table: Any, values: dict[str, Any], reason: str
) -> None:
    workers.start()
    batch = stuck.create(not_before=stuck.gateway.clock.now_ms() // 1000 + 3600)
    until(lambda: retrieve(stuck.client, batch)["status"] == "in_progress")
    workers.stop()
    with stuck.gateway.database.write() as connection:
        alive = {"started_at": 0, "seen_at": 0, "lease_until": 4_000_000_000_000}
        connection.execute(tables.workers.insert().values(name="w", host="h", pid=1, **alive))
    stuck.put(tables.batches, not_before=None)
    if values:
        stuck.put(table, **values)
    found = stuck.check(batch, reason)
    assert found["until"] == (4_000_000_000 if "not_before" in values else None)


def test_a_blob_store_that_is_away(stuck: Stuck, workers: Workers) -> None:
    workers.start()
    batch = stuck.create(not_before=stuck.gateway.clock.now_ms() // 1000 + 3600)
    until(lambda: retrieve(stuck.client, batch)["status"] == "in_progress")
    folder = stuck.gateway.settings.home / "blobs"
    away = folder.rename(folder.with_name("away"))
    folder.write_text("no folder")
    stuck.put(tables.batches, not_before=None)
    found = stuck.check(batch, "store_away")
    assert str(folder) not in found["message"]
    folder.unlink()
    away.rename(folder)
    until(lambda: retrieve(stuck.client, batch)["status"] == "completed")
