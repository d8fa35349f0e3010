"""Answers count in the byte budget before they are read."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.engine.room import COPIES
from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read
from tests.support.waiting import until
from tests.support.working import settle

pytestmark = pytest.mark.one_database

MIB = 2**20
LINES = 12


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {
        **environment,
        "BATCHGATE_INFLIGHT_BYTES": str(MIB),
        "BATCHGATE_WORKER_CONCURRENCY": str(LINES),
        "BATCHGATE_LEASE_SECONDS": "60",  # no lease may end here, however busy the machine is
    }


def answer(size: int) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x" * size}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": {"prompt_tokens": 1}}).encode()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_large_answers_come_in_one_after_another(
    client: KeyClient, workers: Workers, fake: FakeServer, chunked: bool
) -> None:
    fake.faults.add(Fault(path="/chat/completions", status=200, body=answer(MIB), chunked=chunked))
    engine = workers.start()
    held: list[int] = []
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(LINES)))
    room = engine._scheduler.room
    until(lambda: held.append(room.held) or len(fake.requests) == LINES)  # type: ignore[func-returns-value]
    over = ended(client, batch["id"])
    assert over["request_counts"]["completed"] == len(fake.requests) == LINES
    # What small pieces may take, and one large answer: at most twice as much is taken for one that comes in pieces.
    assert max(held) <= MIB // 2 + COPIES * len(answer(MIB)) * (2 if chunked else 1)
    assert room.held == 0


def test_an_answer_that_is_too_large_ends_its_line_at_once(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(Fault(containing=b"long", status=200, body=b"{}", length_off=70 * MIB))
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a", "long"), chat_line("b")]))["id"])
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (1, 1)
    [line] = read(client, over["error_file_id"])
    assert line["error"]["code"] == "answer_too_large"
    assert len(fake.requests) == 2
    [shown] = client.get(f"/v1/batches/{over['id']}/lines?state=failed").json["data"]
    assert shown["attempts"] == 1


def test_a_neighbours_small_answers_pass_large_ones(
    client: KeyClient, other_client: KeyClient, fake: FakeServer, gateway: Gateway
) -> None:
    # No room at all is left for large answers: small ones are read all the same.
    fake.faults.add(Fault(containing=b"long", status=200, body=answer(MIB)))
    create(client, jsonl([chat_line("a", "long"), chat_line("b", "short")]))
    work = BatchWork(gateway, worker="w")
    settle(work)
    found = work.claim(skip=())
    assert found is not None
    segment = found[1]
    asked: list[int] = []

    def refuse(size: int, _timeout_s: float) -> bool:
        asked.append(size)
        return False

    with ThreadPoolExecutor() as pool:
        calls = [
            pool.submit(work.send, work.prepare(segment, line), timeout_s=20, room=refuse) for line in segment.lines
        ]
        large, small = (call.result() for call in calls)
    assert small.succeeded  # type: ignore[union-attr]
    assert large.max_attempts == 3  # type: ignore[union-attr]
    assert asked == [len(answer(MIB))]
