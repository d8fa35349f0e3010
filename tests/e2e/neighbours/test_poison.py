"""Answers that a store could refuse, or that fill the memory, beside a project that only wants its lines sent."""

import json
from dataclasses import replace

import pytest

from tests.e2e.neighbours.street import Street
from tests.fakes.faults import Fault

pytestmark = pytest.mark.one_database

MIB = 2**20
LINES = 16


def answer(*, tokens: int = 1, size: int = 1) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x" * size}, "finish_reason": "stop"}
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()


# By what each batch says of itself: what the provider answers, and how its lines end.
POISON = {
    "no-text": (Fault(status=400, body=b'{"error": {"message": "no\\u0000", "code": "c\\u0000d"}}'), {"c\0d"}),
    "no-count": (Fault(status=200, body=answer(tokens=2**62)), set()),
    "large": (Fault(status=200, body=answer(size=4 * MIB)), set()),
    "too-large": (Fault(status=200, body=b"{}", length_off=70 * MIB), {"answer_too_large"}),
}


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    # No lease may end here, however busy the machine is.
    return {**environment, "BATCHGATE_INFLIGHT_BYTES": str(4 * MIB), "BATCHGATE_LEASE_SECONDS": "60"}


def test_answers_that_could_stop_a_worker_stop_nobody(street: Street) -> None:
    street.measure_alone()
    batches, sent = {}, []
    for name, (fault, _) in POISON.items():
        street.fake.faults.add(replace(fault, containing=f'"{name}"'.encode()))
        data, marks = street.hostile.lines(LINES, user=name)
        batches[name] = street.hostile.start(data)
        sent += marks
    street.assert_good_is_not_slowed()
    for name, (_, codes) in POISON.items():
        assert street.hostile.reasons(batches[name]) == codes
    street.assert_sent_once(sent)
