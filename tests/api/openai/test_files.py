"""Files: upload, list, retrieve, delete, expire."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.data.batches import inputs
from app.data.files import blobs as blob_rows
from app.data.tables import batches, blobs, files
from app.services import blobs as blob_service
from app.services.files import files as file_service
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.support import forms
from tests.support import stored as stored_bytes

FIELDS = {
    "id", "object", "bytes", "created_at", "filename", "purpose", "status", "status_details", "expires_at",
    "storage_backend", "storage_uri", "extra_fields",
}  # fmt: skip
LINE = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}\n'
BASES = ("/v1", "/openai/v1", "/openai", "/openai/openai")
DAY_S = 24 * 3600


def send(
    client: KeyClient, data: bytes = b"hello", *, name: str = "a.txt", path: str = "/v1/files", **fields: str
) -> Any:
    return client.post(path, data={"purpose": "user_data", **fields, "file": (BytesIO(data), name)})


def made(client: KeyClient, data: bytes = b"hello", **rest: Any) -> dict[str, Any]:
    response = send(client, data, **rest)
    assert response.status_code == 200, response.json
    body: dict[str, Any] = response.json
    return body


def refusal(response: Any) -> tuple[int, str | None]:
    return response.status_code, response.json["error"]["param"]


def stored(gateway: Gateway) -> list[Path]:
    """Every file that lies in the blob store, or every object."""
    return stored_bytes.paths(gateway)


def count(gateway: Gateway, table: Any) -> int:
    with gateway.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def row(gateway: Gateway, file_id: str) -> Any:
    with gateway.database.read() as connection:
        return connection.execute(select(files).where(files.c.public_id == file_id)).one()


def age(gateway: Gateway, file_id: str, *, seconds: int) -> None:
    """Move the end of a file by so many seconds towards the past."""
    with gateway.database.write() as connection:
        moved = update(files).where(files.c.public_id == file_id).values(expires_at=files.c.expires_at - seconds * 1000)
        connection.execute(moved)


def make_batch(client: KeyClient, gateway: Gateway, file_id: str, status: str) -> None:
    """A batch on a file, in `status`."""
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    response = client.post("/v1/batches", json=body)
    assert response.status_code == 200, response.json
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(status=status))


@pytest.mark.parametrize("base", BASES)
def test_a_file_has_the_fields_of_the_contract(client: KeyClient, gateway: Gateway, base: str) -> None:
    body = made(client, b"12345678", name="notes.txt", path=f"{base}/files")

    assert set(body) == FIELDS
    assert body["id"].startswith("file-") and len(body["id"]) <= 48
    assert (body["object"], body["bytes"], body["filename"]) == ("file", 8, "notes.txt")
    assert (body["purpose"], body["status"], body["status_details"]) == ("user_data", "processed", None)
    backend = gateway.blobs.backend
    assert (body["storage_backend"], body["storage_uri"]) == (backend, f"{backend}://{body['id']}")
    assert body["expires_at"] is None
    assert (body["extra_fields"]["provider"], body["extra_fields"]["native_id"]) == ("local", None)
    assert body["extra_fields"]["request_type"] == "file_upload"

    got = client.get(f"{base}/files/{body['id']}").json
    assert got["extra_fields"].pop("request_type") == "file_retrieve"
    assert {**got, "extra_fields": None} == {**body, "extra_fields": None}
    assert client.get(f"{base}/files/{body['id']}/content").data == b"12345678"
    assert client.delete(f"{base}/files/{body['id']}").json["deleted"] is True


@pytest.mark.parametrize("base", ["/openai", "/openai/openai"])
def test_an_azure_client_is_told_where_a_new_file_is(client: KeyClient, gateway: Gateway, base: str) -> None:
    upload = {"filename": "a.txt", "purpose": "user_data", "bytes": 5, "mime_type": "text/plain"}
    query = "api-version=2024-10-21"
    for answer in (send(client, path=f"{base}/files?{query}"), client.post(f"{base}/uploads?{query}", json=upload)):
        kind = "files" if answer.json["object"] == "file" else "uploads"
        at = f"{gateway.settings.public_url}{base}/{kind}/{answer.json['id']}?{query}"
        assert (answer.status_code, answer.headers["Location"]) == (201 if kind == "files" else 200, at)
    for version in ("", "?api-version=v1", "?api-version=preview", "?api-version="):
        assert "Location" not in send(client, path=f"{base}/files{version}").headers


def test_a_repeated_upload_of_an_azure_client_is_answered_alike(client: KeyClient) -> None:
    path = "/openai/files?api-version=2024-10-21"
    form = {"purpose": "user_data"}
    first, second = (
        client.post(path, data={**form, "file": (BytesIO(b"x"), "a")}, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    )
    assert (first.status_code, first.headers["Location"]) == (second.status_code, second.headers["Location"])
    assert second.headers["Idempotent-Replayed"] == "true"


def test_an_azure_client_with_a_dated_version_gets_201(client: KeyClient) -> None:
    assert send(client, path="/openai/files?api-version=2024-10-21").status_code == 201
    assert send(client, path="/openai/v1/files?api-version=preview").status_code == 200
    assert send(client, path="/openai/v1/files?api-version=latest").status_code == 200


@pytest.mark.parametrize(
    "purpose",
    ["assistants", "assistants_output", "batch", "batch_output", "fine-tune", "fine-tune-results", "vision",
     "user_data", "evals", "responses"],
)  # fmt: skip
def test_every_purpose_is_accepted(client: KeyClient, purpose: str) -> None:
    assert made(client, LINE, name="in.jsonl", purpose=purpose)["purpose"] == purpose


def test_an_invalid_purpose_is_refused_with_the_valid_ones(client: KeyClient, gateway: Gateway) -> None:
    response = send(client, purpose="party")
    assert refusal(response) == (400, "purpose")
    assert "user_data" in response.json["error"]["message"]
    assert refusal(client.post("/v1/files", data={"file": (BytesIO(b"x"), "a")})) == (400, "purpose")
    assert (count(gateway, files), count(gateway, blobs), stored(gateway)) == (0, 0, [])


@pytest.mark.parametrize(
    ("name", "base"),
    [*((name, "/v1") for name in ("blob", "-", "in.JSONL", "in.Jsonl", ".jsonl", "in.", "dir.v2/in"))]
    + [("upload", base) for base in BASES],
)
def test_a_batch_input_may_have_no_extension(client: KeyClient, gateway: Gateway, name: str, base: str) -> None:
    body = made(client, LINE * 3, name=name, purpose="batch", path=f"{base}/files")
    assert body["filename"] == name.rpartition("/")[2]
    assert row(gateway, body["id"]).lines == 3


@pytest.mark.parametrize("name", ["in.json", "in.txt", "in.jsonl.gz", "in.csv", "jsonl.zip", "v1.2-batch"])
def test_a_batch_input_must_be_named_jsonl(client: KeyClient, gateway: Gateway, name: str) -> None:
    response = send(client, LINE, name=name, purpose="batch")
    assert refusal(response) == (400, "file")
    assert response.json["error"]["message"] == "Invalid file format for Batch API. Must be .jsonl"
    assert (count(gateway, files), count(gateway, blobs), stored(gateway)) == (0, 0, [])


def test_a_batch_input_lives_for_thirty_days(client: KeyClient) -> None:
    body = made(client, LINE, name="in.jsonl", purpose="batch")
    assert body["expires_at"] == body["created_at"] + 30 * DAY_S


@pytest.mark.parametrize("form", ["expires_after[{}]", "expires_after.{}"])
def test_a_file_expires_when_its_form_says(client: KeyClient, form: str) -> None:
    body = made(client, **{form.format("anchor"): "created_at", form.format("seconds"): "3600"})
    assert body["expires_at"] == body["created_at"] + 3600


@pytest.mark.parametrize(
    ("anchor", "seconds", "param"),
    [
        ("created_at", "3599", "expires_after.seconds"),
        ("created_at", "2592001", "expires_after.seconds"),
        ("created_at", "soon", "expires_after.seconds"),
        ("last_active_at", "3600", "expires_after.anchor"),
        ("created_at", None, "expires_after.seconds"),
        (None, "3600", "expires_after.anchor"),
    ],
)
def test_a_wrong_expiry_is_refused(client: KeyClient, anchor: str | None, seconds: str | None, param: str) -> None:
    given = {"expires_after[anchor]": anchor, "expires_after[seconds]": seconds}
    response = send(client, **{name: value for name, value in given.items() if value is not None})
    assert refusal(response) == (400, param)


def test_invalid_lines_are_reported_and_the_upload_is_kept(client: KeyClient, gateway: Gateway) -> None:
    body = made(client, LINE + b"\n{nope\n" + LINE + b"[]\n", name="in.jsonl", purpose="batch")
    assert body["status"] == "processed"
    assert body["status_details"].startswith("line 3: This line is not parseable as valid JSON.")
    assert "line 5" in body["status_details"]
    assert row(gateway, body["id"]).lines == 4


def test_valid_lines_are_counted(client: KeyClient, gateway: Gateway) -> None:
    body = made(client, b"\xef\xbb\xbf" + LINE * 1000 + LINE.rstrip(), name="in.jsonl", purpose="batch")
    assert body["status_details"] is None
    assert row(gateway, body["id"]).lines == 1001


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("/home/me/in.jsonl", "in.jsonl"),
        ("C:\\Users\\me\\in.jsonl", "in.jsonl"),
        ("../../etc/passwd", "passwd"),
        ("übung 數據.jsonl", "übung 數據.jsonl"),
        ('a \\"b\\".txt', 'a "b".txt'),
        ("a%22b.txt", 'a"b.txt'),
        ("..", "upload"),
        ("dir/", "upload"),
    ],
)
def test_a_name_has_no_folders(client: KeyClient, sent: str, kept: str) -> None:
    data = forms.form(forms.part("purpose", b"user_data"), forms.part("file", b"x", filename=sent))
    response = client.post("/v1/files", data=data, content_type=forms.CONTENT_TYPE)
    body = response.json
    assert (response.status_code, body.get("filename")) == (200, kept)
    assert client.get(f"/v1/files/{body['id']}").json["filename"] == kept


@pytest.mark.parametrize("name", ["a\x00b", "a\x01b", "a\x7fb", "x" * 300, "a%0D%0Ab"])
def test_a_hostile_name_is_refused(client: KeyClient, name: str) -> None:
    assert refusal(send(client, name=name)) == (400, "file")


def test_an_empty_file_is_refused(client: KeyClient, gateway: Gateway) -> None:
    assert refusal(send(client, b"")) == (400, "file")
    assert (count(gateway, files), count(gateway, blobs), stored(gateway)) == (0, 0, [])


def test_the_provider_is_the_home_of_the_file(client: KeyClient) -> None:
    assert made(client, provider="ollama")["extra_fields"]["provider"] == "ollama"
    assert made(client, path="/v1/files?provider=ollama")["extra_fields"]["provider"] == "ollama"
    assert refusal(send(client, path="/v1/files?provider=local", provider="ollama")) == (400, "provider")
    assert refusal(send(client, provider="nobody")) == (400, "provider")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"storage_config": '{"s3": {"bucket": "b", "region": "r"}}'}, 400),
        ({"storage_config[s3][bucket]": "b"}, 400),
        ({"storage_config": "not json"}, 400),
        ({"storage_config": "[]"}, 400),
        ({"storage_config": "{}"}, 200),
    ],
)
def test_an_unknown_store_is_refused(client: KeyClient, fields: dict[str, str], status: int) -> None:
    response = send(client, **fields)
    assert response.status_code == status
    if status == 400:
        assert response.json["error"]["param"] == "storage_config"


def test_pages_follow_each_other_in_both_orders(client: KeyClient) -> None:
    made_ids = [made(client, name=f"{number}.txt")["id"] for number in range(5)]
    for order, expected in (("desc", made_ids[::-1]), ("asc", made_ids)):
        seen: list[str] = []
        after = ""
        while True:
            page = client.get(f"/v1/files?limit=2&order={order}{after}").json
            seen += [item["id"] for item in page["data"]]
            assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
            if not page["has_more"]:
                break
            after = f"&after={page['after']}"
        assert seen == expected


def test_a_list_has_the_fields_of_the_contract(client: KeyClient) -> None:
    empty = client.get("/v1/files").json
    assert set(empty) == {"object", "data", "first_id", "last_id", "has_more", "after", "extra_fields"}
    assert (empty["object"], empty["data"], empty["first_id"], empty["has_more"]) == ("list", [], None, False)
    made(client)
    (item,) = client.get("/v1/files").json["data"]
    assert set(item) == FIELDS


def test_paging_goes_on_after_a_deleted_file(client: KeyClient) -> None:
    first, second, third = (made(client)["id"] for _ in range(3))
    client.delete(f"/v1/files/{second}")
    page = client.get(f"/v1/files?order=asc&after={second}").json
    assert [item["id"] for item in page["data"]] == [third]
    assert [item["id"] for item in client.get("/v1/files").json["data"]] == [third, first]


def test_lists_are_filtered(client: KeyClient) -> None:
    batch = made(client, LINE, name="in.jsonl", purpose="batch")["id"]
    ollama = made(client, provider="ollama")["id"]
    for query, expected in {
        "purpose=batch": [batch],
        "provider=ollama": [ollama],
        "x-model-provider=ollama": [ollama],
        "provider=ollama&purpose=batch": [],
        "": [ollama, batch],
    }.items():
        assert [item["id"] for item in client.get(f"/v1/files?{query}").json["data"]] == expected


@pytest.mark.parametrize("limit", ["0", "-1", "abc", "10001", "1.5"])
def test_a_wrong_limit_is_refused(client: KeyClient, limit: str) -> None:
    assert refusal(client.get(f"/v1/files?limit={limit}")) == (400, "limit")


@pytest.mark.parametrize(
    ("query", "param"), [("order=up", "order"), ("after=file-no", "after"), ("after=%00", "after")]
)
def test_a_wrong_query_is_refused(client: KeyClient, query: str, param: str) -> None:
    assert refusal(client.get(f"/v1/files?{query}")) == (400, param)


def test_a_foreign_file_cannot_be_a_cursor(client: KeyClient, other_client: KeyClient) -> None:
    foreign = made(other_client)["id"]
    assert refusal(client.get(f"/v1/files?after={foreign}")) == (400, "after")
    assert client.get("/v1/files").json["data"] == []


@pytest.mark.parametrize(
    "file_id", ["file-unknown", "x", "..", "file-%00", "%F0%9F%90%88", "a" * 300, "batch_1", "'--"]
)
def test_an_odd_id_is_not_found(client: KeyClient, file_id: str) -> None:
    for answer in (
        client.get(f"/v1/files/{file_id}"),
        client.delete(f"/v1/files/{file_id}"),
        client.get(f"/v1/files/{file_id}/content"),
    ):
        assert answer.status_code == 404
        assert answer.json["error"]["type"] == "invalid_request_error"


def test_a_foreign_file_is_not_found(client: KeyClient, other_client: KeyClient) -> None:
    foreign = made(other_client)["id"]
    assert client.get(f"/v1/files/{foreign}").status_code == 404
    assert client.get(f"/v1/files/{foreign}/content").status_code == 404
    assert client.delete(f"/v1/files/{foreign}").status_code == 404
    assert other_client.get(f"/v1/files/{foreign}").status_code == 200


def test_a_provider_that_contradicts_the_file_is_not_found(client: KeyClient) -> None:
    file_id = made(client)["id"]
    assert client.get(f"/v1/files/{file_id}?provider=local").status_code == 200
    assert client.get(f"/v1/files/{file_id}?provider=ollama").status_code == 404


def test_deleting_leaves_a_tombstone_and_no_bytes(client: KeyClient, gateway: Gateway) -> None:
    file_id = made(client)["id"]
    body = client.delete(f"/v1/files/{file_id}").json
    assert (body["id"], body["object"], body["deleted"]) == (file_id, "file", True)
    assert client.get(f"/v1/files/{file_id}").status_code == 404
    assert client.get(f"/v1/files/{file_id}/content").status_code == 404
    assert client.delete(f"/v1/files/{file_id}").status_code == 404
    gone = row(gateway, file_id)
    assert (gone.status, gone.blob_id) == ("deleted", None)
    assert (count(gateway, blobs), stored(gateway)) == (0, [])


def test_bytes_that_a_container_shares_outlive_the_file(client: KeyClient, gateway: Gateway) -> None:
    file_id = made(client)["id"]
    response = client.post("/v1/containers", json={"name": "box", "provider": "local", "file_ids": [file_id]})
    assert response.status_code == 200
    assert client.delete(f"/v1/files/{file_id}").status_code == 200
    blob_service.sweep(gateway)
    assert len(stored(gateway)) == 1


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling"])
def test_a_file_in_use_is_kept(client: KeyClient, gateway: Gateway, status: str) -> None:
    file_id = made(client, LINE, name="in.jsonl", purpose="batch")["id"]
    make_batch(client, gateway, file_id, status)
    age(gateway, file_id, seconds=31 * DAY_S)

    response = client.delete(f"/v1/files/{file_id}")
    assert (response.status_code, response.headers["x-should-retry"]) == (409, "false")
    assert file_service.expire_due(gateway) == 0
    assert client.get(f"/v1/files/{file_id}/content").data == LINE


def test_a_delete_waits_for_a_batch_that_is_being_made(client: KeyClient, gateway: Gateway) -> None:
    file_id = made(client, LINE, name="in.jsonl", purpose="batch")["id"]
    make_batch(client, gateway, file_id, "completed")
    with ThreadPoolExecutor(1) as pool:
        with gateway.database.write() as connection:
            assert inputs.lock(connection, row(gateway, file_id).id)
            deleting = pool.submit(client.delete, f"/v1/files/{file_id}")
            with pytest.raises(TimeoutError):
                deleting.result(timeout=0.3)
            connection.execute(update(batches).values(status="validating"))
        assert deleting.result().status_code == 409
    assert client.get(f"/v1/files/{file_id}/content").data == LINE


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "cancelled"])
def test_a_file_whose_batches_are_over_can_go(client: KeyClient, gateway: Gateway, status: str) -> None:
    file_id = made(client, LINE, name="in.jsonl", purpose="batch")["id"]
    make_batch(client, gateway, file_id, status)
    assert client.delete(f"/v1/files/{file_id}").status_code == 200


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("validating", "cancel it"),
        ("in_progress", "cancel it"),
        ("cancelling", "wait until"),
        ("finalizing", "wait until"),
    ],
)
def test_a_file_in_use_says_what_to_do(client: KeyClient, gateway: Gateway, status: str, advice: str) -> None:
    file_id = made(client, LINE, name="in.jsonl", purpose="batch")["id"]
    make_batch(client, gateway, file_id, status)
    [batch] = client.get("/v1/batches").json["data"]
    for path in (f"/v1/files/{file_id}", f"/openai/openai/files/{file_id}?api-version=2024-10-21"):
        message = client.delete(path).json["error"]["message"]
        assert advice in message and batch["id"] in message, message
        assert ("cancel" in message.replace("cancelling", "")) == (advice == "cancel it"), message
    message = client.delete(f"/v1/batches/{batch['id']}").json["error"]["message"]
    assert ("cancel it" in message) == (advice == "cancel it"), message


def test_of_several_batches_the_one_to_cancel_is_named(client: KeyClient, gateway: Gateway) -> None:
    file_id = made(client, LINE, name="in.jsonl", purpose="batch")["id"]
    make_batch(client, gateway, file_id, "cancelling")
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    second = client.post("/v1/batches", json=body).json["id"]
    message = client.delete(f"/v1/files/{file_id}").json["error"]["message"]
    assert second in message and "cancel it" in message


def test_an_expired_file_is_gone_before_it_is_swept(client: KeyClient, gateway: Gateway) -> None:
    timed = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    over, kept = made(client, LINE, name="in.jsonl", purpose="batch", **timed)["id"], made(client)["id"]
    box = client.post("/v1/containers", json={"name": "box"}).json["id"]
    age(gateway, over, seconds=3601)

    for base in BASES:
        assert client.get(f"{base}/files/{over}").status_code == 404
        assert client.get(f"{base}/files/{over}/content").status_code == 404
        assert client.head(f"{base}/files/{over}/content").status_code == 404
        assert client.delete(f"{base}/files/{over}").status_code == 404
        assert [item["id"] for item in client.get(f"{base}/files").json["data"]] == [kept]
    assert client.get("/v1/files?purpose=batch").json["data"] == []
    assert client.get(f"/v1/files/{over}/estimate").status_code == 404
    assert [item["id"] for item in client.get(f"/v1/files?after={over}&order=asc").json["data"]] == [kept]
    body = {"input_file_id": over, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    assert refusal(client.post("/v1/batches", json=body)) == (400, "input_file_id")
    assert refusal(client.post(f"/v1/containers/{box}/files", json={"file_id": over}))[0] in (400, 404)
    assert refusal(client.post("/v1/containers", json={"name": "b", "file_ids": [over]})) == (400, "file_ids")
    assert len(stored(gateway)) == 2
    assert file_service.expire_due(gateway) == 1


def test_expired_files_go_and_others_stay(client: KeyClient, gateway: Gateway) -> None:
    timed = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    over, later, forever = made(client, **timed)["id"], made(client, **timed)["id"], made(client)["id"]
    age(gateway, over, seconds=3601)

    assert file_service.expire_due(gateway) == 1
    blob_service.sweep(gateway)

    assert client.get(f"/v1/files/{over}").status_code == 404
    assert [item["id"] for item in client.get("/v1/files").json["data"]] == [forever, later]
    assert len(stored(gateway)) == 2


def test_more_expired_files_than_a_slice_holds_all_go(client: KeyClient, gateway: Gateway) -> None:
    for _ in range(5):
        age(gateway, made(client, LINE, name="in.jsonl", purpose="batch")["id"], seconds=31 * DAY_S)
    assert file_service.expire_due(gateway, slice_rows=2) == 5


def test_two_deletes_at_once_release_the_bytes_once(client: KeyClient, gateway: Gateway) -> None:
    file_id = made(client)["id"]
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda _: client.delete(f"/v1/files/{file_id}").status_code, range(4)))
    assert statuses == [200, 404, 404, 404]
    with gateway.database.read() as connection:
        assert blob_rows.count_orphans(connection) == 0


def test_an_upload_with_a_key_is_made_once(client: KeyClient, gateway: Gateway) -> None:
    def post(data: bytes) -> Any:
        form = {"purpose": "user_data", "file": (BytesIO(data), "a.txt")}
        return client.post("/v1/files", data=form, headers={"Idempotency-Key": "k"})

    first, again, other = post(b"one"), post(b"one"), post(b"two")
    assert first.json["id"] == again.json["id"]
    assert other.status_code == 409
    assert (count(gateway, files), len(stored(gateway))) == (1, 1)


def test_equal_uploads_are_two_files(client: KeyClient, gateway: Gateway) -> None:
    assert made(client)["id"] != made(client)["id"]
    assert len(stored(gateway)) == 2


def test_no_answer_says_where_bytes_are(client: KeyClient, gateway: Gateway) -> None:
    file_id = made(client)["id"]
    [path] = stored(gateway)
    secrets = {path.name, str(path.parent), gateway.blobs.url.partition("://")[2]} - {"."}
    texts = [client.get("/v1/files").text, client.get(f"/v1/files/{file_id}").text]
    assert not any(secret in text for text in texts for secret in secrets)
