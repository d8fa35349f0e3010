"""What a provider says of a failed job or line is kept without the account's key."""

import pytest
from sqlalchemy import select

from app.data.tables import batch_jobs, batch_lines
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.provider_app import FakeJob, FakeResult
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read

KEY = "jobs-canary-0123456789"
SAID = f"no access for {KEY}"


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"JOBS_API_KEY": KEY}


def stored(gateway: Gateway) -> str:
    """All that SQL has of jobs and lines."""
    with gateway.database.read() as connection:
        return str([connection.execute(select(table)).all() for table in (batch_jobs, batch_lines)])


class Refusing(JobsApp):
    """Refuses every line of its jobs."""

    def write_results(self, job: FakeJob) -> None:
        said = {"error": dict.fromkeys(("message", "code", "param", "type"), SAID) | {"extra": [SAID]}}
        job.results = [FakeResult(result.custom_id, 400, said) for result in job.results]
        super().write_results(job)


def test_of_lines_that_fail(client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway) -> None:
    server.app = Refusing()
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a")]))["id"])

    [line] = read(client, over["error_file_id"])
    assert line["response"]["body"]["error"]["code"] == "no access for [redacted]"
    assert KEY not in str(line) + stored(gateway)


class Unpaid(JobsApp):
    """Refuses the key of each line, in words that are the operator's."""

    def write_results(self, job: FakeJob) -> None:
        said = {"error": {"message": "Incorrect API key provided: jobs-****6789.", "code": "invalid_api_key"}}
        job.results = [FakeResult(result.custom_id, 401, said) for result in job.results]
        super().write_results(job)


@pytest.mark.one_database
def test_of_lines_whose_key_is_refused(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway
) -> None:
    server.app = Unpaid()
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a")]))["id"])
    [line] = read(client, over["error_file_id"])
    assert (line["response"], line["error"]["code"]) == (None, "account_refused")
    assert "jobs-***" not in str(line) + stored(gateway) + str(client.get(f"/v1/batches/{over['id']}/lines").json)


class Telling(JobsApp):
    """Its jobs fail, and say why in too many words."""

    def look(self, job: FakeJob) -> FakeJob:
        job.fields["errors"] = [{"code": SAID, "message": SAID, "param": SAID, "line": 1}]
        job.state = "failed"
        return job


def test_of_a_job_that_fails(client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway) -> None:
    server.app = Telling()
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a")]))["id"])

    assert over["errors"]["data"][0]["message"] == "no access for [redacted]"
    assert KEY not in str(over) + stored(gateway)
