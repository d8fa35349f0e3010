"""A worker or web process of the gateway, to be killed: `python -m tests.support.process worker|web`.

With DROP_UNSYNCED set, its blob store keeps bytes in memory until they are committed.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

from app import create_app
from app.blobs.local import LocalBlobs
from app.services.gateway import Gateway
from app.settings import from_environment
from app.wiring import build_gateway
from tests.support.dropping_blobs import DroppingBlobs


class Process:
    """One such process; killed at the end of its `with` block if it still runs."""

    def __init__(self, kind: str, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "tests.support.process", kind]
        full = {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), **environment}
        self._process = subprocess.Popen(command, env=full, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()  # a worker prints an empty line when it is ready

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """Of the process itself."""
        return self._process.pid

    def kill(self) -> None:
        """As by kill -9."""
        self._process.kill()
        self._process.wait(10)

    @property
    def died(self) -> bool:
        """True when it was killed by SIGKILL."""
        return self._process.poll() == -signal.SIGKILL

    def ended(self) -> int:
        """Ask it to stop in good order; returns the exit status."""
        self._process.terminate()
        return self._process.wait(20)


def _gateway() -> Gateway:
    gateway = build_gateway(from_environment())
    if "DROP_UNSYNCED" in os.environ:
        assert isinstance(gateway.blobs, LocalBlobs)
        gateway = replace(gateway, blobs=DroppingBlobs(gateway.blobs.root))
    return gateway


def _web(gateway: Gateway) -> None:
    from tests.support.server import LiveServer

    with LiveServer(create_app(gateway=gateway)) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGTERM})


def _worker(gateway: Gateway) -> None:
    from app.worker import serve

    sys.stdout.write("\n")
    sys.stdout.flush()
    serve(gateway)


if __name__ == "__main__":
    {"web": _web, "worker": _worker}[sys.argv[1]](_gateway())
