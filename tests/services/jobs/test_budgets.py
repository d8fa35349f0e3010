"""Budgets and batches that a provider runs: each end gives back, and what a job cost is spent when its results come."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import batchgate
from app.data.access import keys
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import CHAT, chat_line, create, ended, jsonl, read, retrieve, upload
from tests.support.money import CENT, DOLLAR, budget, ledger_sum, price, reservations, state
from tests.support.waiting import until

HALF = CENT // 2
REFUSAL = b'{"error":{"message":"no batches today","code":"not_today","param":null,"type":"x"}}'


def lines(count: int, **body: Any) -> bytes:
    return jsonl(chat_line(f"c{n}", f"text {n}", **{"max_tokens": 100, **body}) for n in range(count))


@pytest.fixture
def mine(gateway: Gateway) -> int:
    """A budget that five lines fit into twice: the provider's batches cost half of a cent a token."""
    for provider in ("jobs", "jobs-split", "jobs-blind"):
        price(gateway, provider=provider, batch_percent=50)
    with gateway.database.write() as connection:
        keys.ensure_project(connection, "alpha")
    return budget(gateway, 5 * DOLLAR)


def all_given_back(gateway: Gateway, budget_id: int) -> int:
    """What is spent, once nothing is reserved and all of it is in the ledger."""
    spent, reserved = state(gateway, budget_id)
    assert reserved == 0
    assert all(row.settled_at is not None and row.left_picodollars == 0 for row in reservations(gateway))
    assert spent == ledger_sum(gateway)
    return spent


def test_a_batch_at_half_the_price_reserves_and_spends_half(
    client: KeyClient, workers: Workers, gateway: Gateway, mine: int
) -> None:
    batch = create(client, lines(5))
    assert state(gateway, mine) == (0, 250 * CENT)
    workers.start()
    over = ended(client, batch["id"])
    assert over["status"] == "completed"
    assert all_given_back(gateway, mine) == over["usage"]["output_tokens"] * HALF > 0


def test_results_without_usage_spend_what_their_lines_reserved(
    client: KeyClient, workers: Workers, gateway: Gateway, server: ServedApp, mine: int
) -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": "hello"}}], "usage": {"total_tokens": 5}}
    rows = [
        {
            "custom_id": f"c{n}",
            "response": {"status_code": 200, "request_id": "r", "body": {**answer, **extra}},
            "error": None,
        }
        for n, extra in enumerate([{}, {"usage": None}, {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}])
    ]
    server.faults.add(Fault(path="/content", method="GET", status=200, body=jsonl(rows)))
    workers.start()
    over = ended(client, create(client, lines(2) + lines(3).splitlines(keepends=True)[2])["id"])
    assert over["request_counts"]["completed"] == 3
    assert (state(gateway, mine), ledger_sum(gateway)) == ((2 * 50 * CENT + 2 * HALF, 0), 2 * HALF)


def test_several_jobs_spend_together(client: KeyClient, workers: Workers, gateway: Gateway, mine: int) -> None:
    workers.start()
    over = ended(client, create(client, lines(10), provider="jobs-split")["id"])
    assert over["request_counts"]["completed"] == 10
    assert all_given_back(gateway, mine) == over["usage"]["output_tokens"] * HALF


def test_a_batch_whose_job_is_refused_gives_all_back(
    client: KeyClient, workers: Workers, gateway: Gateway, server: ServedApp, mine: int
) -> None:
    server.faults.add(Fault(path="/batches", method="POST", status=400, body=REFUSAL))
    workers.start()
    assert ended(client, create(client, lines(5))["id"])["status"] == "failed"
    assert all_given_back(gateway, mine) == 0


def test_a_batch_whose_input_the_provider_refuses_gives_all_back(
    client: KeyClient, workers: Workers, gateway: Gateway, app: JobsApp, mine: int
) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, lines(5))
    until(lambda: any(job.state == "in_progress" for job in app.jobs.values()))
    app.end(next(iter(app.jobs.values())), "failed")
    assert ended(client, batch["id"])["status"] == "failed"
    assert all_given_back(gateway, mine) == 0


def test_a_batch_that_is_not_planned_gives_all_back(
    client: KeyClient, workers: Workers, gateway: Gateway, mine: int
) -> None:
    workers.start()
    assert ended(client, create(client, lines(5) + b"not json\n")["id"])["status"] == "failed"
    assert all_given_back(gateway, mine) == 0


def test_a_batch_that_is_cancelled_before_its_job_is_made_gives_all_back(
    client: KeyClient, workers: Workers, gateway: Gateway, app: JobsApp, mine: int
) -> None:
    batch = create(client, lines(5))
    assert client.post(f"/v1/batches/{batch['id']}/cancel").status_code == 200
    workers.start()
    assert ended(client, batch["id"])["status"] == "cancelled"
    assert not app.jobs
    assert all_given_back(gateway, mine) == 0


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
def test_a_batch_that_ends_early_spends_what_ran(
    client: KeyClient, workers: Workers, gateway: Gateway, app: JobsApp, mine: int, ending: str
) -> None:
    app.looks_to_end, app.ran_before_end = None, 2
    workers.start()
    batch = create(client, lines(5))
    until(lambda: any(job.state == "in_progress" for job in app.jobs.values()))
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    if ending == "cancelled":
        assert client.post(f"/v1/batches/{batch['id']}/cancel").status_code == 200
        app.looks_to_end = 0
    else:
        app.end(next(iter(app.jobs.values())), "expired")
    over = ended(client, batch["id"])
    assert over["status"] == ending
    assert over["request_counts"]["completed"] == 2
    assert all_given_back(gateway, mine) == over["usage"]["output_tokens"] * HALF > 0


def test_a_batch_whose_job_is_given_up_gives_all_back(
    client: KeyClient,
    workers: Workers,
    gateway: Gateway,
    server: ServedApp,
    environment: dict[str, str],
    mine: int,
) -> None:
    server.faults.add(Fault(after_effect=True, reset=True, path="/batches", method="POST", times=1))
    workers.start()
    batch = create(client, lines(5), provider="jobs-blind")
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "unknown")
    assert state(gateway, mine) == (0, 250 * CENT)
    answer = CliRunner(env=environment).invoke(batchgate, ["batches", "resolve", batch["id"], "--fail"])
    assert answer.exit_code == 0, answer.output
    assert ended(client, batch["id"])["status"] == "failed"
    assert all_given_back(gateway, mine) == 0


def test_a_job_overruns_its_budget_by_what_its_answers_cost_more(
    client: KeyClient, workers: Workers, gateway: Gateway, app: JobsApp, mine: int
) -> None:
    """It cannot be stopped: what it cost is known when it is over. Nothing new is accepted then."""
    app.looks_to_end = None
    workers.start()
    batch = create(client, lines(5, max_tokens=200))
    assert state(gateway, mine) == (0, 500 * CENT)
    until(lambda: app.jobs)
    budget(gateway, CENT)  # lowered while the job runs
    app.looks_to_end = 0
    over = ended(client, batch["id"])
    assert (over["status"], over["errors"]) == ("completed", None)
    assert all_given_back(gateway, mine) == over["usage"]["output_tokens"] * HALF > CENT
    body = {"input_file_id": upload(client, lines(1)), "endpoint": CHAT}
    assert client.post("/v1/batches", json=body).status_code == 402


def test_an_adopted_batch_is_spent_without_a_reservation(
    client: KeyClient,
    workers: Workers,
    gateway: Gateway,
    app: JobsApp,
    environment: dict[str, str],
    mine: int,
) -> None:
    gateway.accounts.providers()  # as web stores them
    file = app.add_file(lines(4), filename="theirs.jsonl", purpose="batch")
    app.add_job([], endpoint=CHAT, model="m", input_id=file.id, fields={"window": "24h", "metadata": {}})
    command = ["batches", "adopt", "--project", "alpha", "--provider", "jobs", "--yes"]
    assert CliRunner(env=environment).invoke(batchgate, command).exit_code == 0
    assert state(gateway, mine) == (0, 0)
    workers.start()
    [batch] = client.get("/v1/batches").json["data"]
    over = ended(client, batch["id"])
    usage = [line["response"]["body"]["usage"] for line in read(client, over["output_file_id"])]
    assert len(usage) == 4, json.dumps(over)
    assert all_given_back(gateway, mine) == sum(used["completion_tokens"] for used in usage) * HALF > 0
