"""Workers that die around a job: no job without a row, none made twice, every batch at its end."""

from pathlib import Path

import pytest
from sqlalchemy import select

from app.data.tables import events
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.crash.audit import assert_clean, assert_lines_counted_once
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import asked, jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read
from tests.support.process import Process
from tests.support.waiting import until

LINES = 60
DATA = jsonl(chat_line(f"c{n}", f"text {n}") for n in range(LINES))
FAIL_POINTS = (
    "job.before_create",
    "job.after_create",
    "job.during_harvest:2",
    "harvest.after_bytes:2",
    "harvest.before_commit:2",
    "harvest.after_commit:2",
    "plan.before_commit",
    "finalise.after_bytes",
    "finalise.before_commit",
)


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_CHUNK_BYTES": "5000"}


def assert_right(client: KeyClient, gateway: Gateway, app: JobsApp, batch_id: str) -> None:
    over = ended(client, batch_id)
    assert over["status"] == "completed"
    assert over["request_counts"]["completed"] == LINES
    output = read(client, over["output_file_id"])
    assert [line["custom_id"] for line in output] == [f"c{n}" for n in range(LINES)]
    assert over["usage"]["total_tokens"] == sum(line["response"]["body"]["usage"]["total_tokens"] for line in output)
    assert_lines_counted_once(gateway)
    assert {job.native_id for job in jobs_of(gateway)} == set(app.jobs)
    assert len(app.jobs) == 1


@pytest.mark.parametrize("point", FAIL_POINTS)
def test_a_worker_that_dies_leaves_one_job_and_every_line(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], tmp_path: Path, app: JobsApp, point: str
) -> None:
    batch = create(client, DATA)
    armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("worker", environment | armed) as worker:
        until(lambda: worker.died, what=f"the death at {point}")
    with Process("worker", environment) as worker:
        assert_right(client, gateway, app, batch["id"])
        assert worker.ended() == 0
    assert_clean(gateway)


def test_a_worker_that_dies_while_the_answer_is_held_leaves_one_job(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], app: JobsApp, server: ServedApp
) -> None:
    server.faults.add(Fault(path="/batches", method="POST", hold_s=30, times=1))
    batch = create(client, DATA)
    with Process("worker", environment) as worker:
        until(lambda: app.jobs)
        assert jobs_of(gateway)[0].state == "creating"
        worker.kill()
    with Process("worker", environment):
        assert_right(client, gateway, app, batch["id"])
    assert asked(server, "POST", "/batches") == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(after_effect=True, reset=True, path="/batches", method="POST", times=1),
        Fault(after_effect=True, status=500, path="/batches", method="POST", times=1),
        Fault(hold_s=4, path="/batches", method="POST", times=1),
    ],
    ids=["reset", "500", "silence"],
)
def test_a_job_whose_making_was_not_heard_of_is_found(
    client: KeyClient, gateway: Gateway, workers: Workers, app: JobsApp, server: ServedApp, fault: Fault
) -> None:
    server.faults.add(fault)
    workers.start()
    assert_right(client, gateway, app, create(client, DATA)["id"])
    assert asked(server, "POST", "/batches") == 1


def test_a_job_that_was_not_made_is_made_after_it_was_looked_for(
    client: KeyClient, gateway: Gateway, workers: Workers, app: JobsApp, server: ServedApp
) -> None:
    server.faults.add(Fault(reset=True, path="/batches", method="POST", times=1))
    workers.start()
    assert_right(client, gateway, app, create(client, DATA)["id"])
    assert asked(server, "GET", "/batches") == 1
    assert jobs_of(gateway)[0].attempt == 2


def test_what_cannot_be_known_is_left_to_the_operator(
    client: KeyClient, gateway: Gateway, workers: Workers, app: JobsApp, server: ServedApp
) -> None:
    server.faults.add(Fault(after_effect=True, reset=True, path="/batches", method="POST"))
    workers.start()
    create(client, DATA, provider="jobs-blind")
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "unknown")
    assert asked(server, "POST", "/batches") == 1
    with gateway.database.read() as connection:
        told = connection.execute(select(events).where(events.c.operation == "job_create")).one()
    assert (told.outcome, told.detail["provider"]) == ("unknown", "jobs-blind")


def test_several_workers_make_each_job_once(
    client: KeyClient, gateway: Gateway, workers: Workers, app: JobsApp, server: ServedApp
) -> None:
    server.faults.add(Fault(after_effect=True, reset=True, path="/batches", method="POST", every=3))
    batches = [create(client, DATA, provider="jobs-split") for _ in range(2)]
    for _ in range(3):
        workers.start()
    for batch in batches:
        over = ended(client, batch["id"], seconds=60)
        assert (over["status"], over["request_counts"]["completed"]) == ("completed", LINES)
    assert len(app.jobs) == len(jobs_of(gateway)) == 2 * LINES // 4
    assert_lines_counted_once(gateway)
