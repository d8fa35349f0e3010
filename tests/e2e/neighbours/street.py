"""What a project may expect, whatever its neighbour does: its time, each line sent once, and a reason for each failure.

def test_something(street: Street) -> None:
    street.measure_alone()
    batch = street.hostile.start(data)         # or anything else that is hostile
    street.assert_good_is_not_slowed()
    assert street.hostile.reasons(batch) == {"some_code"}
"""

import time
from collections.abc import Iterable
from typing import Any

from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.support.batches import TERMINAL, chat_line, create, ended, jsonl, read, retrieve

LATENCY_S = 0.1
CONCURRENCY = 8
LINES = 64
IDEAL_S = LATENCY_S * LINES / CONCURRENCY
# How much longer a batch may take than twice its time alone, on a machine whose own time does not count.
SLACK_S = 2.0
ENDS_S = 90.0


class Tenant:
    """A project with its client. Each of its lines carries a mark, by which the fake counts how often it was sent."""

    def __init__(self, client: KeyClient, name: str) -> None:
        self.client = client
        self.name = name
        self._batches = 0

    def lines(self, count: int, **body: Any) -> tuple[bytes, list[str]]:
        """(an input of `count` lines that no other batch has, the marks of these lines)."""
        self._batches += 1
        marks = [f"mark-{self.name}-{self._batches}-{number}" for number in range(count)]
        return jsonl(chat_line(f"c{number}", mark, **body) for number, mark in enumerate(marks)), marks

    def start(self, data: bytes, **fields: Any) -> str:
        """Upload `data` and start a batch on it; returns its id."""
        return str(create(self.client, data, **fields)["id"])

    def run(self, count: int = LINES) -> tuple[float, list[str]]:
        """Run a batch of `count` lines that must succeed; returns (its seconds from POST to the end, its marks)."""
        data, marks = self.lines(count)
        started = time.monotonic()
        over = ended(self.client, self.start(data), seconds=ENDS_S)
        seconds = time.monotonic() - started
        assert (over["status"], over["request_counts"]["completed"]) == ("completed", count), over
        return seconds, marks

    def is_over(self, batch_id: str) -> bool:
        """True when the batch has ended."""
        return retrieve(self.client, batch_id)["status"] in TERMINAL

    def reasons(self, batch_id: str, *, seconds: float = ENDS_S) -> set[str]:
        """Wait for the batch's end; returns the codes of all that failed. Each must come with words."""
        over = ended(self.client, batch_id, seconds=seconds)
        found = list(over["errors"]["data"]) if over["errors"] else []
        failed = read(self.client, over["error_file_id"])
        assert len(failed) == over["request_counts"]["total"] - over["request_counts"]["completed"]
        found += [line["error"] or line["response"]["body"]["error"] for line in failed]
        assert found or over["status"] == "completed", over
        assert all(error["code"] and error["message"] for error in found), found
        return {error["code"] for error in found}


class Street:
    """A good project beside a hostile one."""

    def __init__(self, fake: FakeServer, *, good: Tenant, hostile: Tenant) -> None:
        self.fake = fake
        self.good = good
        self.hostile = hostile
        self.alone_s = 0.0

    def measure_alone(self) -> None:
        """Measure the good project before its neighbour does anything."""
        self.good.run(1)  # the first batch of a process loads what it needs
        self.alone_s, marks = self.good.run()
        self.assert_sent_once(marks)

    @property
    def allowed_s(self) -> float:
        """Twice the time alone, and the slack, which grows with how slow this machine is just now."""
        return 2 * self.alone_s + SLACK_S * max(1.0, self.alone_s / IDEAL_S)

    def assert_good_is_not_slowed(self, *, batches: int = 1) -> None:
        """Run batches of the good project, one after the other: each in time, nothing sent twice."""
        assert self.alone_s, "measure_alone() comes first"
        for _ in range(batches):
            seconds, marks = self.good.run()
            self.assert_sent_once(marks)
            assert seconds <= self.allowed_s, f"{seconds:.1f} s beside a neighbour, {self.alone_s:.1f} s alone"

    def assert_sent_once(self, marks: Iterable[str], *, most: int = 1) -> None:
        """Each of these lines reached the provider once; of a hostile one that is retried, at `most` so often."""
        sent = {mark: self.fake.count(mark) for mark in marks}
        wrong = {mark: count for mark, count in sent.items() if not 1 <= count <= most}
        assert not wrong, wrong
