"""What a worker logs: things by their public names, and a reason with each refusal and retry."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, overload
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl
from tests.support.refusing import refusing
from tests.support.waiting import until

pytestmark = pytest.mark.one_database
NAMED = ("batch", "account", "project", "key", "file", "budget", "upload", "container", "provider", "segment")
UNHAPPY = ("refused", "retried", "given_up", "failed", "lowered", "paused", "postponed", "not_written", "store_away")


class Recorded:
    """A log in a list: (level, event, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def __getattr__(self, level: str) -> Callable[..., None]:
        def write(event: str, **fields: Any) -> None:
            with self._lock:
                self.lines.append((level, event, fields))

        return write

    def of(self, event: str) -> list[tuple[str, dict[str, Any]]]:
        """(level, fields) of the lines of an event."""
        with self._lock:
            return [(level, fields) for level, found, fields in self.lines if found == event]


@pytest.fixture
def log() -> Recorded:
    return Recorded()


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "LOCAL_API_KEY": "sk-of-the-operator"}


@pytest.fixture
def gateway(gateway: Gateway, log: Recorded) -> Gateway:
    return replace(gateway, log=log)  # type: ignore[arg-type]


def check(log: Recorded) -> None:
    """Every line so far names things by their names, and says why if it tells of a failure."""
    assert log.lines
    for line in list(log.lines):
        level, event, fields = line
        assert all(isinstance(fields.get(name), str | None) for name in NAMED), line
        assert not [name for name in fields if name.endswith("_id") and name not in ("request_id", "native_id")], line
        assert "batch" not in fields or fields["batch"].startswith("batch_"), line
        if event.endswith(UNHAPPY):
            assert fields.get("reason") or fields.get("exc_info") or level == "exception", line


def test_lines_that_are_refused_retried_or_broken_say_why_by_public_names(
    client: KeyClient, other_client: KeyClient, workers: Workers, fake: FakeServer, log: Recorded, gateway: Gateway
) -> None:
    fake.faults.add(overload(containing=b"mark-busy", retry_after="0", times=4))
    fake.faults.add(Fault(containing=b"mark-away", status=500, body=b"no sk-of-the-operator", times=1))
    good = create(client, jsonl([*(chat_line(f"b{n}", "mark-busy") for n in range(4)), chat_line("a", "mark-away")]))
    bad = create(other_client, b"{}\n")
    workers.start()
    assert ended(client, good["id"])["request_counts"]["completed"] == 5
    ended(other_client, bad["id"])

    levels = [level for level, _ in log.of("line.refused")]
    assert levels == ["warning", *["info"] * (len(levels) - 1)]
    level, refused = log.of("line.refused")[0]
    assert (refused["batch"], refused["status"], refused["reason"]) == (good["id"], 429, "Slow down.")
    assert refused["account"] == "local/env"
    ((level, retried),) = log.of("line.retried")
    assert (level, retried["attempts"], retried["line"], retried["status"]) == ("warning", 1, 5, 500)
    assert "sk-of" not in str(log.lines)
    ((_, failed),) = log.of("batch.failed")
    assert (failed["batch"], failed["line"]) == (bad["id"], 1)
    check(log)


def test_results_that_the_store_refuses_are_logged_by_public_names(
    client: KeyClient, workers: Workers, log: Recorded, gateway: Gateway
) -> None:
    with refusing(gateway, "NEW.line = 2 AND NEW.state <> 'pending'"):
        batch = create(client, jsonl(chat_line(f"c{n}") for n in range(4)))
        workers.start()
        until(lambda: log.of("line.not_ended"))
    ended(client, batch["id"])
    assert {fields["batch"] for _, fields in log.of("chunk.refused")} == {batch["id"]}
    check(log)


def test_a_pause_names_its_account(client: KeyClient, workers: Workers, fake: FakeServer, log: Recorded) -> None:
    fake.faults.add(Fault(status=401, body=b'{"error": {"message": "bad key", "code": "invalid_api_key"}}', times=20))
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(8)))
    workers.start()

    def of_all() -> list[tuple[str, dict[str, Any]]]:
        return [(level, fields) for level, fields in log.of("capacity.paused") if fields["project"] is None]

    until(of_all)
    level, paused = of_all()[0]
    assert (level, paused["provider"], paused["account"], paused["status"]) == ("warning", "local", "env", 401)
    fake.faults.clear()
    client.post(f"/v1/batches/{batch['id']}/cancel")
    ended(client, batch["id"])
    check(log)
