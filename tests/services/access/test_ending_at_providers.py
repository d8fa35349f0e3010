"""What becomes of the jobs that a key has at providers when it ends."""

from typing import Any

import pytest

from app.services.access import keys
from app.services.batches.create import NewBatch
from app.services.batches.create import create as create_batch
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import app, asked, environment, jobs_of, outside, server, workers  # noqa: F401 - fixtures
from tests.services.running.conftest import Workers
from tests.support.batches import CHAT, chat_line, create, ended, jsonl, retrieve, upload
from tests.support.keyed import keyed, public_id
from tests.support.waiting import until

# ruff: noqa: F811 - what is imported are the fixtures that the tests ask for


def lines(count: int = 6) -> bytes:
    return jsonl(chat_line(f"c{n}") for n in range(count))


@pytest.fixture
def reader(gateway: Gateway) -> KeyClient:
    """Another key of the same project, which lives on."""
    return keyed(gateway)


def running(client: KeyClient, reader: KeyClient, **fields: Any) -> str:
    """A batch whose job the provider runs and never ends by itself."""
    batch_id = str(create(client, lines(), **fields)["id"])
    until(lambda: retrieve(reader, batch_id)["status"] == "in_progress")
    return batch_id


def complete(app: JobsApp, workers: Workers) -> None:
    """The job completes while nobody looks, as the fake changes its state before its results are there."""
    workers.stop()
    app.end(next(iter(app.jobs.values())), "completed")
    workers.start()


@pytest.mark.parametrize("way", ["expire", "rotate", "revoke"])
def test_jobs_go_on_when_a_key_just_ends(
    gateway: Gateway, reader: KeyClient, workers: Workers, app: JobsApp, server: ServedApp, way: str
) -> None:
    app.looks_to_end = None
    workers.start()
    client = keyed(gateway)
    batch_id = running(client, reader)
    getattr(keys, way)(gateway, public_id(client))
    complete(app, workers)
    over = ended(reader, batch_id)
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 6)
    assert asked(server, "POST", "/cancel") == 0


def test_stopping_a_key_cancels_its_jobs_and_no_others(
    gateway: Gateway, reader: KeyClient, workers: Workers, app: JobsApp, server: ServedApp
) -> None:
    app.looks_to_end = None
    workers.start()
    client = keyed(gateway)
    mine = [running(client, reader), running(client, reader)]
    others = running(reader, reader)
    keys.revoke(gateway, public_id(client), stop=True)
    assert {ended(reader, batch_id)["status"] for batch_id in mine} == {"cancelled"}
    assert asked(server, "POST", "/cancel") == 2
    assert retrieve(reader, others)["status"] == "in_progress"


def test_a_cancel_that_failed_is_sent_again(
    gateway: Gateway, reader: KeyClient, workers: Workers, app: JobsApp, server: ServedApp
) -> None:
    app.looks_to_end = None
    workers.start()
    client = keyed(gateway)
    batch_id = running(client, reader)
    server.faults.add(Fault(path="/cancel", status=500, times=2))
    keys.revoke(gateway, public_id(client), stop=True)
    assert ended(reader, batch_id)["status"] == "cancelled"
    assert asked(server, "POST", "/cancel") == 3


def test_a_job_that_was_not_asked_for_is_never_made(
    gateway: Gateway, reader: KeyClient, workers: Workers, app: JobsApp, server: ServedApp
) -> None:
    client = keyed(gateway)
    batch_id = create(client, lines())["id"]
    keys.revoke(gateway, public_id(client), stop=True)
    workers.start()
    assert ended(reader, batch_id)["status"] == "cancelled"
    assert not app.jobs and asked(server, "POST", "/batches") == 0


def test_the_job_of_a_request_in_flight_is_cancelled_by_the_workers(
    gateway: Gateway, reader: KeyClient, workers: Workers, app: JobsApp
) -> None:
    app.looks_to_end = None
    workers.start()
    client = keyed(gateway)
    caller = keys.authenticate(gateway, client.key, request_id="req_flight")
    keys.revoke(gateway, public_id(client), stop=True)
    file_id = upload(reader, lines())
    batch_id = create_batch(gateway, caller, NewBatch(provider="jobs", endpoint=CHAT), source=file_id).public_id
    assert ended(reader, batch_id)["status"] == "cancelled"
    assert {job.state for job in app.jobs.values()} <= {"cancelled"}


def test_where_jobs_cannot_be_taken_back_nothing_more_is_made_and_what_ran_is_kept(
    gateway: Gateway, reader: KeyClient, workers: Workers, app: JobsApp, server: ServedApp
) -> None:
    app.looks_to_end = None
    workers.start()
    client = keyed(gateway)
    batch_id = running(client, reader, provider="jobs-stubborn")
    keys.revoke(gateway, public_id(client), stop=True)
    assert retrieve(reader, batch_id)["status"] == "cancelling"
    complete(app, workers)
    over = ended(reader, batch_id)
    assert (asked(server, "POST", "/cancel"), over["request_counts"]["completed"]) == (0, 6)
    assert [job.state for job in jobs_of(gateway)] == ["done"]
