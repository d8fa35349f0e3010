"""Jobs that the provider loses, windows that close, accounts that hang."""

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from app.data.tables import batch_jobs, batches
from app.services.accounts import admin
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, overload
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import assert_tell_the_reason, jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.waiting import until

LINES = jsonl(chat_line(f"c{n}", f"text {n}") for n in range(3))
NOT_FOUND = b'{"error":{"message":"No batch found","code":null,"param":null,"type":"x"}}'


@pytest.fixture
def healthy() -> Iterator[ServedApp]:
    """Another server, for provider jobs-split."""
    with ServedApp(JobsApp(looks_to_end=1)) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], healthy: ServedApp) -> dict[str, str]:
    return {**environment, "JOBS_SPLIT_BASE_URL": healthy.base_url, "JOBS_TIMEOUT_S": "60"}


def test_a_job_that_is_not_seen_at_once_is_waited_for(
    client: KeyClient, workers: Workers, server: ServedApp, app: JobsApp
) -> None:
    batch = create(client, LINES)
    server.faults.add(Fault(method="GET", status=404, body=NOT_FOUND, times=6))
    workers.start()
    assert ended(client, batch["id"])["status"] == "completed"
    assert len(app.jobs) == 1


def test_a_job_that_stays_away_fails_the_batch(
    client: KeyClient, workers: Workers, app: JobsApp, gateway: Gateway
) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, LINES)
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    app.jobs.clear()
    with gateway.database.write() as connection:
        connection.execute(update(batch_jobs).values(submitted_at=0))
    over = ended(client, batch["id"])
    assert over["status"] == "failed"
    assert over["errors"]["data"][0]["code"] == "job_lost"
    assert_tell_the_reason(client, over, "job_lost", "The provider no longer knows the job of this batch.")


def test_a_job_that_is_gone_after_its_cancel_is_cancelled(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, LINES)
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    workers.stop()
    assert client.post(f"/v1/batches/{batch['id']}/cancel").json["status"] == "cancelling"
    app.jobs.clear()
    workers.start()
    assert ended(client, batch["id"])["status"] == "cancelled"


def test_a_cancel_of_a_job_that_is_not_seen_yet_is_sent_again(
    client: KeyClient, workers: Workers, app: JobsApp, server: ServedApp
) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, LINES)
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    server.faults.add(Fault(path="/cancel", status=404, body=NOT_FOUND, times=2))
    client.post(f"/v1/batches/{batch['id']}/cancel")
    assert ended(client, batch["id"])["status"] == "cancelled"
    assert [job.state for job in app.jobs.values()] == ["cancelled"]


def test_a_job_that_waits_for_room_past_the_window_expires(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway
) -> None:
    server.faults.add(overload(path="/batches", method="POST", retry_after="0"))
    workers.start()
    batch = create(client, LINES)
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].faults > 1)
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(expires_at=1))
    over = ended(client, batch["id"])
    assert (over["status"], over["request_counts"]["expired"]) == ("expired", 3)


def test_an_unknown_job_expires_with_the_window(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway
) -> None:
    server.faults.add(Fault(after_effect=True, reset=True, path="/batches", method="POST"))
    workers.start()
    batch = create(client, LINES, provider="jobs-blind")
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "unknown")
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(expires_at=1))
        connection.execute(update(batch_jobs).values(next_at=1))
    assert ended(client, batch["id"])["status"] == "expired"


def test_an_account_that_hangs_holds_up_no_other(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway
) -> None:
    server.faults.add(Fault(path="/batches", method="POST", latency_s=120))
    workers.start()
    for _ in range(6):
        create(client, LINES)
    until(lambda: server.in_flight == gateway.settings.job_threads // 2)
    assert ended(client, create(client, LINES, provider="jobs-split")["id"])["status"] == "completed"
    assert server.in_flight == gateway.settings.job_threads // 2
    server.stop()  # so that those who wait for it need not


def test_a_job_of_a_disabled_account_waits_with_its_reason(
    client: KeyClient, workers: Workers, server: ServedApp, app: JobsApp, gateway: Gateway
) -> None:
    app.looks_to_end = 1
    batch = create(client, LINES)
    admin.set_enabled(gateway, provider="jobs", name="env", enabled=False)
    workers.start()
    until(lambda: any(job.last_error for job in jobs_of(gateway)), what="the job says why it waits")
    [job] = jobs_of(gateway)
    assert (job.state, job.faults, "jobs/env is disabled" in job.last_error) == ("pending", 0, True)
    assert [request for request in server.requests if request.method == "POST"] == []

    admin.set_enabled(gateway, provider="jobs", name="env", enabled=True)
    with gateway.database.write() as connection:
        connection.execute(update(batch_jobs).values(next_at=0))
    assert ended(client, batch["id"])["status"] == "completed"
