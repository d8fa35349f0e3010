"""Processes that benchmarks and soak tests start on free ports, watch, and always end by their own id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from tests.support import ports

ROOT = Path(__file__).resolve().parent.parent
READY_S = 30.0
STOP_S = 40.0
POLL_S = 0.02
KIB = 1024


class Process:
    """A Python process of this repository or of a copy in `root`. Its `with` block ends it and all that it started."""

    def __init__(
        self,
        *words: str,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        piped: bool = False,
        root: Path = ROOT,
        within: Sequence[str] = (),
    ) -> None:
        child_environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), **(environment or {})}
        log_file = open(log or os.devnull, "ab")  # noqa: SIM115 - closed below; the child has its own
        self._process = subprocess.Popen(
            [*within, sys.executable, *words],
            env=child_environment,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else log_file,
            stderr=log_file,
            text=True,
            start_new_session=True,
        )
        log_file.close()
        self.pid = self._process.pid

    def line(self) -> str:
        """Read a line from the standard output of a `piped` process."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        return self._process.poll() is None

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that the process has used, all of its threads together."""
        return cpu_s([self.pid])

    def stop(self) -> int:
        """Send SIGTERM and wait; returns the exit status."""
        self._process.terminate()
        return self._process.wait(STOP_S)

    def kill(self) -> None:
        """Send SIGKILL to every process of its session."""
        with suppress(ProcessLookupError):  # all of them have ended
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
        super().__init__(
            "-m", "tests.fakes.openai_server", "--any-model", "--latency-ms", f"{latency_ms:g}", piped=True
        )
        self.url = self.line()

    def stats(self) -> dict[str, int]:
        """Return its counters: `most_in_flight`, `marks`, `repeated_marks`, ..."""
        counters: dict[str, int] = requests.get(f"{self.url}/_fake/stats", timeout=10).json()
        return counters

    def forget(self) -> None:
        """Reset the counters."""
        requests.get(f"{self.url}/_fake/forget", timeout=10).raise_for_status()


class Web(Process):
    """gunicorn with production settings, on `port` or a free port."""

    def __init__(
        self,
        application: str,
        *,
        environment: Mapping[str, str],
        log: Path | None = None,
        port: int | None = None,
        root: Path = ROOT,
    ) -> None:
        port = port or ports.free(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(
            *("-m", "gunicorn", application, "-c", "deploy/gunicorn.conf.py"),
            environment={**environment, "PORT": str(port)},
            log=log,
            root=root,
        )
        try:
            until(self._answers, what=f"answer from {application}")
        except BaseException:
            self.kill()  # no `with` block ends it yet
            raise

    def _answers(self) -> bool:
        if not self.alive:
            raise RuntimeError(f"gunicorn exited with status {self._process.returncode}")
        try:
            requests.get(f"{self.url}/healthz", timeout=5)
        except (requests.ConnectionError, requests.Timeout):
            return False
        return True


def worker(
    environment: Mapping[str, str], *, log: Path | None = None, module: str = "app.cli", root: Path = ROOT
) -> Process:
    """Start a worker process with the settings of `environment`."""
    words = ("worker",) if module == "app.cli" else ()
    return Process("-m", module, *words, environment=environment, log=log, root=root)


def until(condition: Callable[[], object], *, seconds: float = READY_S, what: str, poll_s: float = POLL_S) -> None:
    """Wait until `condition()` is true. Raises TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"No {what} within {seconds:g} s.")
        time.sleep(poll_s)


def family(pid: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
    pids = [pid]
    for parent in pids:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            pids += [int(child) for child in task.read_text().split()]
    return pids


def cpu_s(pids: Sequence[int]) -> float:
    """Return the seconds of CPU that the processes have used, all of their threads together."""
    ticks = 0
    for pid in pids:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_bytes(pids: Sequence[int]) -> int:
    """Return the sum of the processes' peak resident memory (VmHWM)."""
    return sum(_status_kib(pid, "VmHWM") for pid in pids) * KIB


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no {name}.")
