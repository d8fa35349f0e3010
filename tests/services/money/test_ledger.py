"""The ledger holds each line once: whatever is polled, killed, retried or harvested twice. Both ways to run a batch."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from app.data.tables import batch_jobs, batch_lines, batches
from app.lib import json
from app.services.gateway import Gateway
from app.services.jobs import admin
from app.services.jobs.admin import Resolution
from app.services.running import segments
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_server import FakeServer
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import OUTSIDE, jobs_of, outside
from tests.services.money.book import entries, set_price
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.messages import MESSAGES, message_line
from tests.support.process import Process
from tests.support.waiting import until
from tests.support.working import step

pytestmark = pytest.mark.spread

__all__ = ["outside"]

LINES = 40
GIVEN, CACHED, MADE = 1_000_003, 250_001, 4_000_007
DATA = jsonl(chat_line(f"c{n}", f"text number {n}") for n in range(LINES))


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """Behind `local`, whose batches the gateway runs."""
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def app() -> JobsApp:
    """Behind `jobs`, which runs batches itself."""
    return JobsApp(looks_to_end=2)


@pytest.fixture
def server(app: JobsApp) -> Iterator[ServedApp]:
    with ServedApp(app) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], server: ServedApp) -> dict[str, str]:
    return {
        **environment,
        "BATCHGATE_DEFAULT_PROVIDER": "local",
        "JOBS_BASE_URL": server.base_url,
        "JOBS_BLIND_BASE_URL": server.base_url,
        "JOBS_MIXED_BASE_URL": server.base_url,
        "PYTHONPATH": os.pathsep.join((os.getcwd(), OUTSIDE)),
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_REFRESH_SECONDS": "0",
        "BATCHGATE_RECONCILE_SECONDS": "1",
        "BATCHGATE_CHUNK_BYTES": "5000",
    }


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    found = Workers(gateway)
    yield found
    found.stop()


@pytest.fixture
def prices(gateway: Gateway) -> None:
    for provider in ("local", "jobs", "jobs-blind"):
        set_price(gateway, provider, "*", GIVEN, CACHED, MADE, percent=50)


def cost(usage: dict[str, Any], *, percent: int) -> int:
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    full = (usage["prompt_tokens"] - cached) * GIVEN + cached * CACHED + usage["completion_tokens"] * MADE
    return -(-full * percent // 100)


def assert_charged_once(gateway: Gateway, client: KeyClient, batch: dict[str, Any], *, percent: int) -> None:
    """The ledger has the lines of the output file, each once, with the tokens that they tell, and the sums of them."""
    output = read(client, batch["output_file_id"])
    told = {line["custom_id"]: line["response"]["body"]["usage"] for line in output}
    with gateway.database.read() as connection:
        rows = connection.execute(select(batch_lines.c.line, batch_lines.c.custom_id).order_by(batch_lines.c.line))
        wanted = [
            (row.line, usage["prompt_tokens"], usage["completion_tokens"], cost(usage, percent=percent))
            for row in rows
            if (usage := told.get(row.custom_id)) is not None
        ]
        view = connection.execute(text("SELECT sum(lines), sum(input_tokens), sum(output_tokens) FROM v_usage_daily"))
        sums = view.one()
        dollars = connection.execute(text("SELECT cost FROM v_usage_daily")).scalar_one()
    charged = entries(gateway, "line")
    assert [(row.line, row.input_tokens, row.output_tokens, row.cost_picodollars) for row in charged] == wanted
    assert {row.charge_key for row in charged} == {f"line:{row.batch_id}:{row.line}" for row in charged}
    assert len(wanted) == batch["request_counts"]["completed"]
    usage = batch["usage"]
    assert tuple(map(int, sums)) == (len(wanted), usage["input_tokens"], usage["output_tokens"])
    whole, fraction = dollars.split(".")
    assert int(whole + fraction) == sum(row[3] for row in wanted)


def killed_at(points: tuple[str, ...], environment: dict[str, str], tmp_path: Path) -> None:
    """One worker after the other, each of which dies at its point."""
    for number, point in enumerate(points):
        armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / f"killed-{number}")}
        with Process("worker", environment | armed) as worker:
            until(lambda worker=worker: worker.died, what=f"the death at {point}")  # type: ignore[misc]


@pytest.mark.usefixtures("prices")
def test_lines_that_the_gateway_runs_are_charged_once_whoever_dies_and_polls(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], tmp_path: Path
) -> None:
    batch = create(client, DATA, provider="local", model="m")
    killed_at(("chunk.before_commit", "chunk.after_commit", "line.sending:5"), environment, tmp_path)
    with Process("worker", environment):
        over = ended(client, batch["id"])
        for _ in range(100):
            retrieve(client, batch["id"])
    assert over["request_counts"]["completed"] == LINES
    assert_charged_once(gateway, client, over, percent=100)
    lost = entries(gateway, "attempt")
    assert {(row.cost_picodollars, row.line) for row in lost} == {(None, None)}
    assert 1 <= len(lost) == len({row.charge_key for row in lost})


@pytest.mark.usefixtures("prices")
def test_lines_that_a_provider_runs_are_charged_once_whoever_dies_polls_and_harvests_again(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], tmp_path: Path, app: JobsApp
) -> None:
    batch = create(client, DATA, provider="jobs")
    killed_at(("harvest.before_commit:2", "harvest.after_commit", "job.during_harvest:2"), environment, tmp_path)
    with Process("worker", environment):
        over = ended(client, batch["id"])
        for _ in range(100):
            retrieve(client, batch["id"])
        harvest_again(gateway)
    assert over["request_counts"]["completed"] == LINES
    assert len(app.jobs) == 1
    assert_charged_once(gateway, client, over, percent=50)
    assert len(entries(gateway)) == LINES


@pytest.mark.usefixtures("prices")
def test_not_even_lines_that_somebody_opened_again_are_charged_twice(
    client: KeyClient, gateway: Gateway, workers: Workers
) -> None:
    workers.start()
    over = ended(client, create(client, DATA, provider="jobs")["id"])
    before = [tuple(row) for row in entries(gateway)]
    with gateway.database.write() as connection:
        connection.execute(update(batch_lines).values(state="pending"))

    harvest_again(gateway)

    assert {row.state for row in lines_of(gateway)} == {"completed"}
    assert [tuple(row) for row in entries(gateway)] == before
    assert_charged_once(gateway, client, over, percent=50)


def harvest_again(gateway: Gateway) -> None:
    """Let the workers bring the results of all jobs home once more."""
    with gateway.database.write() as connection:
        connection.execute(update(batch_jobs).values(state="ended", next_at=0))
    until(lambda: all(job.state == "done" for job in jobs_of(gateway)))


def lines_of(gateway: Gateway) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(batch_lines).order_by(batch_lines.c.line)))


@pytest.mark.usefixtures("prices")
def test_attempts_that_may_have_cost_something_are_entries_of_their_own(
    client: KeyClient, gateway: Gateway, workers: Workers, fake: FakeServer
) -> None:
    fake.faults.add(Fault(status=500, times=2))
    fake.faults.add(Fault(status=429, times=2))
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a")]), provider="local")["id"])

    (line,) = lines_of(gateway)
    assert (line.state, line.unknown_attempts) == ("completed", 2)
    keys = [row.charge_key for row in entries(gateway, "attempt")]
    assert keys == [f"attempt:{line.batch_id}:1:1", f"attempt:{line.batch_id}:1:2"]
    assert_charged_once(gateway, client, over, percent=100)
    with gateway.database.read() as connection:
        assert connection.execute(text("SELECT unknown_costs FROM v_usage_daily")).scalar_one() == 2


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize("provider", ["local", "jobs"])
def test_lines_that_failed_cost_nothing(
    client: KeyClient, gateway: Gateway, workers: Workers, fake: FakeServer, provider: str
) -> None:
    lines = [chat_line("good"), chat_line("bad", "please refuse-this")]
    if provider == "local":
        fake.faults.add(Fault(status=400, containing=b"refuse-this"))
    workers.start()
    over = ended(client, create(client, jsonl(lines), provider=provider)["id"])

    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (1, 1)
    assert [row.line for row in entries(gateway)] == [1]
    assert_charged_once(gateway, client, over, percent=100 if provider == "local" else 50)


@pytest.mark.usefixtures("prices")
def test_an_answer_that_cannot_be_read_costs_what_it_tells(
    client: KeyClient, gateway: Gateway, workers: Workers, fake: FakeServer
) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    fake.faults.add(
        Fault(status=200, content_type="application/json", body=json.dumps({"choices": [], "usage": usage}))
    )
    workers.start()
    over = ended(client, create(client, jsonl([message_line("a")]), provider="local", endpoint=MESSAGES)["id"])

    assert over["request_counts"]["failed"] == 1
    assert [row.cost_picodollars for row in entries(gateway)] == [cost(usage, percent=100)]


@pytest.mark.parametrize("provider", ["local", "jobs"])
def test_without_a_price_the_cost_is_unknown_and_a_later_price_changes_nothing(
    client: KeyClient, gateway: Gateway, workers: Workers, provider: str
) -> None:
    batch = create(client, jsonl([chat_line("a")]), provider=provider)
    set_price(gateway, provider, "m", GIVEN)
    workers.start()
    ended(client, batch["id"])

    (row,) = entries(gateway)
    assert (row.cost_picodollars, row.price_id) == (None, None)
    assert row.input_tokens > 0
    with gateway.database.read() as connection:
        told = connection.execute(text("SELECT cost, unknown_costs FROM v_usage_daily")).one()
    assert tuple(told) == (None, 1)


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize(("provider", "percent"), [("local", 100), ("jobs", 50)])
def test_a_price_that_changes_while_a_batch_runs_is_not_the_batchs(
    client: KeyClient, gateway: Gateway, workers: Workers, provider: str, percent: int
) -> None:
    batch = create(client, DATA, provider=provider)
    set_price(gateway, provider, "m", 1, 1, 1)
    workers.start()
    over = ended(client, batch["id"])

    assert_charged_once(gateway, client, over, percent=percent)
    with gateway.database.read() as connection:
        frozen = connection.execute(select(batches.c.price_id)).scalar_one()
    assert {row.price_id for row in entries(gateway)} == {frozen}
    assert frozen is not None


def test_lines_of_several_models_are_charged_at_the_price_of_each(
    client: KeyClient, gateway: Gateway, workers: Workers, app: JobsApp
) -> None:
    app.quirks = replace(app.quirks, single_model=False)
    own = set_price(gateway, "jobs-mixed", "first", GIVEN, 0, 0)
    other = set_price(gateway, "jobs-mixed", "second", 2 * GIVEN, 0, 0)
    lines = [chat_line(f"c{n}", model=model) for n, model in enumerate(("first", "second", "first", "third"))]
    batch = create(client, jsonl(lines), provider="jobs-mixed")
    for model in ("first", "second", "third"):
        set_price(gateway, "jobs-mixed", model, 1)
    workers.start()
    over = ended(client, batch["id"])
    assert over["request_counts"]["completed"] == len(lines)

    assert [row.model for row in lines_of(gateway)] == [None, "second", None, "third"]
    told = [(row.model, row.price_id) for row in entries(gateway)]
    assert told == [("first", own.id), ("second", other.id), ("first", own.id), ("third", None)]


@pytest.mark.usefixtures("prices")
def test_a_job_that_may_run_unheard_is_an_entry_of_unknown_cost(
    client: KeyClient, gateway: Gateway, workers: Workers, server: ServedApp
) -> None:
    server.faults.add(Fault(after_effect=True, reset=True, path="/batches", method="POST", times=1))
    workers.start()
    batch = create(client, jsonl([chat_line("a")]), provider="jobs-blind")
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "unknown")
    assert entries(gateway) == []

    admin.resolve(gateway, batch["id"], Resolution(again=True))
    ended(client, batch["id"])

    first, second = sorted(entries(gateway), key=lambda row: row.kind)
    assert (first.kind, first.cost_picodollars, first.charge_key) == ("job", None, f"job:{jobs_of(gateway)[0].id}:1")
    assert (second.kind, second.cost_picodollars is not None) == ("line", True)


@pytest.mark.usefixtures("prices")
def test_a_job_whose_results_are_gone_is_an_entry_of_unknown_cost(
    client: KeyClient, gateway: Gateway, workers: Workers, server: ServedApp
) -> None:
    gone = b'{"error": {"message": "No such File object.", "type": "", "param": null, "code": null}}'
    server.faults.add(Fault(status=404, body=gone, path="/content", method="GET"))
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a")]), provider="jobs")["id"])

    assert over["request_counts"]["failed"] == 1
    assert [(row.kind, row.cost_picodollars) for row in entries(gateway)] == [("job", None)]


def test_a_segment_that_is_taken_from_a_dead_worker_is_noted_once(gateway: Gateway, client: KeyClient) -> None:
    create(client, DATA, provider="local")
    work = BatchWork(gateway, worker="planner")
    until(lambda: step(work))
    taken = segments.claim(gateway, worker="first", skip=())
    assert taken is not None
    assert entries(gateway) == []
    with gateway.database.write() as connection:
        connection.execute(text("UPDATE batch_segments SET lease_until = 0 WHERE worker IS NOT NULL"))
    while segments.claim(gateway, worker="second", skip=()) is not None:
        pass

    (row,) = entries(gateway)
    assert (row.kind, row.cost_picodollars, row.line) == ("attempt", None, None)


def test_the_view_sums_millions_of_dollars_exactly(gateway: Gateway, client: KeyClient) -> None:
    create(client, jsonl([chat_line("a")]), provider="local")
    row = "0, 1, 'line', 1, NULL, a.id, b.id, 'local', 'm', 'gateway', 1, 9000000000000000001"
    names = "created_at, line, kind, project_id, key_id, account_id, batch_id, provider, model, execution, input_tokens"
    with gateway.database.write() as connection:
        for number in range(3):
            connection.execute(
                text(
                    f"INSERT INTO usage_ledger (charge_key, {names}, cost_picodollars) "
                    f"SELECT 'k{number}', {row} FROM batches b JOIN accounts a ON a.id = b.account_id"
                )
            )
        told = connection.execute(text("SELECT day, lines, cost, unknown_costs FROM v_usage_daily")).one()
        each = connection.execute(text("SELECT cost FROM v_ledger")).scalars().all()
    assert tuple(told) == ("1970-01-01", 3, "27000000.000000000003", 0)
    assert each == ["9000000.000000000001"] * 3
