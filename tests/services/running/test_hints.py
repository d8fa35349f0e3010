"""A worker hears of new work through the store; one that hears nothing looks now and then."""

import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog
from sqlalchemy import event, text

from app.data.store.database import Database
from app.engine.parts import ALL, JOBS
from app.services.gateway import Gateway
from app.services.running.hints import ChannelNews, StoreHints
from app.worker import build_engine
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.waiting import until

NEVER_S = 3600.0
LISTENING = "FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN batchgate'"


class Said(list[str]):
    """A log that remembers its events, and whatever else is in them as text."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.log = structlog.wrap_logger(structlog.ReturnLogger(), processors=[self._note])

    def _note(self, _logger: Any, _method: str, said: MutableMapping[str, Any]) -> str:
        self.append(str(said["event"]))
        self.text += str(said)
        return ""


@contextmanager
def working(gateway: Gateway, **settings: Any) -> Iterator[None]:
    """A worker that looks at its start, and then, within the time of a test, only for hints."""
    own = replace(gateway, settings=replace(gateway.settings, **{"poll_s": NEVER_S, **settings}))
    engine = build_engine(own, name="worker")
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        yield
    finally:
        engine.stop()
        thread.join(20)
    assert not thread.is_alive()


@contextmanager
def listening(gateway: Gateway, url: str, said: Said) -> Iterator[ChannelNews]:
    news = ChannelNews(url, clock=gateway.clock, log=said.log)
    try:
        yield news
    finally:
        news.close()


def batch_of(client: KeyClient) -> str:
    return str(create(client, jsonl(chat_line(f"c{n}") for n in range(3)))["id"])


def test_a_batch_runs_to_its_end_by_hints_alone(gateway: Gateway, client: KeyClient, fake: FakeServer) -> None:
    with working(gateway):
        for _ in range(2):  # nothing is due when the second one comes
            assert ended(client, batch_of(client))["status"] == "completed"
        fake.latency_s = 60.0
        batch = batch_of(client)
        until(lambda: retrieve(client, batch)["status"] == "in_progress")
        client.post(f"/v1/batches/{batch}/cancel")
        assert ended(client, batch)["status"] == "cancelled"


def test_without_hints_a_worker_looks_now_and_then(gateway: Gateway, client: KeyClient) -> None:
    with working(gateway, poll_s=0.02, listen_url="postgresql://nobody:secret@127.0.0.1:9/nothing"):
        assert ended(client, batch_of(client))["status"] == "completed"


def test_a_worker_without_work_asks_one_thing_now_and_then(gateway: Gateway) -> None:
    asked: list[str] = []
    for engine in (gateway.database.readers, gateway.database.writers):
        event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    with working(gateway, poll_s=0.02, heartbeat_s=NEVER_S, lease_s=2 * NEVER_S):
        until(lambda: len(asked) > 20 and len(set(asked[-10:])) == 1)  # the first sweep is over
    assert "batches" in asked[-10]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_that_is_lost_is_made_again_and_what_was_missed_is_looked_for(gateway: Gateway) -> None:
    said, sent = Said(), StoreHints(gateway.database, log=None)
    with listening(gateway, gateway.database.url, said) as news:
        assert news.wait(10.0) == ALL
        sent.send(JOBS)
        assert news.wait(10.0) == {JOBS}
        with gateway.database.read() as connection:
            connection.execute(text(f"SELECT pg_terminate_backend(pid, 5000) {LISTENING}"))
        until(lambda: not news.wait(1.0) and said)
        sent.send(JOBS)  # nobody hears it
        heard: list[Any] = []
        until(lambda: heard.append(news.wait(1.0)) or heard[-1])
        assert heard[-1] == ALL
    assert said == ["hints.away", "hints.back"]


@pytest.mark.one_database
def test_a_server_that_is_not_there_is_said_once_and_without_its_password(gateway: Gateway) -> None:
    said, url = Said(), "postgresql://nobody:pass-word-1@127.0.0.1:9/nothing"
    with listening(gateway, url, said) as news:
        for _ in range(4):
            assert news.wait(0.3) == ()
        news.wake()
        assert news.wait(60.0) == ()
    assert said == ["hints.away"]
    assert "pass-word-1" not in said.text


@pytest.mark.one_database
def test_a_hint_that_cannot_be_sent_fails_nobody() -> None:
    said = Said()
    sent = StoreHints(Database("postgresql+psycopg://nobody@127.0.0.1:9/nothing"), log=said.log)
    for _ in range(2):
        sent.send(JOBS)
    assert said == ["hints.not_sent"]
