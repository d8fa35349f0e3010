"""Inputs that are a burden to plan, beside a project that only wants its lines sent."""

import os

import pytest

from tests.e2e.neighbours.street import Street
from tests.support.batches import chat_line, jsonl

pytestmark = pytest.mark.one_database

# Files of newlines outlived their leases. In soak runs as many as were reported.
NEWLINES = 60_000_000 if "BATCHGATE_SOAK" in os.environ else 11_000_000
HOSTILE_LINES = 5000
REPEATED = jsonl(chat_line("same", "x") for _ in range(HOSTILE_LINES))
# What is wrong is at the end: all of it is read, and its lines are written and deleted again.
LATE = jsonl(chat_line(f"c{number}", "x") for number in range(HOSTILE_LINES)) + b"{not json}\n"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\n" * NEWLINES, "too_many_lines"),
        (b"{not json}\n" * 50_000, "invalid_json_line"),
        (REPEATED, "duplicate_custom_id"),
        (LATE, "invalid_json_line"),
    ],
    ids=("newlines", "no-json", "one-id", "late"),
)
def test_an_input_that_cannot_run_stops_nobody(street: Street, data: bytes, code: str) -> None:
    street.measure_alone()
    batches = [street.hostile.start(data) for _ in range(2)]
    street.assert_good_is_not_slowed()
    for batch in batches:
        assert street.hostile.reasons(batch) == {code}


def test_large_batches_that_are_planned_and_cancelled_stop_nobody(street: Street) -> None:
    street.measure_alone()
    inputs = [street.hostile.lines(HOSTILE_LINES) for _ in range(3)]
    batches = [street.hostile.start(data) for data, _ in inputs]
    street.assert_good_is_not_slowed()
    for batch in batches:
        assert street.hostile.client.post(f"/v1/batches/{batch}/cancel").status_code == 200
    street.assert_good_is_not_slowed()
    for batch in batches:
        assert street.hostile.reasons(batch) == {"batch_cancelled"}
    street.assert_sent_at_most((mark for _, marks in inputs for mark in marks), 1)
