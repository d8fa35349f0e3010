"""A gateway as it is deployed, several processes, any of which may be killed and is started again."""

import os
import random
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Process, Web, family, worker
from tests.support import ports

VICTIMS = ("worker", "worker", "web worker", "web")


class Fleet:
    """gunicorn and workers on one store. `url` stays the same over restarts."""

    def __init__(self, environment: Mapping[str, str], *, workers: int, log: Path) -> None:
        self._environment = environment
        self._log = log
        [self._port] = ports.free(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self._workers: list[Process] = []
        self._web = self._started_web()
        self._workers = [self._started_worker() for _ in range(workers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (*self._workers, self._web):
            process.kill()

    def stop(self) -> None:
        """End all of it in good order."""
        for process in (*self._workers, self._web):
            process.stop()

    def kill_one(self, dice: random.Random) -> str:
        """kill -9 a process of a random kind, start its successor; returns what was killed."""
        kind = dice.choice(VICTIMS)
        if kind == "web":
            self._web.kill()
            self._web = self._started_web()
        elif kind == "web worker":
            children = family(self._web.pid)[1:]
            with suppress(ProcessLookupError):
                os.kill(dice.choice(children), signal.SIGKILL)  # its master starts the next one
        else:
            number = dice.randrange(len(self._workers))
            self._workers[number].kill()
            self._workers[number] = self._started_worker()
        return kind

    def _started_worker(self) -> Process:
        return worker(self._environment, log=self._log)

    def _started_web(self) -> Web:
        return Web("wsgi:app", environment=self._environment, log=self._log, port=self._port)
