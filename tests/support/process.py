"""A worker, a web process or a move of blobs, to be killed.

It is forked from a server that has imported the gateway already: an import for each process costs a second of CPU.
Its leases are short, since whoever follows it waits for their end.
With DROP_UNSYNCED set, its blob store keeps bytes in memory until they are committed.
"""

import importlib
import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection

from app import create_app
from app.lib import failpoints
from app.services.gateway import Gateway
from app.services.upkeep import moving
from app.settings import from_environment
from app.wiring import build_gateway
from app.worker import serve
from tests.support import stored
from tests.support.dropping_blobs import DroppingBlobs
from tests.support.server import LiveServer

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__, "psycopg", "sqlalchemy.dialects.postgresql.psycopg"])


class Process:
    """One such process (`worker`, `web`, or `mover` to the store MOVE_TO), ready when made.

    It is killed at the end of its `with` block if it still runs.
    """

    def __init__(self, kind: str, environment: Mapping[str, str]) -> None:
        full = {"PATH": os.environ["PATH"], **environment, "BATCHGATE_LEASE_SECONDS": "1"}
        ready, ours = _forks.Pipe(duplex=False)
        self._process = _forks.Process(target=_run, args=(kind, full, ours), daemon=True)
        self._process.start()
        ours.close()
        with ready:
            self.url: str = ready.recv()  # a worker has none

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.close()

    @property
    def pid(self) -> int:
        """Of the process itself."""
        assert self._process.pid is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """As by kill -9."""
        self._process.kill()
        self._process.join(10)

    @property
    def died(self) -> bool:
        """True when it was killed by SIGKILL."""
        return self._process.exitcode == -signal.SIGKILL

    def ended(self) -> int:
        """Ask it to stop in good order; returns the exit status."""
        self._process.terminate()
        return self.status()

    def status(self) -> int:
        """Wait for its end; returns the exit status."""
        self._process.join(20)
        assert self._process.exitcode is not None, "it did not stop"
        return self._process.exitcode


def _run(kind: str, environment: Mapping[str, str], ready: Connection) -> None:
    os.environ.clear()
    os.environ.update(environment)
    importlib.reload(failpoints)  # it reads the environment once
    gateway = build_gateway(from_environment())
    if "DROP_UNSYNCED" in environment:
        gateway = replace(gateway, blobs=DroppingBlobs(stored.local(gateway).root))
    {"web": _web, "worker": _worker, "mover": _mover}[kind](gateway, ready)


def _web(gateway: Gateway, ready: Connection) -> None:
    with LiveServer(create_app(gateway=gateway)) as server:
        ready.send(server.url)
        signal.sigwait({signal.SIGTERM})


def _worker(gateway: Gateway, ready: Connection) -> None:
    ready.send("")
    status = serve(gateway)
    if status:
        raise SystemExit(status)


def _mover(gateway: Gateway, ready: Connection) -> None:
    ready.send("")
    for _ in moving.move(gateway, to=os.environ["MOVE_TO"]):
        pass
