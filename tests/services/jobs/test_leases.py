"""Two threads of one worker that come to hold the same job: the one whose lease is over does the other no harm."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from app.data.batches import job_facts, jobs
from app.data.batches.jobs import JobLease
from app.data.tables import batch_chunks, batch_jobs, batch_lines
from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import asked, jobs_of
from tests.support.batches import chat_line, create, jsonl, retrieve
from tests.support.losing_blobs import LosingBlobs
from tests.support.waiting import until
from tests.support.working import settle

LEASE_MS = 60_000


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Leases end soon, and nobody renews them."""
    return {**environment, "BATCHGATE_LEASE_SECONDS": "1"}


def test_a_job_whose_lease_ran_out_may_be_taken_by_a_neighbour(
    client: KeyClient, gateway: Gateway, server: ServedApp, app: JobsApp
) -> None:
    create(client, jsonl([chat_line("a")]))
    work = BatchWork(gateway, worker="worker")
    settle(work)
    server.faults.add(Fault(path="/batches", method="POST", hold_s=1.8, times=1))
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(work.job)  # nobody renews its lease of a second
        until(lambda: asked(server, "POST", "/batches"))
        until(work.job)  # finds the job at the provider
        assert slow.result() is True
    assert [job.native_id for job in jobs_of(gateway)] == list(app.jobs)


def test_results_count_once_though_two_bring_them_home(
    client: KeyClient, gateway: Gateway, server: ServedApp, app: JobsApp
) -> None:
    batch = create(client, jsonl([chat_line("a"), chat_line("b")]))
    work = BatchWork(gateway, worker="worker")
    settle(work)
    until(lambda: work.job() and jobs_of(gateway)[0].state == "ended")
    server.faults.add(Fault(path="/content", method="GET", hold_s=1.8, times=1))
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(work.job)  # nobody renews its lease of a second
        until(lambda: asked(server, "GET", "/content"))
        until(work.job)
        assert jobs_of(gateway)[0].state == "done"
        assert slow.result() is True
    settle(work)
    found = retrieve(client, batch["id"])
    assert (found["status"], found["request_counts"]["completed"]) == ("completed", 2)
    assert jobs_of(gateway)[0].lines_completed == 2
    with gateway.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(batch_chunks)).scalar_one() == 1


def test_only_the_last_attempt_to_make_a_job_is_confirmed(client: KeyClient, gateway: Gateway) -> None:
    create(client, jsonl([chat_line("a")]))
    settle(BatchWork(gateway, worker="worker"))
    (job,) = jobs_of(gateway)
    with gateway.database.write() as connection:
        connection.execute(update(batch_jobs).values(state="creating", attempt=2))
    made = {"delay_ms": 0, "native_id": "batch_1", "status": "validating"}
    with gateway.database.write() as connection:
        assert not jobs.confirm(connection, job.id, attempt=1, **made)  # its answer comes too late
        assert jobs.confirm(connection, job.id, attempt=2, **made)
        assert not jobs.confirm(connection, job.id, attempt=2, **made)


def test_a_job_is_one_worker_s_and_written_under_its_last_epoch_alone(client: KeyClient, gateway: Gateway) -> None:
    create(client, jsonl([chat_line("a")]))
    settle(BatchWork(gateway, worker="worker"))
    (job,) = jobs_of(gateway)
    first = JobLease(job.id, 1, "worker", job.batch_id, job.account_id, job.state)
    second = replace(first, epoch=2)
    with gateway.database.write() as connection:
        assert jobs.claim(connection, first, lease_ms=LEASE_MS)
        assert job_facts.next_due(connection, skip=()) is None
        assert not jobs.claim(connection, second, lease_ms=LEASE_MS)  # the first lease holds
        connection.execute(update(batch_jobs).values(lease_until=0))
        assert jobs.claim(connection, second, lease_ms=LEASE_MS)
        assert not jobs.move(connection, first, state="done")
        assert not jobs.hold(connection, first, lease_ms=LEASE_MS)
        assert jobs.hold(connection, second, lease_ms=LEASE_MS)
        jobs.count(connection, first, answered=True, lines_completed=1)
        jobs.count(connection, second, answered=True, lines_completed=1)
        assert jobs.move(connection, second, state="ended")
    (job,) = jobs_of(gateway)
    assert (job.state, job.lines_completed, job.worker) == ("ended", 1, None)


def test_results_are_not_written_by_who_lost_the_job_meanwhile(client: KeyClient, gateway: Gateway) -> None:
    create(client, jsonl([chat_line("a")]))
    work = BatchWork(gateway, worker="worker")
    settle(work)
    until(lambda: work.job() and jobs_of(gateway)[0].state == "ended")
    slow = BatchWork(replace(gateway, blobs=LosingBlobs(gateway, batch_jobs)), worker="worker")
    until(slow.job)
    (job,) = jobs_of(gateway)
    assert (job.state, job.worker, job.lines_completed) == ("ended", "other", 0)
    with gateway.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(batch_chunks)).scalar_one() == 0
        assert set(connection.execute(select(batch_lines.c.state)).scalars()) == {"pending"}
