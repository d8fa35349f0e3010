"""Every body of the API refuses a field that it does not know, and says which; nothing is stored then."""

import io
from typing import Any

import pytest
from sqlalchemy import func, select

from app.data.tables import (
    batches,
    blobs,
    container_files,
    containers,
    files,
    uploads,
    webhook_deliveries,
    webhook_endpoints,
)
from app.services.gateway import Gateway
from tests.architecture.test_routes import EVERYWHERE, NOT_AT_AZURE
from tests.conftest import KeyClient
from tests.support import forms
from tests.support.batches import chat_line, create, jsonl

pytestmark = pytest.mark.one_database

TYPO = "expires_atfer"
REQUEST = {"custom_id": "a", "body": {"model": "m", "messages": []}}
# By route: what is otherwise a good body, and the objects in which there is another one, by their paths.
HOOK = {"name": "h", "url": "https://hooks.example.com/", "event_types": ["batch.failed"]}
JSON: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "POST /uploads": (
        {
            "filename": "a.jsonl",
            "purpose": "batch",
            "bytes": 5,
            "mime_type": "text/plain",
            "expires_after": {"anchor": "created_at", "seconds": 3600},
        },
        ("expires_after",),
    ),
    "POST /uploads/{}/complete": ({"part_ids": ["part_1"]}, ()),
    "POST /uploads/{}/cancel": ({}, ()),
    "POST /batches": (
        {
            "requests": [REQUEST],
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "output_expires_after": {"anchor": "created_at", "seconds": 3600},
            "webhook": {"url": HOOK["url"], "secret": "whsec_" + "YWJj" * 8},
        },
        ("output_expires_after", "requests[0]", "webhook"),
    ),
    "POST /batches/{}/cancel": ({}, ()),
    "POST /batches/{}/retry": ({"metadata": {"free": "names"}}, ()),
    "POST /batches/{}/clone": ({"metadata": {"free": "names"}}, ()),
    "POST /batches/{}/pause": ({}, ()),
    "POST /batches/{}/resume": ({}, ()),
    "POST /batches/{}": ({"priority": 1}, ()),
    "POST /containers": (
        {
            "name": "c",
            "expires_after": {"anchor": "last_active_at", "minutes": 5},
            "network_policy": {
                "type": "allowlist",
                "allowed_domains": ["a.example"],
                "domain_secrets": [{"domain": "a.example", "name": "n", "value": "v"}],
            },
        },
        ("expires_after", "network_policy", "network_policy.domain_secrets[0]"),
    ),
    "POST /containers/{}/files": ({"file_id": "file-1"}, ()),
    "POST /webhook_endpoints": (HOOK, ()),
    "POST /webhook_endpoints/{}": (HOOK, ()),
    "POST /webhook_endpoints/{}/rotate_secret": ({}, ()),
    "POST /webhook_endpoints/{}/test": ({"event_type": "batch.failed"}, ()),
    "POST /webhook_deliveries/{}/replay": ({}, ()),
}
FORMS = {
    "POST /files": [("purpose", "user_data")],
    "POST /uploads/{}/parts": [],
    "POST /containers/{}/files": [],
}
CASES = [(route, where) for route, (_, inner) in JSON.items() for where in ("", *inner)]


@pytest.fixture
def ids(client: KeyClient, fake_upload: str) -> dict[str, str]:
    """Objects for the routes below them."""
    return {
        "/uploads": fake_upload,
        "/batches": create(client, jsonl([chat_line("a")]))["id"],
        "/containers": client.post("/v1/containers", json={"name": "c"}).json["id"],
        "/webhook_endpoints": client.post("/v1/webhook_endpoints", json=HOOK).json["id"],
        "/webhook_deliveries": "whd_1",
    }


@pytest.fixture
def fake_upload(client: KeyClient) -> str:
    return str(client.post("/v1/uploads", json=JSON["POST /uploads"][0]).json["id"])


def url(route: str, ids: dict[str, str]) -> str:
    path = route.removeprefix("POST ")
    return "/v1" + path.replace("{}", ids.get(path.partition("/{}")[0], ""))


def counted(gateway: Gateway) -> list[int]:
    tables = (files, uploads, batches, containers, container_files, webhook_endpoints, webhook_deliveries)
    with gateway.database.read() as connection:
        found = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]
        live = select(func.count()).select_from(blobs).where(blobs.c.state == "live")
        return [*found, connection.execute(live).scalar_one()]


def with_typo(body: dict[str, Any], where: str) -> dict[str, Any]:
    """A copy of `body` with another field in the object at `where`."""
    if not where:
        return {**body, TYPO: 1}
    first, _, rest = where.partition(".")
    name, is_list, _ = first.partition("[")
    inner = body[name][0] if is_list else body[name]
    changed = with_typo(inner, rest)
    return {**body, name: [changed] if is_list else changed}


def test_every_route_with_a_body_is_here() -> None:
    writing = {route for route in EVERYWHERE | NOT_AT_AZURE if route.startswith(("POST", "PUT", "PATCH"))}
    assert writing == JSON.keys() | FORMS.keys()


@pytest.mark.parametrize(("route", "where"), CASES)
def test_a_field_of_json_that_is_unknown_is_refused_by_name(
    client: KeyClient, gateway: Gateway, ids: dict[str, str], route: str, where: str
) -> None:
    before = counted(gateway)
    refused = client.post(url(route, ids), json=with_typo(JSON[route][0], where))

    assert refused.status_code == 400, refused.text
    name = f"{where}.{TYPO}" if where else TYPO
    assert refused.json["error"]["param"] == name
    assert refused.json["error"]["message"].startswith(f"{name}: is not known here; ")
    assert counted(gateway) == before


@pytest.mark.parametrize("route", FORMS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_field_of_a_form_that_is_unknown_is_refused_by_name(
    client: KeyClient, gateway: Gateway, ids: dict[str, str], route: str, is_first: bool
) -> None:
    before = counted(gateway)
    file_field = "data" if "parts" in route else "file"
    file = [forms.part(file_field, b"12345", filename="a.txt")]
    typo = [forms.part(TYPO, b"1")]
    parts = [forms.part(name, value.encode()) for name, value in FORMS[route]]
    body = forms.form(*parts, *(typo + file if is_first else file + typo))
    refused = client.post(url(route, ids), data=body, content_type=forms.CONTENT_TYPE)

    assert (refused.status_code, refused.json["error"]["param"]) == (400, TYPO), refused.text
    assert counted(gateway) == before


@pytest.mark.parametrize(
    "field",
    [
        "storage_config[s3][bukcet]",
        "storage_config[local][path]",
        "storage_config[s3][bucket][more]",
        "storage_config.s3.bucket",
    ],
)
def test_members_in_a_form_are_held_to_the_same(client: KeyClient, field: str) -> None:
    form = {"purpose": "user_data", "file": (io.BytesIO(b"x"), "a.txt"), field: "1"}
    refused = client.post("/v1/files", data=form, content_type="multipart/form-data")
    assert refused.status_code == 400
    assert "not known" in refused.json["error"]["message"], refused.text


@pytest.mark.parametrize("name", ["x" * 100_000, "a\0b", "a\nb", "\u202e", ""])
def test_the_name_is_shown_as_far_as_it_can_be(client: KeyClient, name: str) -> None:
    refused = client.post("/v1/batches/batch_1/retry", json={name: 1})
    shown = refused.json["error"]["param"]
    assert (refused.status_code, len(shown) <= 110, shown.isprintable()) == (400, True, True)


def test_a_retry_names_what_it_takes(client: KeyClient) -> None:
    refused = client.post("/v1/batches/batch_1/retry", json={"input_file_id": "file-1"})
    known = "completion_window, concurrency, error_code, execution, finish_by, metadata, model, not_before, priority"
    assert f"the known fields are {known}, provider" in refused.json["error"]["message"]
