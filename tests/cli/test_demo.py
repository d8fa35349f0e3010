"""`make run`, for real: the gateway, a worker and the small model, as processes."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from app.cli.shared.profile import FILE
from tests.fakes.openai_server import FakeServer
from tests.support import ports
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
READY = "Ctrl-C stops everything"


class Demo:
    """`batchgate demo` as a process. `said` is what it printed so far."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "demo"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        until(lambda: READY in self.said or self.process.poll() is not None, seconds=60, what="demo is ready")
        assert READY in self.said, self.said
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(30)
        self._reader.join(10)
        return status

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout:
            for line in self.process.stdout:
                self.said += line


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    [port] = ports.free(1)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("BATCHGATE_", "DATABASE_", "LOCAL_"))
    }
    return kept | {"BATCHGATE_HOME": str(tmp_path / "var"), "PORT": str(port), "WEB_CONCURRENCY": "1"}


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as server:
        yield server


@pytest.mark.timeout(180)
def test_a_stranger_sees_a_real_batch_finish(environment: dict[str, str], tmp_path: Path) -> None:
    questions = (ROOT / "examples" / "chat.jsonl").read_text().splitlines()
    (tmp_path / "chat.jsonl").write_text("\n".join(questions[1:4]))
    with Demo(environment) as demo:
        command = [sys.executable, "-m", "app.cli", "batch", "run", str(tmp_path / "chat.jsonl")]
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr + demo.said
        assert "tokens (" in ran.stdout
        assert demo.stop() == 0
    assert "Traceback" not in demo.said
    answers = [json.loads(line) for line in (tmp_path / "chat.output.jsonl").read_text().splitlines()]
    texts = {answer["response"]["body"]["choices"][0]["message"]["content"] for answer in answers}
    assert len(texts) == 3


@pytest.mark.timeout(180)
def test_the_next_run_finds_key_and_store_again_and_no_second_one_runs_beside_it(
    environment: dict[str, str], fake: FakeServer, tmp_path: Path
) -> None:
    environment |= {"LOCAL_BASE_URL": fake.base_url}
    kept = Path(environment["BATCHGATE_HOME"]) / FILE
    with Demo(environment) as first:
        key = json.loads(kept.read_text())["api_key"]
        assert key in first.said
        assert first.stop(signal.SIGTERM) == 0
    with Demo(environment) as second:
        assert key in second.said
        refused = [
            started(environment | {"BATCHGATE_HOME": home}) for home in (str(tmp_path / "other"), str(kept.parent))
        ]
        assert [again.returncode for again in refused] == [2, 2]
        assert re.search(r"Port \d+ is in use.*PORT=", refused[0].stderr)
        assert f"already runs on {kept.parent} (process {second.process.pid})" in refused[1].stderr
        assert second.stop() == 0


@pytest.mark.timeout(180)
def test_nothing_stays_behind_when_the_demo_is_killed(environment: dict[str, str], fake: FakeServer) -> None:
    with Demo(environment | {"LOCAL_BASE_URL": fake.base_url}) as demo:
        with closing(sqlite3.connect(Path(environment["BATCHGATE_HOME"]) / "batchgate.db")) as store:
            [(worker,)] = store.execute("SELECT pid FROM workers")
        demo.stop(signal.SIGKILL)
    until(lambda: _is_free(int(environment["PORT"])), what="the gateway is gone")
    until(lambda: not Path(f"/proc/{worker}").exists(), what="the worker is gone")


def started(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A demo that ends by itself."""
    command = [sys.executable, "-m", "app.cli", "demo"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
