"""Batches that the gateway runs, from upload to output file, against a provider on a real socket."""

from typing import Any

from sqlalchemy import select, update

from app.data.tables import batch_lines, batch_segments, batches, blobs
from app.services.gateway import Gateway
from app.services.upkeep import sweep
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, overload
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.waiting import until


def ids(lines: list[dict[str, Any]]) -> list[str]:
    return [line["custom_id"] for line in lines]


def test_a_batch_ends_with_every_answer_in_line_order(client: KeyClient, workers: Workers) -> None:
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}", f"text {n}") for n in range(100)), metadata={"k": "v"})
    assert batch["status"] == "validating"
    over = ended(client, batch["id"])
    assert over["status"] == "completed"
    assert over["request_counts"]["completed"] == over["request_counts"]["total"] == 100
    assert over["error_file_id"] is None
    assert over["metadata"] == {"k": "v"}
    output = read(client, over["output_file_id"])
    assert ids(output) == [f"c{n}" for n in range(100)]
    assert output[3]["response"]["status_code"] == 200
    assert output[3]["response"]["body"]["object"] == "chat.completion"
    assert output[3]["error"] is None
    used = sum(line["response"]["body"]["usage"]["total_tokens"] for line in output)
    assert over["usage"]["total_tokens"] == used > 0


def test_what_is_wrong_with_lines_fails_the_batch_and_tells_each(client: KeyClient, workers: Workers) -> None:
    workers.start()
    lines = [
        chat_line("a"),
        chat_line("a"),
        chat_line("b", url="/v1/embeddings"),
        {"custom_id": "c", "method": "POST", "url": "/v1/chat/completions"},
        chat_line("d", model="other"),
        chat_line("e", stream=True),
        chat_line("f") | {"method": "GET"},
    ]
    deep = b'{"custom_id":"g","method":"POST","url":"/v1/chat/completions","body":{"model":"m","x":' + b"[" * 300
    deep += b"]" * 300 + b"}}\n"  # can be read, and not be written again
    batch = create(client, jsonl(lines) + b"{not json}\n" + deep)
    over = ended(client, batch["id"])
    assert over["status"] == "failed"
    told = {(entry["line"], entry["code"]) for entry in over["errors"]["data"]}
    assert told == {
        (3, "invalid_url"),
        (4, "missing_required_parameter"),
        (5, "mismatched_model"),
        (6, "streaming_unsupported"),
        (7, "invalid_method"),
        (8, "invalid_json_line"),
        (9, "invalid_json_line"),
    }
    assert over["request_counts"]["total"] == 0
    assert over["output_file_id"] is over["error_file_id"] is None


def test_duplicate_custom_ids_fail_the_batch(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    workers.start()
    batch = create(client, jsonl([chat_line("a"), chat_line("b"), chat_line("a"), chat_line("a")]))
    over = ended(client, batch["id"])
    assert [(e["code"], e["line"]) for e in over["errors"]["data"]] == [
        ("duplicate_custom_id", 3),
        ("duplicate_custom_id", 4),
    ]
    until(lambda: not rows(gateway, batch_lines))


def test_failed_lines_are_in_the_error_file(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    fake.faults.add(
        Fault(
            containing=b"bad", status=400, body=b'{"error":{"message":"no","type":"invalid_request_error","code":"x"}}'
        )
    )
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}", "bad" if n % 5 == 0 else "good") for n in range(20)))
    over = ended(client, batch["id"])
    assert over["status"] == "completed"
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (16, 4)
    errors = read(client, over["error_file_id"])
    assert ids(errors) == ["c0", "c5", "c10", "c15"]
    assert errors[0]["response"]["status_code"] == 400
    assert errors[0]["response"]["body"]["error"]["code"] == "x"


def test_overload_is_waited_out(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    fake.faults.add(overload(retry_after="0", every=2, times=30))
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(40)))
    over = ended(client, batch["id"])
    assert over["request_counts"]["completed"] == 40


def test_a_server_that_is_away_is_waited_for(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    fake.stop()
    workers.start()
    batch = create(client, jsonl([chat_line("a")]))
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    fake.start()
    assert ended(client, batch["id"])["status"] == "completed"


def test_server_errors_are_retried_and_then_final(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    fake.faults.add(Fault(containing=b"once", status=500, times=1))
    workers.start()
    batch = create(client, jsonl([chat_line("a", "once"), chat_line("b")]))
    over = ended(client, batch["id"])
    assert over["request_counts"]["completed"] == 2


def test_cancel_keeps_what_is_finished(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    fake.latency_s = 0.05
    fake.max_concurrent = 4
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(400)))
    until(lambda: retrieve(client, batch["id"])["request_counts"]["completed"] > 3)
    assert client.post(f"/v1/batches/{batch['id']}/cancel").json["status"] == "cancelling"
    over = ended(client, batch["id"])
    assert over["status"] == "cancelled"
    counts = over["request_counts"]
    output, errors = read(client, over["output_file_id"]), read(client, over["error_file_id"])
    assert len(output) == counts["completed"] > 3
    assert len(output) + len(errors) == 400
    assert errors[-1]["error"]["code"] == "batch_cancelled"
    assert sorted(ids(output) + ids(errors)) == sorted(f"c{n}" for n in range(400))


def test_cancel_before_anything_ran(client: KeyClient, workers: Workers) -> None:
    batch = create(client, jsonl([chat_line("a")]))
    client.post(f"/v1/batches/{batch['id']}/cancel")
    workers.start()
    over = ended(client, batch["id"])
    assert over["status"] == "cancelled"
    assert over["output_file_id"] is over["error_file_id"] is None


def test_the_deadline_expires_what_is_left(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(Fault(containing=b"slow", latency_s=30))
    workers.start()
    batch = create(client, jsonl([chat_line("a"), chat_line("b", "slow")]))
    until(lambda: retrieve(client, batch["id"])["request_counts"]["completed"] == 1)
    workers.stop()
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(expires_at=batches.c.created_at))
        connection.execute(update(batch_segments).values(lease_until=0))
    workers.start()
    over = ended(client, batch["id"])
    assert over["status"] == "expired"
    assert ids(read(client, over["output_file_id"])) == ["a"]
    errors = read(client, over["error_file_id"])
    assert (errors[0]["custom_id"], errors[0]["error"]["code"]) == ("b", "batch_expired")
    assert over["request_counts"]["expired"] == 1


def test_two_workers_share_a_batch_and_keep_the_ceiling(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.latency_s = 0.01
    workers.start()
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}", f"mark-{n}") for n in range(600)))
    over = ended(client, batch["id"])
    assert over["request_counts"]["completed"] == 600
    assert fake.most_in_flight <= 64
    assert all(fake.count(f"mark-{n}") == 1 for n in range(600))


def test_model_of_the_batch_overrides_the_lines(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    workers.start()
    batch = create(client, jsonl([chat_line("a", model="x"), chat_line("b", model="y")]), model="local/z")
    over = ended(client, batch["id"])
    assert over["status"] == "completed"
    assert {request.json["model"] for request in fake.requests} == {"z"}


def test_ids_of_others_are_refused(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    workers.start()
    bad = chat_line("a", messages=[{"role": "user", "content": [{"type": "video", "video": {"id": "video-1"}}]}])
    over = ended(client, create(client, jsonl([bad, chat_line("b")]))["id"])
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (1, 1)
    assert read(client, over["error_file_id"])[0]["error"]["code"] == "unsupported_id"
    assert len(fake.requests) == 1


def test_nothing_is_left_behind(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(30)))
    ended(client, batch["id"])
    workers.stop()
    sweep.sweep(gateway)
    assert {row.state for row in rows(gateway, blobs)} == {"live"}
    assert {row.state for row in rows(gateway, batch_segments)} == {"done"}


def rows(gateway: Gateway, table: Any) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(table)))


def test_lines_have_their_time_and_files_stay(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    workers.start()
    batch = ended(client, create(client, jsonl(chat_line(f"c{n}") for n in range(30)))["id"])
    workers.stop()
    long_ago = gateway.clock.now_ms() - 31 * 24 * 3600 * 1000
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(created_at=long_ago, completed_at=long_ago))
    assert sweep.sweep(gateway)["batch_lines"] == 1
    assert rows(gateway, batch_lines) == rows(gateway, batch_segments) == []
    assert sweep.sweep(gateway)["batch_lines"] == 0
    gone = client.get(f"/v1/batches/{batch['id']}/results")
    assert gone.status_code == 404
    assert "deleted (retention)" in gone.json["error"]["message"]
    assert len(read(client, batch["output_file_id"])) == 30
    assert len(rows(gateway, blobs)) == 2
