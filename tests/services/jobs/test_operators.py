"""`batchgate batches`: what operators see of jobs, and say of unknown ones."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from app.cli import batchgate
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read
from tests.support.waiting import until

DATA = jsonl(chat_line(f"c{n}", f"text {n}") for n in range(3))

Run = Callable[..., Result]


@pytest.fixture
def run(environment: dict[str, str], gateway: Gateway) -> Run:
    """Runs `batchgate batches` on the test's store, in which web has stored the accounts of its environment."""
    gateway.accounts.providers()
    runner = CliRunner(env=environment)
    return lambda *arguments: runner.invoke(batchgate, ["batches", *arguments], catch_exceptions=False)


@pytest.fixture
def unknown(client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway) -> str:
    """The id of a batch with an unknown job; the provider has made it."""
    server.faults.add(Fault(after_effect=True, reset=True, path="/batches", method="POST", times=1))
    workers.start()
    batch = create(client, DATA, provider="jobs-blind")
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "unknown")
    return str(batch["id"])


def test_jobs_are_listed(run: Run, unknown: str, gateway: Gateway) -> None:
    shown = run("jobs", unknown)
    assert "unknown" in shown.stdout and "jobs-blind/env" in shown.stdout
    [job] = json.loads(run("jobs", unknown, "--json").stdout)
    assert (job["state"], job["marker"]) == ("unknown", jobs_of(gateway)[0].marker)
    assert run("jobs", "batch_0").exit_code == 2


def test_a_job_that_is_there_is_taken_up(client: KeyClient, run: Run, unknown: str, app: JobsApp) -> None:
    assert run("resolve", unknown, "--native-id", "batch_nowhere").exit_code == 2
    native_id = next(iter(app.jobs))
    assert run("resolve", unknown, "--native-id", native_id).exit_code == 0
    assert ended(client, unknown)["request_counts"]["completed"] == 3
    assert len(app.jobs) == 1
    assert run("resolve", unknown, "--fail").exit_code == 2


def test_a_job_that_is_not_there_is_made_again(client: KeyClient, run: Run, unknown: str, app: JobsApp) -> None:
    app.jobs.clear()
    assert run("resolve", unknown, "--retry", "--job", "1").exit_code == 0
    assert ended(client, unknown)["request_counts"]["completed"] == 3
    assert len(app.jobs) == 1


def test_a_job_that_is_given_up_fails_the_batch(client: KeyClient, run: Run, unknown: str) -> None:
    assert run("resolve", unknown).exit_code == 2
    assert run("resolve", unknown, "--retry", "--fail").exit_code == 2
    assert run("resolve", unknown, "--fail").exit_code == 0
    over = ended(client, unknown)
    assert (over["status"], over["errors"]["data"][0]["code"]) == ("failed", "job_unknown")


def make_there(app: JobsApp, custom_ids: list[str], *, state: str = "in_progress") -> str:
    """A job that somebody made at the provider himself; returns its id."""
    data = jsonl(chat_line(name, f"text of {name}") for name in custom_ids)
    file = app.add_file(data, filename="theirs.jsonl", purpose="batch")
    fields = {"window": "24h", "metadata": {"team": "reports"}}
    job = app.add_job([], endpoint="/v1/chat/completions", model="m", input_id=file.id, fields=fields)
    if state == "completed":
        app.end(job, "completed")
    return job.id


def test_batches_of_a_provider_are_adopted(
    client: KeyClient, run: Run, app: JobsApp, workers: Workers, server: ServedApp
) -> None:
    running = make_there(app, ["a", "bg-7", "c"])
    over = make_there(app, ["d"], state="completed")
    options = ("adopt", "--project", "alpha", "--provider", "jobs")
    assert "2 new. Nothing was changed" in run(*options).stdout
    assert client.get("/v1/batches").json["data"] == []
    app.files[app.jobs[over].input_id or ""].data = b"{}\n"
    assert "1 adopted, 1 unreadable." in run(*options, "--yes").stdout
    assert "1 known, 1 new." in run(*options).stdout
    workers.start()
    [batch] = client.get("/v1/batches").json["data"]
    done = ended(client, batch["id"])
    assert (done["status"], done["request_counts"]["completed"]) == ("completed", 3)
    assert done["metadata"]["team"] == "reports"
    assert done["extra_fields"]["native_id"] == running
    output = read(client, done["output_file_id"])
    assert [line["custom_id"] for line in output] == ["a", "bg-7", "c"]
    assert len(app.jobs) == 2


def test_only_inputs_that_can_be_read_are_adopted(run: Run) -> None:
    answer = run("adopt", "--project", "alpha", "--provider", "jobs-dialect")
    assert (answer.exit_code, "not supported by jobs-dialect" in answer.stderr) == (2, True)
