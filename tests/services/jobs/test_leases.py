"""Two threads of one worker that come to hold the same job: the one whose lease is over does the other no harm."""

from concurrent.futures import ThreadPoolExecutor

from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import asked, jobs_of
from tests.support.batches import chat_line, create, jsonl
from tests.support.waiting import until


def test_a_job_whose_lease_ran_out_may_be_taken_by_a_neighbour(
    client: KeyClient, gateway: Gateway, server: ServedApp, app: JobsApp
) -> None:
    create(client, jsonl([chat_line("a")]))
    work = BatchWork(gateway, worker="worker")
    until(work.step)
    server.faults.add(Fault(path="/batches", method="POST", hold_s=1.8, times=1))
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(work.job)  # nobody renews its lease of a second
        until(lambda: asked(server, "POST", "/batches"))
        until(work.job)  # finds the job at the provider
        assert slow.result() is True
    assert [job.native_id for job in jobs_of(gateway)] == list(app.jobs)
