"""Calls about jobs that their provider refuses: what passes is waited for, and nothing is made twice.

The table of refusals decides for these calls, too (tests/connectors/http/test_refusals.py).
"""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from app.data.tables import usage_ledger
from app.services.gateway import Gateway
from app.services.jobs.submit import MAX_TRIES
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_provider_app import provider_app
from tests.fakes.serving import ServedApp
from tests.services.jobs.conftest import asked, jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.waiting import until

pytestmark = pytest.mark.one_database

DATA = jsonl(chat_line(f"c{n}", f"text {n}") for n in range(3))
BUSY = b'{"error": {"message": "Not now.", "type": "t", "code": "c"}}'
EMPTY_CODE = b'{"error": {"message": "Bad.", "type": "invalid_request_error", "code": ""}}'
PASSING = (401, 402, 421, 423, 424, 429, 503, 529)
PERHAPS = {
    "408": (408, BUSY),
    "409": (409, BUSY),
    "425": (425, BUSY),
    "silent": (400, b""),
    "no code": (400, EMPTY_CODE),
}


@pytest.fixture
def provider() -> Iterator[ServedApp]:
    with ServedApp(provider_app("openai", api_key="sk-test", looks_to_end=2)) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], provider: ServedApp, server: ServedApp) -> dict[str, str]:
    return {
        **environment,
        "OPENAI_BASE_URL": provider.base_url,
        "OPENAI_API_KEY": "sk-test",
        "BATCHGATE_DEFAULT_PROVIDER": "openai",
        "BATCHGATE_RECONCILE_SECONDS": "0.1",
    }


def made(provider: ServedApp) -> int:
    app: Any = provider.app
    return len(app.jobs)


@pytest.mark.parametrize("status", PASSING)
def test_what_passes_is_asked_for_again(client: KeyClient, workers: Workers, provider: ServedApp, status: int) -> None:
    provider.faults.add(Fault(path="/batches", method="POST", status=status, body=BUSY, times=2))
    provider.faults.add(Fault(path="/files", method="POST", status=status, body=BUSY, times=1))
    workers.start()
    over = ended(client, create(client, DATA)["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 3)
    assert (made(provider), asked(provider, "POST", "/batches"), asked(provider, "POST", "/files")) == (1, 3, 2)


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("kind", PERHAPS)
def test_what_was_perhaps_made_is_looked_for_first(
    client: KeyClient, workers: Workers, provider: ServedApp, kind: str, done: bool
) -> None:
    status, body = PERHAPS[kind]
    provider.faults.add(Fault(path="/batches", method="POST", status=status, body=body, times=1, after_effect=done))
    workers.start()
    over = ended(client, create(client, DATA)["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 3)
    assert (made(provider), asked(provider, "POST", "/batches")) == (1, 1 if done else 2)


@pytest.mark.parametrize(("status", "body"), [(409, BUSY), (424, BUSY), (400, b"")])
def test_what_does_not_pass_ends_the_batch_after_a_few_calls(
    client: KeyClient, workers: Workers, provider: ServedApp, status: int, body: bytes
) -> None:
    provider.faults.add(Fault(path="/batches", method="POST", status=status, body=body))
    workers.start()
    over = ended(client, create(client, DATA)["id"])
    [error] = over["errors"]["data"]
    assert (over["status"], bool(error["code"]), bool(error["message"])) == ("failed", True, True)
    assert asked(provider, "POST", "/batches") == MAX_TRIES


def test_a_refusal_that_stays_ends_the_batch_at_once(client: KeyClient, workers: Workers, provider: ServedApp) -> None:
    refusal = b'{"error": {"message": "No such window.", "type": "invalid_request_error", "code": null}}'
    provider.faults.add(Fault(path="/batches", method="POST", status=400, body=refusal))
    workers.start()
    over = ended(client, create(client, DATA)["id"])
    [error] = over["errors"]["data"]
    assert (over["status"], error["message"], error["code"]) == ("failed", "No such window.", "provider_refused")
    assert asked(provider, "POST", "/batches") == 1


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_provider_without_a_list_is_left_to_the_operator_and_a_cancel_ends_the_batch(
    client: KeyClient, workers: Workers, gateway: Gateway, provider: ServedApp, status: int
) -> None:
    provider.faults.add(Fault(path="/batches", method="POST", reset=True, after_effect=True, times=1))
    provider.faults.add(Fault(path="/batches", method="GET", status=status, body=BUSY))
    workers.start()
    batch = create(client, DATA)
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "unknown", what="a job in doubt")
    assert "Not now." in retrieve(client, batch["id"])["waiting_on"]["message"]
    client.post(f"/v1/batches/{batch['id']}/cancel")
    over = ended(client, batch["id"])
    assert (over["status"], asked(provider, "POST", "/batches")) == ("cancelled", 1)
    with gateway.database.read() as connection:
        assert connection.execute(select(usage_ledger.c.kind, usage_ledger.c.cost_picodollars)).all() == [("job", None)]


def test_a_job_that_no_list_has_is_made_again_though_jobs_have_no_marker(
    client: KeyClient, workers: Workers, server: ServedApp, app: Any
) -> None:
    server.faults.add(Fault(path="/batches", method="POST", status=500, body=b"{}", times=1))
    workers.start()
    over = ended(client, create(client, DATA, provider="jobs-blind")["id"])
    assert (over["status"], len(app.jobs), asked(server, "POST", "/batches")) == ("completed", 1, 2)


def test_jobs_of_other_batches_do_not_keep_one_from_being_made_again(
    client: KeyClient, workers: Workers, server: ServedApp, app: Any
) -> None:
    workers.start()
    before = create(client, DATA, provider="jobs-blind")
    ended(client, before["id"])
    server.faults.add(Fault(path="/batches", method="POST", status=500, body=b"{}", times=1))
    over = ended(client, create(client, DATA, provider="jobs-blind")["id"])
    assert (over["status"], len(app.jobs), asked(server, "POST", "/batches")) == ("completed", 2, 3)


@pytest.mark.parametrize("status", [405, 501])
def test_a_provider_that_cannot_cancel_runs_the_job_to_its_end(
    client: KeyClient, workers: Workers, gateway: Gateway, provider: ServedApp, status: int
) -> None:
    app: Any = provider.app
    app.looks_to_end = None
    provider.faults.add(Fault(path="/cancel", status=status, body=BUSY))
    workers.start()
    batch = create(client, DATA)
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    client.post(f"/v1/batches/{batch['id']}/cancel")
    until(lambda: jobs_of(gateway)[0].cancel_sent_at is not None)
    app.looks_to_end = 1
    over = ended(client, batch["id"])
    assert (over["status"], over["request_counts"]["completed"], asked(provider, "POST", "/cancel")) == (
        "cancelled",
        3,
        1,
    )


@pytest.mark.parametrize("status", [401, 409, 423, 429, 503])
def test_a_cancel_and_a_poll_that_are_refused_for_now_are_sent_again(
    client: KeyClient, workers: Workers, provider: ServedApp, status: int
) -> None:
    app: Any = provider.app
    app.looks_to_end = None
    workers.start()
    batch = create(client, DATA)
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    provider.faults.add(Fault(path="/cancel", status=status, body=BUSY, times=2))
    client.post(f"/v1/batches/{batch['id']}/cancel")
    assert ended(client, batch["id"])["status"] == "cancelled"
    assert [job.state for job in app.jobs.values()] == ["cancelled"]


@pytest.mark.parametrize("status", [401, 408, 425, 429, 503])
def test_results_that_are_refused_for_now_are_read_later(
    client: KeyClient, workers: Workers, provider: ServedApp, status: int
) -> None:
    provider.faults.add(Fault(path="/content", status=status, body=BUSY, times=2))
    workers.start()
    over = ended(client, create(client, DATA)["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 3)
