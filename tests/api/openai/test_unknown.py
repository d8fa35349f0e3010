"""Fields and parameters that a route does not know are refused by name: to ignore them may do what nobody asked for."""

from io import BytesIO
from itertools import product
from typing import Any

import pytest
from sqlalchemy import func, select

from app.data.tables import batches, containers, files, uploads
from app.services.gateway import Gateway
from tests.api.openai.test_files import LINE, made, refusal
from tests.conftest import KeyClient
from tests.support.batches import CHAT, chat_line

pytestmark = pytest.mark.one_database

PREFIXES = ("/v1", "/openai/v1", "/openai", "/openai/openai")
SKILLS = [{"type": "skill_reference", "skill_id": "skill_1"}]
INLINE = [{"type": "inline", "name": "x", "description": "x", "source": {"type": "base64", "data": "UEs="}}]
UPLOAD = {"filename": "a.txt", "purpose": "user_data", "bytes": 5, "mime_type": "text/plain"}


def batch(**more: Any) -> dict[str, Any]:
    return {"requests": [chat_line("a")], "endpoint": CHAT, **more}


def nothing_is_made(gateway: Gateway) -> bool:
    with gateway.database.read() as connection:
        tables = (files, batches, uploads, containers)
        return all(connection.execute(select(func.count()).select_from(table)).scalar_one() == 0 for table in tables)


def test_skills_of_a_container_are_not_dropped(client: KeyClient, gateway: Gateway) -> None:
    for prefix, skills in product(PREFIXES, (SKILLS, INLINE, [], None, "x")):
        refused = client.post(f"{prefix}/containers", json={"name": "box", "skills": skills})
        assert refusal(refused) == (400, "skills")
        assert "files" in refused.json["error"]["message"]
    assert nothing_is_made(gateway)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/containers", {"name": "box", "custom": 1}, "custom"),
        ("/v1/containers", {"name": "box", "expires_after": {"anchor": "last_active_at", "minutes": 5, "seconds": 1}},
         "expires_after.seconds"),
        ("/v1/containers", {"name": "box", "network_policy": {"type": "disabled", "x": []}}, "network_policy.x"),
        ("/v1/containers", {"name": "box", "memory": "4g"}, "memory"),
        ("/v1/batches", batch(custom_llm_provider="openai"), "custom_llm_provider"),
        ("/v1/batches", batch(input_blob="https://x"), "input_blob"),
        ("/v1/batches", batch(output_folder={"url": "https://x"}), "output_folder"),
        ("/v1/batches", batch(callback_url="https://x"), "callback_url"),
        ("/v1/batches", batch(service_tier="flex"), "service_tier"),
        ("/v1/batches", batch(output_expires_after={"anchor": "created_at", "seconds": 3600, "x": 1}),
         "output_expires_after.x"),
        ("/v1/batches", batch(requests=[{**chat_line("a"), "priority": 1}]), "requests[0].priority"),
        ("/v1/batches", batch(requests=[chat_line("a"), {"custom_id": "b", "request": {}}]), "requests[1].request"),
        ("/v1/uploads", {**UPLOAD, "visibility": "user"}, "visibility"),
        ("/v1/uploads", {**UPLOAD, "expires_after": {"anchor": "created_at", "seconds": 3600, "x": 1}},
         "expires_after.x"),
    ],
)  # fmt: skip
def test_unknown_fields_of_a_body_are_refused_by_name(
    client: KeyClient, gateway: Gateway, path: str, body: dict[str, Any], param: str
) -> None:
    refused = client.post(path, json=body)
    assert refusal(refused) == (400, param), refused.text
    assert nothing_is_made(gateway)


def test_the_refusal_says_what_to_send_instead(client: KeyClient) -> None:
    refused = client.post("/v1/batches", json=batch(custom_llm_provider="openai"))
    assert "provider" in refused.json["error"]["message"]
    refused = client.post("/v1/containers", json={"name": "box", "lifetime": 5})
    assert "expires_after" in refused.json["error"]["message"]


QUERIES = (
    "$filter=status eq 'failed'", "$orderby=created_at", "$top=5", "status_is=x", "before=x", "created_after=1",
    "custom_llm_provider=openai", "model=x",
)  # fmt: skip


@pytest.mark.parametrize("path", ["/batches", "/files", "/containers"])
def test_unknown_parameters_of_a_list_are_refused_by_name(client: KeyClient, path: str) -> None:
    for prefix, query, version in product(PREFIXES, QUERIES, ("", "api-version=2025-04-01-preview&")):
        refused = client.get(f"{prefix}{path}?{version}{query}")
        assert refusal(refused) == (400, query.partition("=")[0]), refused.text


OTHERS = (
    ("GET", "/v1/batches?order=asc", "order"),
    ("GET", "/v1/containers?purpose=batch", "purpose"),
    ("GET", "/v1/containers/x/files?name=y", "name"),
    ("GET", "/v1/batches/x/lines?status=failed", "status"),
    ("GET", "/v1/batches/x/results?state=failed", "state"),
    ("GET", "/v1/files/x/estimate?provider_model=y", "provider_model"),
    ("GET", "/v1/files/x?select=id", "select"),
    ("GET", "/v1/files/x/content?version=2", "version"),
    ("HEAD", "/v1/files/x/content?version=2", ""),
    ("DELETE", "/v1/files/x?dry_run=true", "dry_run"),
    ("POST", "/v1/batches/x/cancel?when=later", "when"),
    ("POST", "/v1/batches/x/retry?only=failed", "only"),
    ("POST", "/v1/batches?metadata=x", "metadata"),
    ("POST", "/v1/files?purpose=batch", "purpose"),
    ("POST", "/v1/uploads/x/complete?md5=x", "md5"),
    ("DELETE", "/v1/containers/x?force=true", "force"),
    ("GET", "/v1/models?capability=batch", "capability"),
)


def test_unknown_parameters_of_every_other_route_too(client: KeyClient) -> None:
    for method, path, name in OTHERS:
        refused = client.open(path, method=method)
        assert refused.status_code == 400, path
        assert not name or refusal(refused) == (400, name)


def test_a_parameter_with_two_values_is_refused(client: KeyClient) -> None:
    for path in ("/v1/files", "/v1/batches", "/v1/containers"):
        assert refusal(client.get(f"{path}?limit=5&limit=6")) == (400, "limit")
        assert refusal(client.get(f"{path}?provider=local&provider=openai")) == (400, "provider")
        assert client.get(f"{path}?limit=5&limit=5&provider=&provider=local").status_code == 200


def test_empty_parameters_count_as_absent(client: KeyClient) -> None:
    for path in (
        "/v1/files?purpose=&limit=&after=&order=&provider=&x-model-provider=&api-version=",
        "/openai/files?api-version=2024-10-21&purpose=",
        "/v1/batches?status=&limit=&after=&provider=",
        "/v1/containers?name=&limit=%20&after=&order=",
        "/v1/models?provider=",
    ):
        listed = client.get(path)
        assert listed.status_code == 200, listed.text
    made_batch = client.post("/v1/batches", json=batch()).json
    for below in ("results?limit=&after=&format=", "lines?state=&limit=&after="):
        assert client.get(f"/v1/batches/{made_batch['id']}/{below}").status_code == 200
    assert client.get(f"/v1/files/{made_batch['input_file_id']}/estimate?model=&execution=").status_code == 200
    box = client.post("/v1/containers", json={"name": "box"}).json["id"]
    assert client.get(f"/v1/containers/{box}/files?order=&limit=&after=").status_code == 200


def test_an_unknown_purpose_is_an_empty_page(client: KeyClient) -> None:
    made(client, LINE, name="in.jsonl", purpose="batch")
    for prefix, purpose in product(PREFIXES, ("purpose", "party", "batch-api", "audio", "messages", "Batch")):
        listed = client.get(f"{prefix}/files?purpose={purpose}")
        assert (listed.status_code, listed.json["data"], listed.json["has_more"]) == (200, [], False)
        assert len(client.get(f"{prefix}/files?purpose=batch").json["data"]) == 1


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_form_may_name_a_file_of_the_project(client: KeyClient, prefix: str) -> None:
    file_id = made(client, b"hello", name="a.txt")["id"]
    box = client.post(f"{prefix}/containers", json={"name": "box"}).json["id"]
    at = f"{prefix}/containers/{box}/files"
    form = "multipart/form-data"
    copied = client.post(at, data={"file_id": file_id}, content_type=form)
    assert (copied.status_code, copied.json.get("bytes")) == (200, 5), copied.text
    named = client.post(
        at, data={"file_id": file_id, "file_path": "/mnt/data/b.txt", "provider": ""}, content_type=form
    )
    assert (named.status_code, named.json.get("path")) == (200, "/mnt/data/b.txt"), named.text
    for fields, param in (
        ({"file_id": "file-nope"}, "file_id"),
        ({"file_id": file_id, "file": (BytesIO(b"x"), "x")}, "file"),
        ({"file_id": ""}, "file"),
        ({"file_path": "/mnt/data/c.txt"}, "file"),
        ({"file_id": file_id, "custom": "1"}, "custom"),
    ):
        refused = client.post(at, data=fields, content_type=form)
        assert refused.status_code in (400, 404), refused.text
        assert refused.json["error"]["param"] == param, refused.text
    assert len(client.get(at).json["data"]) == 2


def test_a_form_with_a_key_copies_once(client: KeyClient) -> None:
    file_id = made(client, b"hello", name="a.txt")["id"]
    box = client.post("/v1/containers", json={"name": "box"}).json["id"]
    headers = {"Idempotency-Key": "k"}
    for _ in range(2):
        answer = client.post(
            f"/v1/containers/{box}/files",
            data={"file_id": file_id},
            content_type="multipart/form-data",
            headers=headers,
        )
        assert answer.status_code == 200, answer.text
    assert len(client.get(f"/v1/containers/{box}/files").json["data"]) == 1
