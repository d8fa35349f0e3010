"""Files that lines name: refused by name when they are not there or do not fit, kept while a batch needs them."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from app.data.tables import batch_files, files, native_objects
from app.engine.outcomes import NotReady, Result
from app.services.files import files as file_service
from app.services.gateway import Gateway
from app.services.lines.send import Request
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm
from tests.fakes.faults import Fault
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve, upload
from tests.support.waiting import until
from tests.support.working import settle

RESPONSES = "/v1/responses"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
PDF = b"%PDF-1.4\n"


@pytest.fixture
def farm() -> Iterator[Farm]:
    """A provider with files and batches of its own, one of other forms, and a server without either."""
    with Farm(["openai", "anthropic", "ollama"]) as running:
        for server in running.servers.values():
            getattr(server.app, "model", server.app).models = ()
        yield running


@pytest.fixture
def environment(environment: dict[str, str], farm: Farm) -> dict[str, str]:
    return {
        **environment,
        **farm.environment,
        "BATCHGATE_DEFAULT_PROVIDER": "ollama",
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_REFRESH_SECONDS": "3600",
        "BATCHGATE_RECONCILE_SECONDS": "1",
        "BATCHGATE_MAX_INLINED_BYTES": "2000",
    }


def stored(client: KeyClient, data: bytes, filename: str = "a.pdf", **fields: str) -> str:
    form = {"purpose": "user_data", "provider": "ollama", "file": (io.BytesIO(data), filename), **fields}
    answer = client.post("/v1/files", data=form, content_type="multipart/form-data")
    assert answer.status_code == 200, answer.text
    return str(answer.json["id"])


def naming(name: str, *file_ids: str) -> dict[str, Any]:
    parts: list[Any] = [{"type": "file", "file": {"file_id": file_id}} for file_id in file_ids]
    return chat_line(name, messages=[{"role": "user", "content": [*parts, {"type": "text", "text": name}]}])


def asking(name: str, file_id: str) -> dict[str, Any]:
    part = {"type": "input_file", "file_id": file_id}
    made = chat_line(name, url=RESPONSES, input=[{"role": "user", "content": [part]}])
    del made["body"]["messages"]
    return made


WAYS = pytest.mark.parametrize(
    "way", [{"provider": "ollama"}, {"provider": "openai"}, {"provider": "openai", "execution": "gateway"}], ids=str
)


@WAYS
def test_files_that_the_project_does_not_have_fail_the_batch_by_line(
    client: KeyClient, other_client: KeyClient, gateway: Gateway, way: dict[str, str], farm: Farm
) -> None:
    own, foreign, gone = stored(client, PDF), stored(other_client, PDF), stored(client, PDF)
    at_openai = stored(other_client, PDF, provider="openai")
    native = other_client.get(f"/v1/files/{at_openai}").json["extra_fields"]["native_id"]
    assert client.delete(f"/v1/files/{gone}").status_code == 200
    bad = [foreign, gone, native, at_openai, "file-unknown", "../x", "f" * 600]
    lines = [naming("good", own), *(naming(f"bad-{number}", name) for number, name in enumerate(bad))]
    batch = create(client, jsonl(lines), **way)

    settle(BatchWork(gateway, worker="w"))

    over = retrieve(client, batch["id"])
    assert over["status"] == "failed"
    assert over["errors"]["data"] == [
        {
            "code": "file_not_found",
            "message": f"No such File object: {name[:100]}",
            "param": "body.messages[0].content[0].file.file_id",
            "line": number,
        }
        for number, name in enumerate(bad, start=2)
    ]
    assert not [request for request in farm.servers["openai"].requests if request.path.endswith("/batches")]


@WAYS
def test_a_named_file_cannot_be_deleted_before_the_batch_is_over(
    client: KeyClient, gateway: Gateway, way: dict[str, str]
) -> None:
    named, free = stored(client, PDF), stored(client, PDF)
    batch = create(client, jsonl([naming("a", named), naming("b", named)]), **way)
    work = BatchWork(gateway, worker="w")
    until(lambda: not work.plan() and len(rows(gateway, select(batch_files.c.file_id))) == 1)

    answer = client.delete(f"/v1/files/{named}")

    assert answer.status_code == 409
    assert batch["id"] in answer.json["error"]["message"]
    assert client.delete(f"/v1/files/{free}").status_code == 200
    # Nor does its expiry take it away.
    with gateway.database.write() as connection:
        connection.execute(update(files).where(files.c.public_id == named).values(expires_at=1))
    assert file_service.expire_due(gateway) == 0
    assert client.get(f"/v1/files/{named}").status_code == 200
    assert [file["id"] for file in client.get("/v1/files?purpose=user_data").json["data"]] == [named]
    assert client.post(f"/v1/batches/{batch['id']}/cancel").status_code == 200
    until(lambda: is_cancelled(client, gateway, batch["id"]))
    assert file_service.expire_due(gateway) == 1


def is_cancelled(client: KeyClient, gateway: Gateway, batch_id: str) -> bool:
    work = BatchWork(gateway, worker="w2")
    while work.plan() or work.job() or work.finalise():
        pass
    return str(retrieve(client, batch_id)["status"]) == "cancelled"


def rows(gateway: Gateway, statement: Any) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(statement))


REFUSED: dict[str, tuple[str, bytes, str, str]] = {
    "too large": ("big.pdf", PDF + bytes(3000), "file_too_large", "may have 2000 bytes"),
    "text that is none": ("a.txt", b"caf\xe9", "unsupported_file", "text must be UTF-8"),
}


@WAYS
@pytest.mark.parametrize("case", REFUSED)
def test_a_line_with_a_file_that_cannot_be_sent_fails_alone(
    client: KeyClient, workers: Workers, way: dict[str, str], case: str
) -> None:
    filename, data, code, words = REFUSED[case]
    if way["provider"] == "openai" and filename.endswith(".pdf"):
        data, filename = PNG + bytes(3000), "big.png"  # PDFs are named by their ids there
    file_id = stored(client, data, filename)
    workers.start()
    over = ended(client, create(client, jsonl([naming("bad", file_id), chat_line("good")]), **way)["id"])

    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 1)
    [row] = read(client, over["error_file_id"])
    error = row["response"]["body"]["error"]
    assert (row["response"]["status_code"], error["code"]) == (400, code)
    assert error["param"] == "messages[0].content[0].file.file_id"
    assert file_id in error["message"] and filename in error["message"] and words in error["message"]
    assert client.get(f"/v1/batches/{over['id']}/lines").json["data"][0]["error_code"] == code


def test_the_files_of_a_line_count_together(client: KeyClient, workers: Workers) -> None:
    each = stored(client, PNG + bytes(900), "a.png")
    workers.start()
    over = ended(client, create(client, jsonl([naming("two", each, each), naming("three", each, each, each)]))["id"])
    assert over["request_counts"]["completed"] == 1
    [row] = read(client, over["error_file_id"])
    assert row["response"]["body"]["error"]["param"] == "messages[0].content[2].file.file_id"


@pytest.mark.parametrize("execution", ["provider", "gateway"])
def test_a_copy_that_the_batch_would_outlive_is_not_used(
    client: KeyClient, workers: Workers, gateway: Gateway, farm: Farm, execution: str
) -> None:
    file_id = stored(client, PDF)
    workers.start()
    way = {"provider": "openai", "execution": execution}
    for _ in range(2):
        over = ended(client, create(client, jsonl([naming("a", file_id), naming("b", file_id)]), **way)["id"])
        assert over["request_counts"]["completed"] == 2
    kept = [file for file in farm.servers["openai"].app.files.values() if file.data == PDF]  # type: ignore[attr-defined]
    assert len(kept) == 1 and kept[0].filename.endswith(".pdf") and kept[0].purpose == "user_data"

    soon = gateway.clock.now_ms() + 3600 * 1000
    with gateway.database.write() as connection:
        connection.execute(
            update(native_objects).where(native_objects.c.native_id == kept[0].id).values(expires_at=soon)
        )
    over = ended(client, create(client, jsonl([naming("c", file_id)]), **way)["id"])

    assert over["request_counts"]["completed"] == 1
    kept = [file for file in farm.servers["openai"].app.files.values() if file.data == PDF]  # type: ignore[attr-defined]
    assert len(kept) == 2


@pytest.mark.parametrize("execution", ["provider", "gateway"])
def test_a_file_that_the_provider_refuses_ends_its_lines_alone(
    client: KeyClient, workers: Workers, farm: Farm, execution: str
) -> None:
    body = b'{"error":{"message":"This file is no PDF.","type":"invalid_request_error","param":"file","code":null}}'
    server = farm.servers["openai"]
    file_id = stored(client, PDF)
    batch_input = jsonl([naming("bad", file_id), chat_line("good")])
    server.faults.add(Fault(path="/files", method="POST", status=400, body=body, times=1))
    workers.start()
    over = ended(client, create(client, batch_input, provider="openai", execution=execution)["id"])

    assert (over["status"], over["request_counts"]["completed"], over["request_counts"]["failed"]) == (
        "completed",
        1,
        1,
    )
    [row] = read(client, over["error_file_id"])
    error = row["error"] or row["response"]["body"]["error"]
    assert error["code"] == "file_refused" and (file_id in error["message"] or "no PDF" in error["message"])


@pytest.mark.parametrize("execution", ["provider", "gateway"])
def test_an_upload_that_fails_is_tried_again(client: KeyClient, workers: Workers, farm: Farm, execution: str) -> None:
    server = farm.servers["openai"]
    file_id = stored(client, PDF)
    server.faults.add(Fault(path="/files", method="POST", status=503, headers={"Retry-After": "0"}, times=2))
    workers.start()
    batch = create(client, jsonl([naming("a", file_id)]), provider="openai", execution=execution)
    over = ended(client, batch["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 1)
    model = server.app.model  # type: ignore[attr-defined]
    assert model.seen.count(PDF) == 1


def test_failed_lines_are_retried_with_their_files(client: KeyClient, workers: Workers, farm: Farm) -> None:
    file_id = stored(client, PDF)
    lines = [naming("refuse-this", file_id), naming("fine", file_id)]
    workers.start()
    over = ended(client, create(client, jsonl(lines), provider="openai")["id"])
    assert over["request_counts"]["failed"] == 1
    again = ended(client, client.post(f"/v1/batches/{over['id']}/retry").json["id"])
    assert (again["request_counts"]["failed"], again["errors"]) == (1, None)
    assert client.delete(f"/v1/files/{file_id}").status_code == 200
    kept = [file for file in farm.servers["openai"].app.files.values() if file.data == PDF]  # type: ignore[attr-defined]
    assert kept == []  # the copy goes with the file
    gone = ended(client, client.post(f"/v1/batches/{over['id']}/retry").json["id"])
    assert [error["code"] for error in gone["errors"]["data"]] == ["file_not_found"]


def test_a_native_id_names_the_projects_own_file(client: KeyClient, workers: Workers, farm: Farm) -> None:
    file_id = stored(client, PDF, provider="openai")
    native = client.get(f"/v1/files/{file_id}").json["extra_fields"]["native_id"]
    workers.start()
    for way in ({"provider": "openai"}, {"provider": "openai", "execution": "gateway"}, {"provider": "ollama"}):
        over = ended(client, create(client, jsonl([naming("a", native), naming("b", file_id)]), **way)["id"])
        assert (over["request_counts"]["completed"], over["errors"]) == (2, None)
    app = farm.servers["openai"].app
    assert [file.id for file in app.files.values() if file.data == PDF] == [native]  # type: ignore[attr-defined]
    assert app.model.seen.count(PDF) == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize("execution", ["provider", "gateway"])
def test_text_reaches_the_model_as_it_is(client: KeyClient, workers: Workers, farm: Farm, execution: str) -> None:
    text = 'One "line"\n\tand ü.'
    file_id = stored(client, text.encode(), "notes")
    workers.start()
    batch = create(client, jsonl([naming("a", file_id)]), provider="openai", execution=execution)
    [row] = read(client, ended(client, batch["id"])["output_file_id"])
    assert text in row["response"]["body"]["choices"][0]["message"]["content"]


def test_a_line_waits_while_the_files_of_others_fill_the_memory(client: KeyClient, gateway: Gateway) -> None:
    file_id = stored(client, PNG + bytes(1900), "a.png")
    create(client, jsonl([naming("a", file_id)]))
    work = BatchWork(gateway, worker="w")
    settle(work)
    claimed = work.claim(skip=())
    assert claimed is not None
    segment = claimed[1]
    asked: list[int] = []

    def borrow(size: int) -> bool:
        asked.append(size)
        return len(asked) > 1

    waits = work.send(work.prepare(segment, segment.lines[0]), timeout_s=5, borrow=borrow)
    assert isinstance(waits, NotReady) and waits.words.code == "file_not_ready"
    sent = work.send(work.prepare(segment, segment.lines[0]), timeout_s=5, borrow=borrow)
    assert isinstance(sent, Result) and sent.succeeded
    assert asked == [len(base64.b64encode(PNG + bytes(1900)))] * 2


def test_a_line_takes_either_form_and_an_override(client: KeyClient, workers: Workers, farm: Farm) -> None:
    file_id = stored(client, PDF)
    params = {
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": file_id}}]}
        ],
    }
    body = {"requests": [{"custom_id": "a", "params": params}], "endpoint": "/v1/messages"}
    workers.start()
    for execution in ("provider", "gateway"):
        way = {"provider": "anthropic", "model": "claude-sonnet-4-5", "execution": execution}
        answer = client.post("/v1/batches", json={**body, **way, "completion_window": "24h"})
        over = ended(client, answer.json["id"])
        assert (over["request_counts"]["completed"], over["errors"]) == (1, None)
    assert farm.servers["anthropic"].app.model.seen == [PDF, PDF]  # type: ignore[attr-defined]
    block = {"type": "image", "source": {"type": "file", "file_id": "file_other"}}
    bad = {"custom_id": "a", "params": {**params, "messages": [{"role": "user", "content": [block]}]}}
    batch = create(client, jsonl([bad]), endpoint="/v1/messages", **way)
    [error] = ended(client, batch["id"])["errors"]["data"]
    assert (error["line"], error["param"]) == (1, "params.messages[0].content[0].source.file_id")


def test_files_in_lines_count_in_estimates(client: KeyClient) -> None:
    def tokens(*file_ids: str, **fields: str) -> int:
        source = upload(client, jsonl([naming("a", *file_ids)]))
        answer = client.get(f"/v1/files/{source}/estimate", query_string=fields)
        assert answer.status_code == 200, answer.text
        return int(answer.json["input_tokens"])

    ids = [stored(client, PNG, "a.png"), stored(client, PDF + bytes(300_000)), stored(client, b"word " * 9000, "a.txt")]
    unknown = tokens("file-unknown")
    image, document, text = (tokens(file_id) - unknown for file_id in ids)
    assert 900 <= image <= 1100
    assert 400_000 // 52 <= document <= 400_000 // 52 + 100
    assert 9000 <= text <= 12_000
    assert tokens(*ids) >= image + document + text


def test_files_in_lines_of_unknown_usage_count_as_spent(client: KeyClient, gateway: Gateway) -> None:
    file_id = stored(client, b"word " * 300, "a.txt")
    create(client, jsonl([naming("a", file_id)]))
    work = BatchWork(gateway, worker="w")
    settle(work)
    claimed = work.claim(skip=())
    assert claimed is not None
    request = work.prepare(claimed[1], claimed[1].lines[0])
    assert isinstance(request, Request)
    filled = work._lines.fill(request, borrow=lambda _: True)
    assert isinstance(filled, Request) and filled.file_tokens >= 300


def test_many_lines_that_are_sent_at_once_share_one_copy(client: KeyClient, workers: Workers, farm: Farm) -> None:
    file_id = stored(client, PDF)
    workers.start()
    workers.start()
    lines = jsonl(naming(f"n{number}", file_id) for number in range(60))
    over = ended(client, create(client, lines, provider="openai", execution="gateway")["id"])
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (60, 0)
    server = farm.servers["openai"]
    assert sum(1 for request in server.requests if request.method == "POST" and request.path.endswith("/files")) == 1
    assert server.app.model.seen.count(PDF) == 60  # type: ignore[attr-defined]
    assert {row["attempts"] for row in client.get(f"/v1/batches/{over['id']}/lines").json["data"]} == {1}
