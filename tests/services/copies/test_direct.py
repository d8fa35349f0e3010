"""Uploads whose purpose is used at the provider: made there within the request, or not at all."""

from typing import Any
from urllib.parse import quote

import pytest

from app.connectors.contract.errors import (
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamServerError,
    UpstreamTimeoutError,
)
from app.data.tables import blobs, file_copies, files, native_objects
from app.services.copies import reconcile
from app.services.gateway import Gateway
from tests.api.openai.test_files import LINE, made, refusal, send, stored
from tests.conftest import KeyClient
from tests.services.copies.memory import MemoryProvider
from tests.services.copies.rows import all_rows, backdate, states


def upload(client: KeyClient, data: bytes = b"hello", **fields: Any) -> dict[str, Any]:
    return made(client, data, provider="openai", **fields)


def test_the_file_is_at_the_provider_when_the_upload_is_answered(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    body = upload(client, name="notes.txt")
    (native_id,) = provider.files
    assert (body["extra_fields"]["native_id"], body["storage_backend"]) == (native_id, "local")
    native, data = provider.files[native_id]
    assert (native.filename, native.purpose, data) == ("notes.txt", "user_data", b"hello")
    assert provider.calls == ["upload"]
    assert states(gateway) == ["live"]


def test_a_batch_input_waits_for_its_batch(client: KeyClient, provider: MemoryProvider) -> None:
    body = upload(client, LINE, name="in.jsonl", purpose="batch")
    assert (provider.calls, body["extra_fields"]["native_id"]) == ([], None)


def test_a_purpose_that_the_provider_does_not_use_stays_here(client: KeyClient, provider: MemoryProvider) -> None:
    upload(client, purpose="assistants")
    assert provider.calls == []


def test_kept_files_are_answered_without_the_provider(client: KeyClient, provider: MemoryProvider) -> None:
    body = upload(client)
    fetched = client.get(f"/v1/files/{body['id']}").json
    assert fetched["extra_fields"]["native_id"] == body["extra_fields"]["native_id"]
    debug = fetched["extra_fields"]["cache_debug"]
    assert (debug["cache_hit"], debug["hit_type"], debug["provider_used"]) == (True, "direct", "openai")
    listed = client.get("/v1/files?provider=openai").json["data"]
    assert [item["extra_fields"]["native_id"] for item in listed] == [body["extra_fields"]["native_id"]]
    assert client.get(f"/v1/files/{body['id']}/content").data == b"hello"
    assert provider.calls == ["upload"]


@pytest.mark.parametrize(
    ("error", "status", "may_be_there"),
    [
        (RefusedError("Bad purpose.", status=400, param="purpose"), 400, False),
        (OverloadedError("Slow down.", status=429, retry_after_s=7), 429, False),
        (RefusedError("Bad key.", status=401), 502, False),
        (UpstreamServerError("It failed.", status=500), 502, True),
        (UpstreamTimeoutError("Silence."), 504, True),
    ],
)
def test_what_the_provider_rejects_leaves_nothing(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, error: UpstreamError, status: int, may_be_there: bool
) -> None:
    def fail() -> None:
        raise error

    (provider.after if may_be_there else provider.before)["upload"] = fail
    response = send(client, provider="openai")
    assert (response.status_code, response.json["is_bifrost_error"]) == (status, False)
    assert response.headers.get("Retry-After") == ("7" if status == 429 else None)
    assert provider.count("upload") == 1
    assert all_rows(gateway, files) == all_rows(gateway, blobs) == stored(gateway) == []
    assert states(gateway) == (["pending"] if may_be_there else [])
    backdate(gateway)
    reconcile.sweep(gateway)
    assert (provider.files, [state for state in states(gateway) if state != "deleted"]) == ({}, [])


def test_a_lost_upload_is_not_taken_for_a_twin_that_is_known(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    def fail() -> None:
        raise UpstreamServerError("It failed.")

    kept = upload(client)["extra_fields"]["native_id"]
    provider.before["upload"] = fail
    assert send(client, provider="openai").status_code == 502
    backdate(gateway)
    reconcile.sweep(gateway)
    assert list(provider.files) == [kept]
    assert states(gateway) == ["live"]


def test_too_many_bytes_for_the_provider_are_refused_before_it_is_called(
    client: KeyClient, provider: MemoryProvider
) -> None:
    response = send(client, b"x" * 100_001, provider="openai")
    assert refusal(response) == (413, "file")
    assert "100000 bytes at openai" in response.json["error"]["message"]
    body = {"provider": "openai", "filename": "a", "purpose": "user_data", "bytes": 100_001, "mime_type": "a/b"}
    assert refusal(client.post("/v1/uploads", json=body)) == (400, "bytes")
    assert provider.calls == []


def test_an_upload_in_parts_is_made_at_the_provider_when_it_is_complete(
    client: KeyClient, provider: MemoryProvider
) -> None:
    from io import BytesIO

    body = {"provider": "openai", "filename": "a.txt", "purpose": "user_data", "bytes": 4, "mime_type": "text/plain"}
    upload_id = client.post("/v1/uploads", json=body).json["id"]
    part = client.post(f"/v1/uploads/{upload_id}/parts", data={"data": (BytesIO(b"four"), "p")}).json["id"]
    assert provider.calls == []
    done = client.post(f"/v1/uploads/{upload_id}/complete", json={"part_ids": [part]}).json
    assert list(provider.files) == [done["file"]["extra_fields"]["native_id"]]


def test_the_same_key_makes_one_file(client: KeyClient, provider: MemoryProvider) -> None:
    from io import BytesIO

    def send_again() -> Any:
        data = {"purpose": "user_data", "provider": "openai", "file": (BytesIO(b"x"), "a.txt")}
        return client.post("/v1/files", data=data, headers={"Idempotency-Key": "k"}).json

    assert send_again() == send_again()
    assert provider.calls == ["upload"]


def test_deleting_the_file_deletes_the_object_with_one_call(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    body = upload(client)
    assert client.delete(f"/v1/files/{body['id']}").json["deleted"] is True
    assert (provider.files, provider.calls, states(gateway)) == ({}, ["upload", "delete"], ["deleted"])
    assert all(row.deleted_at for row in all_rows(gateway, file_copies))


def test_a_deletion_that_fails_is_retried_until_it_succeeds(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    def fail() -> None:
        raise UpstreamServerError("It failed.", status=500)

    body = upload(client)
    provider.before["delete"] = fail
    assert client.delete(f"/v1/files/{body['id']}").json["deleted"] is True
    reconcile.sweep(gateway)
    assert (provider.count("delete"), states(gateway)) == (1, ["deleting"])  # not due yet
    backdate(gateway)
    reconcile.sweep(gateway)
    assert (provider.count("delete"), states(gateway)) == (2, ["deleting"])
    del provider.before["delete"]
    backdate(gateway)
    assert reconcile.sweep(gateway) == 1
    assert (provider.files, states(gateway)) == ({}, ["deleted"])


def test_a_provider_that_cannot_delete_is_recorded(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    from app.connectors.contract.abilities import Abilities, operations

    own = provider.target.abilities
    words = "file_upload file_list file_retrieve file_content"
    found = Abilities(operations(native=words), files=own.files)
    object.__setattr__(provider.target, "abilities", found)
    body = upload(client)
    assert client.delete(f"/v1/files/{body['id']}").json["deleted"] is True
    (row,) = all_rows(gateway, native_objects)
    assert (row.state, "cannot delete" in row.last_error, provider.calls) == ("deleted", True, ["upload"])


def test_an_object_that_expired_at_the_provider_is_forgotten(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    provider.expires_in_ms = -1000
    body = upload(client)
    reconcile.sweep(gateway)
    assert (states(gateway), provider.calls) == (["deleted"], ["upload"])
    assert client.get(f"/v1/files/{body['id']}").json["extra_fields"]["native_id"] is None


def test_a_native_id_is_as_good_as_an_id(client: KeyClient, other_client: KeyClient, provider: MemoryProvider) -> None:
    body = upload(client)
    native_id = body["extra_fields"]["native_id"]
    assert client.get(f"/v1/files/{native_id}").json["id"] == body["id"]
    assert client.get(f"/v1/files/{native_id}/content").data == b"hello"
    for method in (other_client.get, other_client.delete):
        assert method(f"/v1/files/{native_id}").status_code == 404
    assert other_client.get(f"/v1/files/{native_id}/content").status_code == 404
    assert client.get("/v1/files/file-unknown").status_code == 404
    assert client.get(f"/v1/files/{native_id}?provider=local").status_code == 404
    assert provider.calls == ["upload"]
    assert client.delete(f"/v1/files/{native_id}").json["id"] == body["id"]
    assert client.get(f"/v1/files/{native_id}").status_code == 404


@pytest.mark.parametrize("prefix", ["accounts/a/datasets/", "files/", "s3://bucket/a//b/", "gs://bucket/a b/%25+ü/"])
def test_a_native_id_may_have_slashes(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, prefix: str
) -> None:
    provider.prefix = prefix
    body = upload(client)
    native_id = body["extra_fields"]["native_id"]
    assert native_id.startswith(prefix)
    for path in (quote(native_id), quote(native_id, safe="")):
        assert client.get(f"/v1/files/{path}").json["id"] == body["id"]
        assert client.get(f"/v1/files/{path}/content").data == b"hello"
        assert client.head(f"/openai/v1/files/{path}/content").content_length == len(b"hello")
        refused = client.delete(f"/v1/files/{path}/content")
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert client.get(f"/v1/files/{path}/estimate").status_code == 400
    assert client.delete(f"/v1/files/{quote(native_id)}").json["id"] == body["id"]
    assert provider.files == {}
