"""A gateway whose provider `local` is the fake server, and workers in threads."""

import threading
from collections.abc import Iterator

import pytest

from app.data.batches import workers as worker_rows
from app.engine.embedded import Embedded
from app.services.gateway import Gateway
from app.worker import build_engine
from tests.fakes.openai_server import FakeServer


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """An OpenAI-compatible server with fault switches."""
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


class Workers:
    """Engines in threads of the test's process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._running: list[tuple[Embedded, threading.Thread]] = []

    def start(self) -> Embedded:
        name = f"worker-{len(self._running)}"
        with self._gateway.database.write() as connection:
            worker_rows.register(connection, name=name, host="here", pid=len(self._running))
        engine = build_engine(self._gateway, name=name)
        thread = threading.Thread(target=engine.run, daemon=True)
        self._running.append((engine, thread))
        thread.start()
        return engine

    def stop(self) -> None:
        for engine, _ in self._running:
            engine.stop()
        for _, thread in self._running:
            thread.join(20)
            assert not thread.is_alive()
        for number in range(len(self._running)):
            with self._gateway.database.write() as connection:
                worker_rows.unregister(connection, name=f"worker-{number}")
        self._running.clear()


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    """Starts workers; all are stopped in good order at the end."""
    found = Workers(gateway)
    yield found
    found.stop()
