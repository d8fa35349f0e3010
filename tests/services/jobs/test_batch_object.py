"""What a batch tells of itself when a provider runs it: its operation, its counts, its ends, its times, its tokens."""

from typing import Any
from urllib.parse import quote

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.waiting import until


def lines(count: int, *refused: int) -> bytes:
    return jsonl(chat_line(f"c{n}", "refuse-this" if n in refused else f"text {n}") for n in range(count))


def counts(batch: dict[str, Any]) -> dict[str, int]:
    return {name: number for name, number in batch["request_counts"].items() if number}


def test_an_operation_is_named_once_the_provider_has_it(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    app.looks_to_end = None
    batch = create(client, lines(2), provider="jobs-operation")
    assert batch["operation_name"] is None
    workers.start()
    until(lambda: retrieve(client, batch["id"])["operation_name"])
    shown = retrieve(client, batch["id"])
    assert shown["operation_name"] == shown["extra_fields"]["native_id"] == f"operations/{next(iter(app.jobs))}"
    app.looks_to_end = 1
    assert ended(client, batch["id"])["operation_name"] == shown["operation_name"]


def test_of_several_operations_the_first_is_named(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    workers.start()
    over = ended(client, create(client, lines(9), provider="jobs-operation")["id"])
    made = jobs_of(gateway)
    assert len(made) == 3
    assert over["operation_name"] == made[0].native_id
    assert over["extra_fields"]["native_id"] is None


@pytest.mark.parametrize("provider", ["jobs", "local"])
def test_other_batches_have_no_operation(client: KeyClient, workers: Workers, provider: str) -> None:
    batch = create(client, lines(1), provider=provider)
    if provider == "jobs":
        workers.start()
        assert ended(client, batch["id"])["extra_fields"]["native_id"] is not None
    assert retrieve(client, batch["id"])["operation_name"] is None


def test_a_batch_answers_to_the_name_of_its_operation(
    client: KeyClient, other_client: KeyClient, workers: Workers
) -> None:
    workers.start()
    batch = ended(client, create(client, lines(2), provider="jobs-operation")["id"])
    name = batch["operation_name"]
    for path in (name, quote(name, safe="")):
        assert client.get(f"/v1/batches/{path}").json["id"] == batch["id"]
        assert len(client.get(f"/v1/batches/{path}/results").data.splitlines()) == 2
        assert len(client.get(f"/v1/batches/{path}/lines").json["data"]) == 2
        assert client.post(f"/v1/batches/{path}/cancel").status_code == 409
        assert client.get(f"/v1/batches/{path}/cancel").status_code == 405
        assert other_client.get(f"/v1/batches/{path}").status_code == 404
    assert client.delete(f"/v1/batches/{quote(name, safe='')}").json["id"] == batch["id"]


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ((), {"total": 5, "completed": 5, "succeeded": 5}),
        ((1, 3), {"total": 5, "completed": 3, "succeeded": 3, "failed": 2}),
        (range(5), {"total": 5, "failed": 5}),
    ],
)
def test_a_batch_with_refused_lines_is_completed(
    client: KeyClient, workers: Workers, refused: Any, told: dict[str, int]
) -> None:
    workers.start()
    over = ended(client, create(client, lines(5, *refused))["id"])
    assert (over["status"], over["processing_status"], over["errors"]) == ("completed", "ended", None)
    assert counts(over) == told
    output, errors = read(client, over["output_file_id"]), read(client, over["error_file_id"])
    assert (len(output), len(errors)) == (told.get("completed", 0), told.get("failed", 0))
    assert (over["output_file_id"] is None, over["error_file_id"] is None) == (not output, not errors)
    used = [line["response"]["body"]["usage"] for line in output]
    assert over["usage"] == {
        "input_tokens": sum(usage["prompt_tokens"] for usage in used),
        "input_tokens_details": {"cached_tokens": sum(u["prompt_tokens_details"]["cached_tokens"] for u in used)},
        "output_tokens": sum(usage["completion_tokens"] for usage in used),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(usage["total_tokens"] for usage in used),
    }
    stamps = [over[name] for name in ("created_at", "in_progress_at", "finalizing_at", "completed_at")]
    assert stamps == sorted(stamps)
    assert all(over[name] is None for name in ("failed_at", "expired_at", "cancelling_at", "cancelled_at"))


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
def test_an_end_before_all_lines_ran(client: KeyClient, workers: Workers, app: JobsApp, ending: str) -> None:
    app.looks_to_end, app.ran_before_end = None, 2
    workers.start()
    batch = create(client, lines(5, 0))
    until(lambda: any(job.state == "in_progress" for job in app.jobs.values()))
    assert retrieve(client, batch["id"])["processing_status"] == "in_progress"
    app.end(next(iter(app.jobs.values())), ending)
    over = ended(client, batch["id"])
    assert (over["status"], over["processing_status"]) == (ending, "ended")
    word = "canceled" if ending == "cancelled" else ending
    assert counts(over) == {"total": 5, "completed": 1, "succeeded": 1, "failed": 4, word: 3}
    errors = read(client, over["error_file_id"])
    assert [line["error"] and line["error"]["code"] for line in errors] == [None, *[f"batch_{ending}"] * 3]
    assert over[f"{ending}_at"] is not None
    assert over["completed_at"] is None
