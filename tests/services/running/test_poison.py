"""Results that a store could refuse: their lines end once, with a reason, and no other batch notices."""

import json
from typing import Any

import pytest
from sqlalchemy import select, update

from app.data.tables import batch_chunks, batch_lines, batches, blobs, usage_ledger
from app.engine.outcomes import Faulted, Line, Result, Tokens
from app.engine.work import NotWrittenError
from app.services.gateway import Gateway
from app.services.lines.send import refused
from app.services.running.surrender import MAX_ATTEMPTS, MAX_MISSING_ATTEMPTS
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.messages import MESSAGES, message_line
from tests.support.refusing import refusing
from tests.support.waiting import until
from tests.support.working import settle, step

IMPOSSIBLE = (2**62, 2**63, 2**70, 10**11, -5, True, 1.5, "nine", [])
ANSWER = {
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_LEASE_SECONDS": "60"}  # no lease may end here, however busy the machine is


def usage(prompt: Any, completion: Any) -> bytes:
    return json.dumps({**ANSWER, "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}).encode()


def error(**fields: Any) -> bytes:
    return json.dumps({"error": {"message": "no", "type": "invalid_request_error", "code": None, **fields}}).encode()


REFUSALS = {
    "NUL in the code": error(code="a\0b"),
    "NUL in the type": error(type="a\0b", code=None),
    "long code": error(code="c" * 500),
    "code is an object": error(code={"a\0": "b" * 500}),
    "huge code": error(code=2**63),
    "NUL in the message": error(message="a\0b\x1b[31m" * 3000),
}


def test_refusals_of_any_shape_end_their_lines(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    lines = []
    for name, body in REFUSALS.items():
        for status in (400, 500):
            text = f"{name} {status}."
            fake.faults.add(Fault(containing=text.encode(), status=status, body=body))
            lines.append(chat_line(text, text))
    batch = create(client, jsonl([*lines, chat_line("good")]))
    work = BatchWork(gateway, worker="w")
    settle(work)
    found = work.claim(skip=())
    assert found is not None
    # As the engine does it, without the pauses between the attempts.
    outcomes = [work.send(work.prepare(found[1], line), timeout_s=20) for line in found[1].lines]
    results = [outcome.result if isinstance(outcome, Faulted) else outcome for outcome in outcomes]
    assert work.flush(found[1], [result for result in results if isinstance(result, Result)], (), last=True)
    workers.start()
    over = ended(client, batch["id"])
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (1, len(lines))
    for line in client.get(f"/v1/batches/{batch['id']}/lines?state=failed").json["data"]:
        assert 1 <= len(line["error_code"]) <= 128
        assert line["error_code"].isprintable()


def test_impossible_usage_is_unknown_and_stops_nothing(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    for value in IMPOSSIBLE:
        fake.faults.add(Fault(containing=f"<{value}>".encode(), status=200, body=usage(5, value)))
    workers.start()
    lines = [chat_line(f"c{n}", f"<{value}>") for n, value in enumerate(IMPOSSIBLE)]
    over = ended(client, create(client, jsonl(lines))["id"])
    assert over["request_counts"]["completed"] == len(fake.requests) == len(IMPOSSIBLE)
    with gateway.database.read() as connection:
        rows = connection.execute(select(usage_ledger.c.output_tokens, usage_ledger.c.cost_picodollars)).all()
    assert [tuple(row) for row in rows] == [(None, None)] * len(IMPOSSIBLE)


def test_names_of_dropped_fields_are_cleaned_and_few(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    odd = {f"field\0{n}" + "x" * 300: 1 for n in range(200)}
    workers.start()
    over = ended(client, create(client, jsonl([message_line("a", **odd)]), endpoint=MESSAGES)["id"])
    assert over["request_counts"]["completed"] == 1
    with gateway.database.read() as connection:
        dropped = connection.execute(select(batch_lines.c.dropped_fields)).scalar_one()
    assert "\0" not in dropped
    assert len(dropped) < 64 * 130


def test_a_finding_about_a_huge_value_is_short(client: KeyClient, workers: Workers) -> None:
    lines = [chat_line(f"c{n}", url="/v1/" + "x" * 100_000) for n in range(20)]
    workers.start()
    over = ended(client, create(client, jsonl(lines))["id"])
    assert over["status"] == "failed"
    assert all(len(entry["message"]) <= 4096 for entry in over["errors"]["data"])


# What no table of limits foresees: the store itself refuses some rows.


def test_a_result_that_the_store_refuses_ends_alone_and_is_not_sent_again(
    client: KeyClient, other_client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    with refusing(gateway, "NEW.line % 10 = 3 AND NEW.state = 'completed'"):
        workers.start()
        batch = create(client, jsonl(chat_line(f"c{n}", f"text {n}") for n in range(1, 41)))
        neighbour = create(other_client, jsonl(chat_line(f"n{n}") for n in range(2)))
        over = ended(client, batch["id"])
        assert ended(other_client, neighbour["id"])["request_counts"]["completed"] == 2
    assert (over["status"], over["request_counts"]["completed"], over["request_counts"]["failed"]) == (
        "completed",
        36,
        4,
    )
    errors = read(client, over["error_file_id"])
    assert [(line["custom_id"], line["error"]["code"]) for line in errors] == [
        (f"c{n}", "gateway_error") for n in (3, 13, 23, 33)
    ]
    assert len(fake.requests) == 42
    with gateway.database.read() as connection:
        kinds = connection.execute(select(usage_ledger.c.kind).where(usage_ledger.c.line % 10 == 3)).scalars().all()
        total = connection.execute(select(batches.c.output_tokens).where(batches.c.public_id == batch["id"])).scalar()
    assert sorted(kinds) == ["attempt"] * 4  # what those lines cost is unknown, and says so
    output = read(client, over["output_file_id"])
    assert total == sum(line["response"]["body"]["usage"]["completion_tokens"] for line in output)


def test_when_not_even_the_end_can_be_written_the_others_are_and_it_is_kept(
    client: KeyClient, gateway: Gateway
) -> None:
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(4)))
    work = BatchWork(gateway, worker="w")
    settle(work)
    found = work.claim(skip=())
    assert found is not None
    segment = found[1]
    results = [refused(batch["id"], line, code="x", message="m") for line in segment.lines]
    with refusing(gateway, "NEW.line = 2"), pytest.raises(NotWrittenError) as error:
        work.flush(segment, results, (), last=True)
    assert [result.line.number for result in error.value.results] == [2]
    assert work.flush(segment, error.value.results, (), last=True)
    with gateway.database.read() as connection:
        [failed] = connection.execute(select(batches.c.lines_failed)).scalars()
        chunks = connection.execute(select(batch_chunks.c.lines)).scalars().all()
    assert failed == sum(chunks) == 4


def test_results_that_were_written_are_not_counted_again(client: KeyClient, gateway: Gateway) -> None:
    # The answer to a commit may be lost although the commit was not: the results are flushed once more.
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(4)))
    work = BatchWork(gateway, worker="w")
    settle(work)
    found = work.claim(skip=())
    assert found is not None
    segment = found[1]
    tokens = Tokens(input=3, output=4, total=7)

    def answered(line: Line) -> Result:
        return Result(line, True, refused(batch["id"], line, code="x", message="m").data, 200, tokens=tokens)

    results = [answered(line) for line in segment.lines]
    assert work.flush(segment, results[:2], (), last=False)
    assert work.flush(segment, results, (), last=True)
    assert work.flush(segment, results, (), last=True) is False  # the segment is closed
    with gateway.database.read() as connection:
        row = connection.execute(select(batches.c.lines_completed, batches.c.total_tokens)).one()
        charged = connection.execute(select(usage_ledger.c.line)).scalars().all()
    assert tuple(row) == (4, 28)
    assert len(charged) == len(set(charged)) == 4


# Batches that cannot be planned or finalised.


def failing(gateway: Gateway, batch_id: str, *, lost: int) -> None:
    """The batch has lost so many epochs before."""
    with gateway.database.write() as connection:
        mine = update(batches).where(batches.c.public_id == batch_id)
        connection.execute(mine.values(lost_epochs=lost, lease_until=0))


def test_a_batch_that_cannot_be_planned_fails_with_a_reason(
    client: KeyClient, other_client: KeyClient, gateway: Gateway
) -> None:
    batch = create(client, jsonl([chat_line("poison"), chat_line("b")]))
    neighbour = create(other_client, jsonl([chat_line("a")]))
    work = BatchWork(gateway, worker="w")
    with refusing(gateway, "NEW.custom_id = 'poison'", event="INSERT"):
        until(lambda: step(work) and retrieve(other_client, neighbour["id"])["status"] == "in_progress")
        assert retrieve(client, batch["id"])["status"] == "validating"
        failing(gateway, batch["id"], lost=MAX_ATTEMPTS - 1)
        until(lambda: step(work) and retrieve(client, batch["id"])["status"] == "failed")
    [error] = retrieve(client, batch["id"])["errors"]["data"]
    assert error["code"] == "gateway_error"


def test_a_batch_that_cannot_be_finalised_fails_with_a_reason(client: KeyClient, gateway: Gateway) -> None:
    batch = create(client, jsonl([chat_line("a")]))
    work = BatchWork(gateway, worker="w")
    settle(work)
    found = work.claim(skip=())
    assert found is not None
    results = [refused(batch["id"], line, code="x", message="m") for line in found[1].lines]
    assert work.flush(found[1], results, (), last=True)
    with gateway.database.read() as connection:
        [key] = connection.execute(select(blobs.c.key).join(batch_chunks)).scalars()
    gateway.blobs.delete(key)
    failing(gateway, batch["id"], lost=MAX_MISSING_ATTEMPTS - 1)
    until(lambda: step(work) and retrieve(client, batch["id"])["status"] == "failed")
    over = retrieve(client, batch["id"])
    assert (over["status"], over["errors"]["data"][0]["code"]) == ("failed", "gateway_error")


def test_a_batch_that_was_never_planned_expires(client: KeyClient, gateway: Gateway) -> None:
    batch = create(client, jsonl([chat_line("a")]))
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(expires_at=1))
    work = BatchWork(gateway, worker="w")
    until(lambda: step(work) and retrieve(client, batch["id"])["status"] == "expired")
