"""Rows and answers of a provider that a store could refuse, and jobs that the gateway fails on: all of them end."""

import json
from typing import Any

import pytest
from sqlalchemy import select, update

from app.data.batches import job_facts, jobs
from app.data.batches.jobs import JobLease
from app.data.tables import batch_jobs, batch_lines, batches, usage_ledger
from app.services.gateway import Gateway
from app.services.jobs import broken
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.refusing import refusing
from tests.support.waiting import until
from tests.support.working import step

LINES = jsonl(chat_line(f"c{n}", f"text {n}") for n in range(4))
BODY = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2**62, "total_tokens": 2**63}}


@pytest.fixture
def environment(environment: dict[str, str], server: ServedApp) -> dict[str, str]:
    own = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test"}
    return {**environment, **own, "BATCHGATE_LEASE_SECONDS": "60"}  # no lease may end, however busy the machine is


def row(custom_id: str, *, status: Any = 200, body: Any = None, error: Any = None) -> bytes:
    response = None if error else {"status_code": status, "request_id": "r\0" * 500, "body": body or BODY}
    return json.dumps({"custom_id": custom_id, "response": response, "error": error}).encode() + b"\n"


def errors_of(client: KeyClient, over: dict[str, Any]) -> dict[str, str]:
    """The error codes of the lines by custom_id."""
    found = client.get(f"/v1/batches/{over['id']}/lines?state=failed").json["data"]
    return {line["custom_id"]: line["error_code"] for line in found}


def test_rows_of_any_shape_end_their_lines(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    rows = [
        row("c\0"),
        row("x" * 5000),
        row("bg-" + "9" * 40),
        row("c0"),
        row("c1", error={"code": "no\0" * 100, "message": "m\0" * 5000}),
        row("c2", status=2**62),
        row("c3", status=400, body={"error": {"message": "m", "code": None, "type": "t\0" * 100}}),
    ]
    server.faults.add(Fault(path="/content", method="GET", status=200, body=b"".join(rows)))
    workers.start()
    over = ended(client, create(client, LINES)["id"])
    assert (over["status"], over["request_counts"]["completed"], over["request_counts"]["failed"]) == (
        "completed",
        1,
        3,
    )
    found = errors_of(client, over)
    assert found["c2"] == "bad_answer"
    assert all(len(code) <= 128 and code.isprintable() for code in found.values())
    assert over["usage"]["total_tokens"] == 0


def test_a_row_that_the_store_refuses_ends_its_line_alone(
    client: KeyClient, workers: Workers, gateway: Gateway
) -> None:
    with refusing(gateway, "NEW.line = 2 AND NEW.state = 'completed'"):
        workers.start()
        over = ended(client, create(client, LINES)["id"])
    assert (over["request_counts"]["completed"], errors_of(client, over)) == (3, {"c1": "gateway_error"})
    with gateway.database.read() as connection:
        kinds = dict(connection.execute(select(usage_ledger.c.line, usage_ledger.c.kind)).all())
    assert kinds == {1: "line", 2: "attempt", 3: "line", 4: "line"}


def test_errors_of_a_job_of_any_shape_are_told(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, LINES)
    until(lambda: app.jobs)
    [job] = app.jobs.values()
    job.fields["errors"] = [{"code": "c\0" * 500, "message": "m\0" * 9000, "param": "p\n" * 500, "line": 2**62}] * 200
    job.state = "failed"
    over = ended(client, batch["id"])
    assert over["status"] == "failed"
    assert len(over["errors"]["data"]) == 100
    assert all(len(error["code"]) <= 128 and len(error["message"]) <= 4096 for error in over["errors"]["data"])


def test_a_row_that_makes_no_sense_costs_only_its_line(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway
) -> None:
    # The account of the test is one of the gateway's own connectors, which tell nonsense from a fault of their own.
    rows = [row("c1"), b"nonsense\n", b"[1]\n", row("c3"), b'{"response": {}}\n']
    server.faults.add(Fault(path="/content", method="GET", status=200, body=b"".join(rows)))
    workers.start()
    over = ended(client, create(client, LINES, provider="openai")["id"])
    assert (over["status"], errors_of(client, over)) == ("completed", dict.fromkeys(("c0", "c2"), "bad_answer"))
    assert [line["custom_id"] for line in read(client, over["output_file_id"])] == ["c1", "c3"]
    assert "row 2 of the results is not JSON" in read(client, over["error_file_id"])[0]["error"]["message"]
    assert sum(request.path.endswith("/content") for request in server.requests) == 1


@pytest.mark.parametrize("end", [b'{"custom_id": "c2", "respo', b"nonsense"])
def test_results_that_are_cut_off_are_asked_for_a_few_times(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway, end: bytes
) -> None:
    server.faults.add(Fault(path="/content", method="GET", status=200, body=row("c1") + row("c3") + end))
    workers.start()
    over = ended(client, create(client, LINES, provider="openai")["id"])
    assert (over["status"], errors_of(client, over)) == ("completed", dict.fromkeys(("c0", "c2"), "bad_answer"))
    assert sum(request.path.endswith("/content") for request in server.requests) == 5


def test_a_job_whose_id_cannot_be_stored_is_left_to_the_operator(
    client: KeyClient, workers: Workers, app: JobsApp, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "new_job_id", lambda: "x" * 600)
    workers.start()
    batch = create(client, LINES)
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].faults > 1)
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(expires_at=1))
        connection.execute(update(batch_jobs).values(next_at=1))
    assert ended(client, batch["id"])["status"] == "expired"
    assert len(app.jobs) == 1


def claimed(gateway: Gateway, client: KeyClient, *, state: str) -> tuple[str, JobLease]:
    """A batch whose job has failed often in `state`, and is claimed once more."""
    batch = create(client, LINES)
    work = BatchWork(gateway, worker="w")
    until(lambda: step(work) and jobs_of(gateway))
    made = {"native_id": "batch_1", "status": "completed"} if state in ("running", "ended") else {}
    with gateway.database.write() as connection:
        connection.execute(update(batch_jobs).values(state=state, faults=broken.MAX_ATTEMPTS - 1, next_at=1, **made))
        due = job_facts.next_due(connection, skip=())
        assert due is not None
        lease = JobLease.to_claim(due, "w")
        assert jobs.claim(connection, lease, lease_ms=60_000)
    return batch["id"], lease


@pytest.mark.parametrize(
    ("state", "then"), [("pending", "ended"), ("creating", "unknown"), ("running", "ended"), ("ended", "done")]
)
def test_a_job_that_the_gateway_fails_on_ends(client: KeyClient, gateway: Gateway, state: str, then: str) -> None:
    batch_id, lease = claimed(gateway, client, state=state)
    broken.put_off(gateway, lease, ValueError("a bug"))
    [job] = jobs_of(gateway)
    assert job.state == then
    if then == "ended":
        assert (job.status, job.errors[0]["code"]) == ("failed", "gateway_error")
    if then == "done":
        with gateway.database.read() as connection:
            codes = connection.execute(select(batch_lines.c.error_code)).scalars().all()
            kinds = connection.execute(select(usage_ledger.c.kind)).scalars().all()
        assert (codes, kinds) == (["gateway_error"] * 4, ["job"])
        assert retrieve(client, batch_id)["status"] == "finalizing"


def test_a_job_that_the_gateway_fails_on_is_tried_again_first(client: KeyClient, gateway: Gateway) -> None:
    _, lease = claimed(gateway, client, state="pending")
    with gateway.database.write() as connection:
        connection.execute(update(batch_jobs).values(faults=0))
    broken.put_off(gateway, lease, ValueError("a bug"))
    [job] = jobs_of(gateway)
    assert (job.state, job.faults, job.worker) == ("pending", 1, None)
    assert "ValueError" in job.last_error


def test_a_provider_that_says_nothing_for_a_week_ends_its_job(
    client: KeyClient, workers: Workers, server: ServedApp, app: JobsApp, gateway: Gateway
) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, LINES)
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    server.stop()
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(expires_at=1))
        connection.execute(update(batch_jobs).values(native_expires_at=None, next_at=1))
    over = ended(client, batch["id"])
    assert (over["status"], over["errors"]["data"][0]["code"]) == ("failed", "provider_silent")


def test_results_of_a_provider_that_stays_away_are_given_up_in_the_end(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway
) -> None:
    server.faults.add(Fault(path="/content", method="GET", status=500, body=b"{}"))
    workers.start()
    batch = create(client, LINES)
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "ended" and jobs_of(gateway)[0].faults > 5)
    with gateway.database.write() as connection:
        connection.execute(update(batch_jobs).values(ended_at=1, next_at=1))
    over = ended(client, batch["id"])
    assert (over["status"], set(errors_of(client, over).values())) == ("completed", {"provider_error"})
