"""Processes that a benchmark starts: found free ports for, watched, and always ended, by their own id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

ROOT = Path(__file__).resolve().parent.parent
READY_S = 30.0
STOP_S = 40.0
LOOK_S = 0.02
KIB = 1024


class Process:
    """A Python process of this repository; its `with` block ends it, and all that it started."""

    def __init__(
        self, *words: str, environment: Mapping[str, str] | None = None, log: Path | None = None, told: bool = False
    ) -> None:
        full = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(environment or {})}
        log_file = open(log or os.devnull, "ab")  # noqa: SIM115 - closed below, the child has its own
        self._process = subprocess.Popen(
            [sys.executable, *words],
            env=full,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if told else log_file,
            stderr=log_file,
            text=True,
            start_new_session=True,
        )
        log_file.close()
        self.pid = self._process.pid

    def line(self) -> str:
        """What the process says first on its standard output, as `told` asks."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    @property
    def alive(self) -> bool:
        """True until it ends, however it ends."""
        return self._process.poll() is None

    def stop(self) -> int:
        """Ask it to end in good order; returns the exit status."""
        self._process.terminate()
        return self._process.wait(STOP_S)

    def kill(self) -> None:
        """As by kill -9, with every process of its session."""
        with suppress(ProcessLookupError):  # all of them ended by themselves
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(STOP_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.alive:
                self.stop()
        finally:
            self.kill()
            if self._process.stdout is not None:
                self._process.stdout.close()


class Fake(Process):
    """The fake provider in a process of its own."""

    def __init__(self, *, latency_ms: float) -> None:
        super().__init__("-m", "tests.fakes.openai_server", "--any-model", "--latency-ms", f"{latency_ms:g}", told=True)
        self.url = self.line()

    def stats(self) -> dict[str, int]:
        """What it counted: `most_in_flight`, `marks`, `repeated_marks`, ..."""
        found: dict[str, int] = requests.get(f"{self.url}/_fake/stats", timeout=10).json()
        return found

    def forget(self) -> None:
        """Count from nothing again."""
        requests.get(f"{self.url}/_fake/forget", timeout=10).raise_for_status()


class Web(Process):
    """gunicorn with the settings of production, on `port` or a free one."""

    def __init__(
        self, application: str, *, environment: Mapping[str, str], log: Path | None = None, port: int | None = None
    ) -> None:
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(
            *("-m", "gunicorn", application, "-c", "deploy/gunicorn.conf.py"),
            environment={**environment, "PORT": str(port)},
            log=log,
        )
        try:
            until(self._answers, what=f"answer of {application}")
        except BaseException:
            self.kill()  # nobody else knows of it yet
            raise

    def _answers(self) -> bool:
        if not self.alive:
            raise RuntimeError(f"gunicorn ended with status {self._process.returncode}")
        try:
            requests.get(f"{self.url}/healthz", timeout=5)
        except (requests.ConnectionError, requests.Timeout):
            return False
        return True


def worker(environment: Mapping[str, str], *, log: Path | None = None, module: str = "app.cli") -> Process:
    """A worker process with the settings of `environment`."""
    words = ("worker",) if module == "app.cli" else ()
    return Process("-m", module, *words, environment=environment, log=log)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], *, seconds: float = READY_S, what: str, look_s: float = LOOK_S) -> None:
    """Return when `condition()` is true. Raises TimeoutError after `seconds`."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"No {what} within {seconds:g} s.")
        time.sleep(look_s)


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def peak_bytes(pids: Sequence[int]) -> int:
    """The sum of the most memory that each of the processes ever had resident."""
    return sum(_status_kib(pid, "VmHWM") for pid in pids) * KIB


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no {name}.")
