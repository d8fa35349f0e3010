"""Inputs with too many lines: they can be uploaded; nothing else is done with them, and their owner learns why."""

from dataclasses import replace

import pytest

from app.errors import RateLimitedError
from app.services.batches import estimate
from app.services.gateway import Caller, Gateway
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.support.batch_states import put_file
from tests.support.batches import chat_line, create, jsonl, retrieve, upload
from tests.support.working import step

TOO_MANY = "The file has more than 10 lines, blank ones included. Split it, or remove blank lines."
INPUTS = [b"\n" * 11, b"\n" * 10 + jsonl([chat_line("a")]), jsonl(chat_line(f"c{n}") for n in range(11)), b" \n" * 11]


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_MAX_INPUT_LINES": "10"}


@pytest.mark.parametrize("data", INPUTS)
def test_a_batch_on_too_many_lines_fails_with_the_reason(gateway: Gateway, client: KeyClient, data: bytes) -> None:
    batch = create(client, data)
    assert client.get(f"/v1/files/{batch['input_file_id']}").json["status_details"].startswith(TOO_MANY)
    assert step(BatchWork(gateway, worker="worker"))
    over = retrieve(client, batch["id"])
    assert over["status"] == "failed"
    assert [(error["code"], error["message"]) for error in over["errors"]["data"]] == [("too_many_lines", TOO_MANY)]


def test_as_many_lines_as_are_allowed_run(gateway: Gateway, client: KeyClient) -> None:
    batch = create(client, b"\n" * 9 + jsonl([chat_line("a")]))
    assert step(BatchWork(gateway, worker="worker"))
    assert retrieve(client, batch["id"])["status"] == "in_progress"


def test_too_many_lines_are_not_estimated(client: KeyClient) -> None:
    answer = client.get(f"/v1/files/{upload(client, INPUTS[0])}/estimate")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "too_many_lines")
    assert answer.json["error"]["message"] == TOO_MANY


def test_a_batch_larger_than_this_gateway_runs_is_not_read_to_its_end(gateway: Gateway, client: KeyClient) -> None:
    small = replace(gateway, settings=replace(gateway.settings, max_batch_lines=2))
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(3)) + b"{not json}\n")
    assert step(BatchWork(small, worker="worker"))
    errors = retrieve(client, batch["id"])["errors"]["data"]
    assert [error["code"] for error in errors] == ["maximum_requests_exceeded"]


def test_a_project_reads_one_large_input_at_a_time(gateway: Gateway, caller: Caller) -> None:
    put_file(gateway, caller, jsonl([chat_line("a")]))
    with gateway.readings.slot(caller.project_id) as is_free:
        assert is_free
        with pytest.raises(RateLimitedError) as refused:
            estimate.read_for(gateway, caller, "unused", size=estimate.MAX_SMALL_BYTES + 1)
    assert refused.value.retry_after_s
