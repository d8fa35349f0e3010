"""What callers do to batches that a provider runs: look, cancel, delete."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from app.data.tables import batch_jobs
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, overload
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import asked, jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.waiting import until

LINES = jsonl(chat_line(f"c{n}", f"text {n}") for n in range(6))


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_REFRESH_SECONDS": "5", "BATCHGATE_JOB_POLL_SECONDS": "0.05"}


@pytest.fixture
def running(client: KeyClient, workers: Workers, app: JobsApp, gateway: Gateway, server: ServedApp) -> str:
    """The id of a batch whose one job runs and is looked at by no worker any more; nothing is counted yet."""
    app.looks_to_end = None
    workers.start()
    batch = create(client, LINES)
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].status == "in_progress")
    workers.stop()
    server.forget()
    return str(batch["id"])


def make_stale(gateway: Gateway) -> None:
    with gateway.database.write() as connection:
        connection.execute(update(batch_jobs).values(refreshed_at=0))


def test_twenty_callers_look_once(
    client: KeyClient, gateway: Gateway, running: str, server: ServedApp, app: JobsApp
) -> None:
    make_stale(gateway)
    server.faults.add(Fault(method="GET", latency_s=0.2))

    def look(_: int) -> int:
        return (
            client.application.test_client()
            .get(f"/v1/batches/{running}", headers={"Authorization": f"Bearer {client.key}"})
            .status_code
        )

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(look, range(20))) == {200}
    assert len(server.requests) == 1


def test_a_look_tells_what_the_provider_tells(
    client: KeyClient, gateway: Gateway, running: str, server: ServedApp, app: JobsApp
) -> None:
    job = next(iter(app.jobs.values()))
    job.results = [app.run(job, line) for line in job.lines[:4]]
    assert retrieve(client, running)["request_counts"]["completed"] == 0
    assert not server.requests
    make_stale(gateway)
    assert retrieve(client, running)["request_counts"]["completed"] == 4
    assert asked(server, "GET", job.id) == len(server.requests) == 1


@pytest.mark.parametrize("fault", [overload(), Fault(status=500), Fault(reset=True)])
def test_a_provider_that_fails_leaves_what_is_known(
    client: KeyClient, gateway: Gateway, running: str, server: ServedApp, fault: Fault
) -> None:
    make_stale(gateway)
    server.faults.add(fault)
    assert retrieve(client, running)["status"] == "in_progress"
    assert len(server.requests) == 1


def test_lists_and_lines_ask_nobody(client: KeyClient, gateway: Gateway, running: str, server: ServedApp) -> None:
    make_stale(gateway)
    assert client.get("/v1/batches").json["data"][0]["id"] == running
    assert len(client.get(f"/v1/batches/{running}/lines").json["data"]) == 6
    assert not server.requests


def test_cancel_asks_once_and_keeps_what_ran(
    client: KeyClient, workers: Workers, running: str, server: ServedApp, app: JobsApp
) -> None:
    app.ran_before_end = 2
    assert client.post(f"/v1/batches/{running}/cancel").json["status"] == "cancelling"
    assert [request.path.rpartition("/")[2] for request in server.requests] == ["cancel"]
    workers.start()
    over = ended(client, running)
    assert over["status"] == "cancelled"
    assert (over["request_counts"]["completed"], over["request_counts"]["canceled"]) == (2, 4)
    assert [line["error"]["code"] for line in read(client, over["error_file_id"])] == ["batch_cancelled"] * 4
    assert asked(server, "POST", "/cancel") == 1


def test_a_cancel_that_failed_is_sent_by_a_worker(
    client: KeyClient, workers: Workers, running: str, server: ServedApp
) -> None:
    server.faults.add(Fault(path="/cancel", status=500, times=1))
    assert client.post(f"/v1/batches/{running}/cancel").json["status"] == "cancelling"
    workers.start()
    assert ended(client, running)["status"] == "cancelled"
    assert asked(server, "POST", "/cancel") == 2


def test_a_cancel_that_comes_too_late_ends_cancelled_with_everything(
    client: KeyClient, workers: Workers, running: str, app: JobsApp
) -> None:
    app.end(next(iter(app.jobs.values())), "completed")
    client.post(f"/v1/batches/{running}/cancel")  # refused there, as the job is over
    workers.start()
    over = ended(client, running)
    assert over["status"] == "cancelled"
    assert over["request_counts"]["completed"] == 6


def test_cancel_before_anything_was_made_asks_nobody(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    batch = create(client, LINES)
    assert client.post(f"/v1/batches/{batch['id']}/cancel").json["status"] == "cancelling"
    workers.start()
    over = ended(client, batch["id"])
    assert over["status"] == "cancelled"
    assert not server.requests


def test_cancel_of_planned_jobs_makes_none(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway
) -> None:
    server.faults.add(overload(path="/batches", method="POST", retry_after="3600"))
    workers.start()
    batch = create(client, LINES, provider="jobs-split")
    until(lambda: len(jobs_of(gateway)) == 2 and all(job.faults for job in jobs_of(gateway)))
    server.forget()
    client.post(f"/v1/batches/{batch['id']}/cancel")
    over = ended(client, batch["id"])
    assert (over["status"], over["request_counts"]["canceled"]) == ("cancelled", 6)
    assert not server.requests


def test_a_provider_that_takes_nothing_back_says_so(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, LINES, provider="jobs-stubborn")
    answer = client.post(f"/v1/batches/{batch['id']}/cancel")
    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "unsupported_operation"
    until(lambda: app.jobs)
    app.looks_to_end = 1
    assert ended(client, batch["id"])["status"] == "completed"


def test_delete_deletes_the_job_too(client: KeyClient, workers: Workers, server: ServedApp, app: JobsApp) -> None:
    workers.start()
    batch = create(client, LINES)
    ended(client, batch["id"])
    server.forget()
    assert client.delete(f"/v1/batches/{batch['id']}").json["deleted"] is True
    assert [(request.method, request.path[:12]) for request in server.requests] == [("DELETE", "/v1/batches/")]
    assert not app.jobs
    assert client.get(f"/v1/batches/{batch['id']}").status_code == 404


def test_delete_waits_for_a_provider_that_fails(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    workers.start()
    batch = create(client, LINES)
    ended(client, batch["id"])
    server.faults.add(Fault(method="DELETE", status=500, times=1))
    assert client.delete(f"/v1/batches/{batch['id']}").status_code == 502
    assert client.delete(f"/v1/batches/{batch['id']}").status_code == 200


def test_the_gateway_runs_nothing_where_single_requests_are_not_answered(client: KeyClient) -> None:
    body = {"requests": [chat_line("a")], "endpoint": "/v1/chat/completions", "execution": "gateway"}
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "unsupported_operation"
    assert "gateway" in answer.json["error"]["message"]


def test_a_paused_batch_submits_no_more_jobs(
    client: KeyClient, workers: Workers, app: JobsApp, gateway: Gateway, server: ServedApp
) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, LINES)
    client.post(f"/v1/batches/{batch['id']}/pause")
    until(lambda: jobs_of(gateway))
    paused = retrieve(client, batch["id"])
    if jobs_of(gateway)[0].state == "pending":
        assert (paused["waiting_on"]["reason"], asked(server, "POST", "/batches")) == ("paused_by_user", 0)
    client.post(f"/v1/batches/{batch['id']}/resume")
    until(lambda: jobs_of(gateway)[0].state == "running")
    for path, body in (("/pause", {}), ("", {"concurrency": 1})):
        answer = client.post(f"/v1/batches/{batch['id']}{path}", json=body)
        assert (answer.status_code, answer.json["error"]["code"]) == (400, "unsupported_operation")
    assert client.post(f"/v1/batches/{batch['id']}", json={"priority": 1, "concurrency": None}).status_code == 200
    assert client.post(f"/v1/batches/{batch['id']}/resume").status_code == 200
