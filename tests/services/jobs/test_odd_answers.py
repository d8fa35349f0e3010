"""What a provider says of its jobs that nobody knows or that makes no sense: the job is kept, and looked at again."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from app.data.tables import batch_jobs, batches
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_provider_app import OpenAIProviderApp, provider_app
from tests.fakes.provider_app import FakeJob
from tests.fakes.serving import ServedApp
from tests.services.jobs.conftest import asked, jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.waiting import until

DATA = jsonl(chat_line(f"c{n}", f"text {n}") for n in range(3))
ODD: dict[str, Any] = {
    "status": "scheduling",  # AIBrix's word
    "request_counts": {"total": -1, "completed": -1, "failed": "none"},
    "created_at": {},
    "errors": "none",
    "metadata": [],
    "usage": 7,
    "endpoint": 17,
    "expires_at": "never",
    "output_file_id": {},
}


class OddApp(OpenAIProviderApp):
    """Says `odd` of a job for the first `odd_looks` looks."""

    odd: dict[str, Any]
    odd_looks = 2

    def job_object(self, job: FakeJob) -> dict[str, Any]:
        said = super().job_object(job)
        return {**said, **self.odd} if job.looks <= self.odd_looks else said


@pytest.fixture
def odd() -> Iterator[ServedApp]:
    app = OddApp(provider_app("openai").quirks, api_key="sk-test", looks_to_end=3)
    app.odd = ODD
    with ServedApp(app) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], odd: ServedApp) -> dict[str, str]:
    own = {"OPENAI_BASE_URL": odd.base_url, "OPENAI_API_KEY": "sk-test", "BATCHGATE_DEFAULT_PROVIDER": "openai"}
    return {**environment, **own}


@pytest.mark.one_database
@pytest.mark.parametrize("member", ODD)
def test_a_job_with_an_id_is_kept_whatever_else_is_said_of_it(
    client: KeyClient, workers: Workers, gateway: Gateway, odd: ServedApp, member: str
) -> None:
    app: Any = odd.app
    app.odd = {member: ODD[member]}
    workers.start()
    over = ended(client, create(client, DATA)["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 3)
    assert (len(app.jobs), asked(odd, "POST", "/batches")) == (1, 1)
    assert jobs_of(gateway)[0].attempt == 1


@pytest.mark.one_database
def test_what_makes_no_sense_is_logged_once(client: KeyClient, gateway: Gateway, odd: ServedApp) -> None:
    app: Any = odd.app
    app.odd_looks = 4
    app.looks_to_end = 6
    with capture_logs() as logs:
        workers = Workers(gateway)
        workers.start()
        ended(client, create(client, DATA)["id"])
        workers.stop()
    [said] = [log for log in logs if log["event"] == "job.odd"]
    assert said["status"] == "scheduling" and {"status", "total", "created_at"} <= set(said["members"])


def test_a_caller_sees_that_it_is_unclear_how_far_a_job_is(
    client: KeyClient, workers: Workers, gateway: Gateway, odd: ServedApp
) -> None:
    app: Any = odd.app
    app.odd, app.odd_looks, app.looks_to_end = {"status": "scheduling"}, 10**9, None
    workers.start()
    batch = create(client, DATA)
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "running")
    shown = retrieve(client, batch["id"])
    assert (shown["status"], shown["waiting_on"]["reason"]) == ("in_progress", "provider")
    assert "its status is 'scheduling'" in shown["waiting_on"]["message"]
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(expires_at=1))
        connection.execute(update(batch_jobs).values(next_at=1))
    over = ended(client, batch["id"])
    assert (over["status"], over["errors"]["data"][0]["code"]) == ("failed", "provider_silent")
    assert "scheduling" in over["errors"]["data"][0]["message"]


@pytest.mark.one_database
def test_a_list_with_a_row_that_cannot_be_read_finds_a_lost_job(
    client: KeyClient, workers: Workers, odd: ServedApp
) -> None:
    app: Any = odd.app
    odd.faults.add(Fault(path="/batches", method="POST", after_effect=True, reset=True, times=1))
    plain = app._list_jobs
    app._routes = [
        (method, pattern, _spoiling(plain) if handler == plain else handler) for method, pattern, handler in app._routes
    ]
    workers.start()
    assert ended(client, create(client, DATA)["id"])["status"] == "completed"
    assert (len(app.jobs), asked(odd, "POST", "/batches")) == (1, 1)


def _spoiling(plain: Any) -> Any:
    def listed(request: Any) -> Any:
        found = plain(request)
        found["data"] = [None, {"status": "completed"}, *found["data"]]
        return orjson.loads(orjson.dumps(found))

    return listed
