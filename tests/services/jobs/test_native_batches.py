"""Batches that a provider runs, from upload to output file, against the provider on a real socket."""

from typing import Any

from app.services.gateway import Caller, Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, overload
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import asked, assert_tell_the_reason, jobs_of
from tests.services.running.conftest import Workers
from tests.support.batch_states import put_file
from tests.support.batches import CHAT, chat_line, create, ended, jsonl, read, retrieve
from tests.support.waiting import until


def ids(lines: list[dict[str, Any]]) -> list[str]:
    return [line["custom_id"] for line in lines]


def lines(count: int, **body: Any) -> bytes:
    return jsonl(chat_line(f"c{n}", f"text {n}", **body) for n in range(count))


def test_a_batch_ends_with_every_answer_in_line_order(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    workers.start()
    batch = create(client, lines(50), metadata={"k": "v"})
    assert (batch["status"], batch["execution"]) == ("validating", "provider")
    over = ended(client, batch["id"])
    assert over["status"] == "completed"
    assert over["request_counts"]["completed"] == over["request_counts"]["total"] == 50
    assert over["error_file_id"] is None
    assert over["metadata"] == {"k": "v"}
    assert None not in (over["in_progress_at"], over["finalizing_at"], over["completed_at"])
    output = read(client, over["output_file_id"])
    assert ids(output) == [f"c{n}" for n in range(50)]
    assert output[3]["response"]["body"]["choices"][0]["message"]["content"].endswith("text 3")
    used = sum(line["response"]["body"]["usage"]["total_tokens"] for line in output)
    assert over["usage"]["total_tokens"] == used > 0
    assert asked(server, "POST", "/batches") == 1


def test_the_file_goes_as_it_is_and_once(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    data = lines(3).replace(b'{"custom_id"', b'{  "custom_id"')
    workers.start()
    ended(client, create(client, data)["id"])
    assert [file.data for file in app.files.values() if file.purpose == "batch"] == [data]


def test_of_a_member_that_is_there_twice_only_the_one_that_was_checked_is_sent(
    client: KeyClient, workers: Workers, app: JobsApp
) -> None:
    data = lines(2).replace(b'"model": "m"', b'"model": "unchecked", "model": "m"', 1)
    workers.start()
    over = ended(client, create(client, data)["id"])
    assert over["request_counts"]["completed"] == 2
    (sent,) = [file.data for file in app.files.values() if file.purpose == "batch"]
    assert b"unchecked" not in sent
    assert [line["body"]["model"] for job in app.jobs.values() for line in job.lines] == ["m", "m"]


def test_refused_lines_are_in_the_error_file(client: KeyClient, workers: Workers) -> None:
    workers.start()
    data = jsonl(chat_line(f"c{n}", "refuse-this" if n % 5 == 0 else "good") for n in range(20))
    over = ended(client, create(client, data)["id"])
    assert over["status"] == "completed"
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (16, 4)
    errors = read(client, over["error_file_id"])
    assert ids(errors) == ["c0", "c5", "c10", "c15"]
    assert errors[0]["response"]["status_code"] == 400


def test_counts_and_expiry_of_the_provider_show_while_it_runs(
    client: KeyClient, workers: Workers, app: JobsApp
) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, lines(3))
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    until(lambda: app.jobs)
    job = next(iter(app.jobs.values()))
    shown = retrieve(client, batch["id"])
    assert shown["expires_at"] == job.created_at + 86_400
    assert shown["extra_fields"]["native_id"] == job.id
    assert client.get(f"/v1/batches/{job.id}").json["id"] == batch["id"]
    app.end(job, "completed")
    assert ended(client, batch["id"])["status"] == "completed"


def test_more_lines_than_a_job_takes_become_several_jobs(
    client: KeyClient, workers: Workers, app: JobsApp, gateway: Gateway
) -> None:
    workers.start()
    data = jsonl(chat_line(f"c{n}", "refuse-this" if n == 5 else f"text {n}") for n in range(10))
    over = ended(client, create(client, data, provider="jobs-split")["id"])
    assert sorted(len(job.lines) for job in app.jobs.values()) == [2, 4, 4]
    assert over["status"] == "completed"
    assert ids(read(client, over["output_file_id"])) == [f"c{n}" for n in range(10) if n != 5]
    assert ids(read(client, over["error_file_id"])) == ["c5"]
    assert over["request_counts"]["total"] == 10
    assert len({job.marker for job in jobs_of(gateway)}) == 3
    assert over["extra_fields"]["native_id"] is None


def test_odd_ids_and_models_are_mapped_there_and_back(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    workers.start()
    names = ["bg-2", "plain", "ümlaut", "x" * 100, "bg-1"]
    data = jsonl(chat_line(name, f"text {n}") for n, name in enumerate(names))
    batch = create(client, data, provider="jobs-dialect", model="other")
    over = ended(client, batch["id"])
    output = read(client, over["output_file_id"])
    assert ids(output) == names
    assert [line["response"]["body"]["choices"][0]["message"]["content"][-6:] for line in output] == [
        f"text {n}" for n in range(5)
    ]
    sent = [line for job in app.jobs.values() for line in job.lines]
    assert {line["custom_id"] for line in sent} == {"bg-1", "plain", "bg-3", "bg-4", "bg-5"}
    assert {line["body"]["model"] for line in sent} == {"other"}
    assert len(app.jobs) > 1  # 500 bytes a job


def test_jobs_that_carry_their_lines_need_no_file(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    workers.start()
    over = ended(client, create(client, lines(5), provider="jobs-inline")["id"])
    assert over["request_counts"]["completed"] == 5
    assert asked(server, "POST", "/files") == 0


def test_a_line_longer_than_a_job_fails_the_batch(client: KeyClient, workers: Workers) -> None:
    workers.start()
    data = jsonl([chat_line("a"), chat_line("b", "x" * 2000)])
    over = ended(client, create(client, data, provider="jobs-dialect")["id"])
    assert over["status"] == "failed"
    assert [(error["code"], error["line"]) for error in over["errors"]["data"]] == [("line_too_long", 2)]


def test_ids_of_others_are_never_sent(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    workers.start()
    data = jsonl([chat_line("a"), chat_line("b", container="cntr_1"), chat_line("c")])
    over = ended(client, create(client, data)["id"])
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (2, 1)
    assert read(client, over["error_file_id"])[0]["error"]["code"] == "unsupported_id"
    assert [len(job.lines) for job in app.jobs.values()] == [2]


def test_nothing_is_asked_for_a_batch_with_nothing_to_send(
    client: KeyClient, workers: Workers, server: ServedApp
) -> None:
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a", container="cntr_1")]))["id"])
    assert (over["status"], over["request_counts"]["failed"]) == ("completed", 1)
    assert not server.requests


def test_a_refusal_fails_the_batch_in_openais_words(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    body = b'{"error":{"message":"no batches today","code":"not_today","param":"model","type":"x"}}'
    server.faults.add(Fault(path="/batches", method="POST", status=400, body=body))
    workers.start()
    over = ended(client, create(client, lines(3))["id"])
    assert over["status"] == "failed"
    told = {"code": "not_today", "message": "no batches today", "param": "model", "line": None}
    assert over["errors"] == {"object": "list", "data": [told]}
    assert set(over["request_counts"].values()) == {0}  # as when the gateway itself refuses an input
    assert asked(server, "POST", "/batches") == 1
    assert_tell_the_reason(client, over, "not_today", "no batches today")
    again = client.post(f"/v1/batches/{over['id']}/retry").json
    server.faults.clear()
    assert ended(client, again["id"])["request_counts"]["completed"] == 3


def test_errors_that_the_provider_finds_in_the_input_have_its_lines(
    client: KeyClient, workers: Workers, app: JobsApp
) -> None:
    app.models = ("m",)
    workers.start()
    over = ended(client, create(client, b"\n" + lines(2, model="unknown"), provider="jobs-dialect")["id"])
    assert over["status"] == "failed"
    assert {error["line"] for error in over["errors"]["data"]} <= {2, 3}


def test_overload_is_waited_out(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    server.faults.add(overload(path="/batches", method="POST", retry_after="0", times=3))
    server.faults.add(overload(path="/content", retry_after="0", times=2))
    workers.start()
    over = ended(client, create(client, lines(3))["id"])
    assert over["status"] == "completed"
    assert asked(server, "POST", "/batches") == 4


def test_a_job_without_room_is_made_again(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    app.no_room = 2
    workers.start()
    over = ended(client, create(client, lines(3))["id"])
    assert over["status"] == "completed"
    assert len({job.fields["metadata"]["batchgate_job"] for job in app.jobs.values()}) == len(app.jobs) == 3


def test_a_key_that_is_refused_ends_no_job(client: KeyClient, workers: Workers, app: JobsApp, gateway: Gateway) -> None:
    app.looks_to_end = None
    workers.start()
    batch = create(client, lines(3))
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    app.api_key = "changed"
    until(lambda: jobs_of(gateway)[0].faults > 1)
    # The provider's words about the operator's key are for the log.
    assert "rejects the credential" in jobs_of(gateway)[0].last_error
    said = retrieve(client, batch["id"])["waiting_on"]["message"]
    assert "rejects the credential" in said and "Incorrect" not in said
    app.api_key, app.looks_to_end = "", 1
    assert ended(client, batch["id"])["status"] == "completed"
    assert len(app.jobs) == 1


def test_a_line_that_the_provider_forgot_is_an_error(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    app.forgets = {"c1", "c3"}
    workers.start()
    over = ended(client, create(client, lines(5))["id"])
    assert over["status"] == "completed"
    errors = read(client, over["error_file_id"])
    assert [(line["custom_id"], line["error"]["code"]) for line in errors] == [
        ("c1", "missing_result"),
        ("c3", "missing_result"),
    ]
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (3, 2)


def test_a_job_that_expires_keeps_what_ran(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    app.looks_to_end, app.ran_before_end = None, 2
    workers.start()
    batch = create(client, lines(5))
    until(lambda: any(job.state == "in_progress" for job in app.jobs.values()))
    app.end(next(iter(app.jobs.values())), "expired")
    over = ended(client, batch["id"])
    assert over["status"] == "expired"
    assert (over["request_counts"]["completed"], over["request_counts"]["expired"]) == (2, 3)
    assert {line["error"]["code"] for line in read(client, over["error_file_id"])} == {"batch_expired"}


def test_results_that_break_a_connector_are_read_again(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway
) -> None:
    server.faults.add(Fault(path="/content", status=200, body=b"{not json", times=1))
    workers.start()
    batch = create(client, lines(3))
    until(lambda: jobs_of(gateway) and "gateway failed" in (jobs_of(gateway)[0].last_error or ""))
    assert ended(client, batch["id"])["request_counts"]["completed"] == 3


def test_a_download_that_breaks_off_is_read_again(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    server.faults.add(Fault(path="/content", reset=True, times=2))
    workers.start()
    over = ended(client, create(client, lines(3))["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 3)


def test_one_of_two_jobs_that_fails_leaves_the_other_ones_results(
    client: KeyClient, workers: Workers, server: ServedApp
) -> None:
    body = b'{"error":{"message":"no","code":"not_today","param":null,"type":"x"}}'
    server.faults.add(Fault(path="/batches", method="POST", status=400, body=body, times=1))
    workers.start()
    over = ended(client, create(client, lines(6), provider="jobs-split")["id"])
    assert over["status"] == "completed"
    assert over["request_counts"]["completed"] + over["request_counts"]["failed"] == 6
    assert {line["error"]["code"] for line in read(client, over["error_file_id"])} == {"not_today"}
    assert over["errors"]["data"][0]["code"] == "not_today"


def test_ten_thousand_lines(client: KeyClient, workers: Workers, gateway: Gateway, caller: Caller) -> None:
    file_id = put_file(gateway, caller, lines(10_000))
    batch = client.post("/v1/batches", json={"input_file_id": file_id, "endpoint": CHAT}).json
    workers.start()
    over = ended(client, batch["id"], seconds=60)
    assert over["request_counts"]["completed"] == 10_000
    output = client.get(f"/v1/files/{over['output_file_id']}/content").data.splitlines()
    assert len(output) == 10_000
