"""A worker of Celery, with its beat, in processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class CeleryWorker:
    """`celery -A app.celery_worker worker` while its `with` block runs; killed at the end if it still runs."""

    def __init__(self, environment: Mapping[str, str], *, pool: str = "prefork", processes: int = 1) -> None:
        self._environment = {"PATH": os.environ["PATH"], "BATCHGATE_ENGINE": "celery", **environment}
        self._arguments = ["worker", "--beat", "--pool", pool, "--concurrency", str(processes), "--loglevel", "error"]
        self._arguments += [
            "--without-gossip",
            "--without-mingle",
            "-Q",
            "batchgate.lines,batchgate.jobs,batchgate.upkeep",
        ]

    def __enter__(self) -> "CeleryWorker":
        command = [sys.executable, "-m", "celery", "-A", "app.celery_worker", *self._arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id of the worker; those of its pool and of beat are its children."""
        return self._process.pid

    def kill(self) -> None:
        """As by kill -9 of the worker and all processes of its pool."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def ended(self) -> int:
        """Ask it to stop in good order; returns the exit status."""
        self._process.terminate()
        return self._process.wait(30)
