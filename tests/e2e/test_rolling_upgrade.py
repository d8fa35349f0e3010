"""The release before and this one side by side on one store, while batches run: nothing fails, nothing runs twice."""

import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from bench.processes import Web, worker
from tests.fakes.openai_provider_app import OpenAIProviderApp, provider_app
from tests.fakes.openai_server import FakeServer
from tests.fakes.serving import ServedApp
from tests.support import postgres
from tests.support.batches import CHAT, TERMINAL, chat_line, jsonl
from tests.support.waiting import until

NEW = Path(__file__).resolve().parents[2]
# Where the release before is in this repository's history: move it on with each release.
BEFORE = "4d3acfd186f6402f3f2be21886279db2d267e3ff"
LINES = 120
CEILING = 4
ENDS_S = 120.0
HELD_S = 3600.0


def tree(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The code of the release before, or of the commit before this one, or else, without any history, of this one."""
    for commit in (BEFORE, "HEAD~1"):
        archive = folder / "before.tar"
        command = ["git", "archive", "--output", str(archive), commit]
        if subprocess.run(command, cwd=NEW, capture_output=True, check=False).returncode == 0:
            with tarfile.open(archive) as packed:
                packed.extractall(folder / "before", filter="data")
            return folder / "before"
        with capsys.disabled():
            sys.stderr.write(f"\ntest_rolling_upgrade: this clone does not have {commit}: ")
    with capsys.disabled():
        sys.stderr.write("this code was run beside itself, which shows less. Fetch the whole history.\n")
    return NEW


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def openai_app() -> OpenAIProviderApp:
    return provider_app("openai", api_key="sk-of-the-fake", looks_to_end=None)


@pytest.fixture
def environment(
    environment: dict[str, str], fake: FakeServer, openai_app: OpenAIProviderApp
) -> Iterator[dict[str, str]]:
    with ServedApp(openai_app) as served:
        yield {
            **environment,
            "LOCAL_BASE_URL": fake.base_url,
            "LOCAL_MAX_CONCURRENCY": str(CEILING),
            "OPENAI_API_KEY": "sk-of-the-fake",
            "OPENAI_BASE_URL": served.base_url,
            "BATCHGATE_JOB_POLL_SECONDS": "0.2",
            "BATCHGATE_DRAIN_SECONDS": "20",
            "BATCHGATE_LOG_LEVEL": "info",
        }


def run(root: Path, environment: Mapping[str, str], *words: str) -> str:
    """What a command of the release in `root` prints."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), **environment}
    command = [sys.executable, "-m", "app.cli", *words]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(slots=True)
class User:
    """A caller, who is asked for nothing twice: every answer has to be a good one."""

    key: str
    started: dict[str, str] = field(default_factory=dict)

    def ask(self, web: Web, method: str, path: str, **content: Any) -> requests.Response:
        answer = requests.request(
            method, web.url + path, headers={"Authorization": f"Bearer {self.key}"}, timeout=60, **content
        )
        assert answer.status_code == 200, answer.text
        return answer

    def start(self, web: Web, name: str, *, provider: str) -> str:
        """Start a batch whose custom ids begin with `name`; returns its id."""
        data = jsonl(chat_line(f"{name}-{n}", f"mark-{name}-{n}") for n in range(LINES))
        form = {"data": {"purpose": "batch"}, "files": {"file": ("in.jsonl", data)}}
        file = self.ask(web, "POST", "/v1/files", **form).json()["id"]
        body = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h", "provider": provider}
        batch = str(self.ask(web, "POST", "/v1/batches", json=body).json()["id"])
        self.started[batch] = name
        return batch

    def batch(self, web: Web, batch_id: str) -> dict[str, Any]:
        return dict(self.ask(web, "GET", f"/v1/batches/{batch_id}").json())

    def check(self, web: Web) -> None:
        """Every batch ends well, with each of its lines once and in order."""
        for batch_id, name in self.started.items():
            until(lambda: self.batch(web, batch_id)["status"] in TERMINAL, seconds=ENDS_S, what=f"the end of {name}")  # noqa: B023
            over = self.batch(web, batch_id)
            assert over["status"] == "completed", over
            assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (LINES, 0)
            output = self.ask(web, "GET", f"/v1/files/{over['output_file_id']}/content").content.splitlines()
            assert [json.loads(line)["custom_id"] for line in output] == [f"{name}-{n}" for n in range(LINES)]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.timeout(400)
def test_a_release_takes_over_from_the_one_before(
    environment: dict[str, str],
    fake: FakeServer,
    openai_app: OpenAIProviderApp,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, log = tree(tmp_path, capsys), tmp_path / "processes.log"
    run(old, environment, "release")
    key = next(
        word for word in run(old, environment, "keys", "create", "--project", "alpha").split() if "sk-bf-" in word
    )
    user = User(key)
    with ExitStack() as running:
        web = running.enter_context(Web("wsgi:app", environment=environment, log=log, root=old))
        hand = running.enter_context(worker(environment, log=log, root=old))
        first = user.start(web, "old", provider="local")
        user.start(web, "old-native", provider="openai")
        until(lambda: user.batch(web, first)["request_counts"]["completed"] >= CEILING and openai_app.jobs)
        fake.latency_s = HELD_S  # so that lines are out all the time
        until(lambda: fake.in_flight == CEILING)

        run(NEW, environment, "release")
        next_web = running.enter_context(Web("wsgi:app", environment=environment, log=log))
        next_hand = running.enter_context(worker(environment, log=log))
        for at, name in ((web, "old-late"), (next_web, "new")):
            user.start(at, name, provider="local")
        user.start(next_web, "new-native", provider="openai")
        until(lambda: len(openai_app.jobs) == 2, what="the second job")
        for at in (web, next_web):
            listed = user.ask(at, "GET", "/v1/batches").json()["data"]
            assert {batch["id"] for batch in listed} == set(user.started)
            assert user.batch(at, first)["status"] == "in_progress"
        until(lambda: log.read_text().count('"worker.started"') == 2, what="both workers run")

        fake.latency_s = 0.02
        _let_go(fake)
        assert [hand.stop(), web.stop()] == [0, 0]
        openai_app.looks_to_end = 0
        fake.latency_s = 0.0
        user.check(next_web)
        assert [next_hand.stop(), next_web.stop()] == [0, 0]
    repeated = {mark: count for mark, count in fake.marks.items() if count != 1}
    assert (len(fake.marks), repeated) == (3 * LINES, {})
    sent = Counter(line["custom_id"] for job in openai_app.jobs.values() for line in job.lines)
    assert (len(openai_app.jobs), len(sent), set(sent.values())) == (2, 2 * LINES, {1})
    said = log.read_text()
    assert "Traceback" not in said and '"level":"error"' not in said, said


def _let_go(fake: FakeServer) -> None:
    """Answer what waits, at the pace that is set."""
    latency_s = fake.latency_s
    fake.release()
    fake.latency_s = latency_s
