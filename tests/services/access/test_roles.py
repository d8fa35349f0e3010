"""What the role of a key lets it do."""

import io
from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

import app as batchgate
from app.data.tables import batches, containers, events, files, uploads, virtual_keys
from app.services.access import keys
from app.services.gateway import Caller, Gateway
from tests.conftest import KeyClient
from tests.support.keyed import keyed, public_id

ADDRESS_OF_NOTHING = "not-there"


def routes(gateway: Gateway) -> Iterator[tuple[str, str, str]]:
    """(method, path, operation) of every route of /v1 that has an operation, with ids of nothing."""
    app = batchgate.create_app(gateway=gateway)
    for rule in app.url_map.iter_rules():
        operation = getattr(app.view_functions[rule.endpoint], "request_type", None)
        if operation and rule.rule.startswith("/v1/"):
            _, path = rule.build(dict.fromkeys(rule.arguments, ADDRESS_OF_NOTHING)) or ("", "")
            for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
                yield method, path, operation


def test_a_viewer_is_refused_every_write_and_no_read(gateway: Gateway) -> None:
    viewer = keyed(gateway, role="viewer")
    asked = [
        (method, operation, viewer.open(path, method=method).status_code) for method, path, operation in routes(gateway)
    ]
    assert {operation for _, operation, status in asked if status == 403} == {
        operation for method, operation, _ in asked if method != "GET"
    }
    assert {"file_upload", "batch_cancel", "upload_part_add"} <= {operation for _, operation, _ in asked}


@pytest.mark.parametrize("role", ["member", "admin"])
def test_members_and_admins_may_write(gateway: Gateway, role: str) -> None:
    client = keyed(gateway, role=role)
    form = {"purpose": "user_data", "file": (io.BytesIO(b"hello"), "a.txt")}
    with client.post("/v1/files", data=form, content_type="multipart/form-data") as answer:
        assert answer.status_code == 200
    assert client.delete(f"/v1/files/{answer.json['id']}").status_code == 200


def test_what_a_viewer_tried_leaves_an_event_and_nothing_else(gateway: Gateway) -> None:
    viewer = keyed(gateway, role="viewer")
    form = {"purpose": "user_data", "file": (io.BytesIO(b"hello"), "a.txt")}
    with viewer.post("/v1/files", data=form, content_type="multipart/form-data") as answer:
        assert (answer.status_code, answer.json["error"]["code"]) == (403, "permission_denied")
        assert "viewer" in answer.json["error"]["message"]
    assert viewer.post("/v1/containers", json={"name": "c"}).status_code == 403
    with gateway.database.read() as connection:
        for table in (files, uploads, batches, containers):
            assert connection.execute(select(table.c.id)).first() is None
        told = connection.execute(select(events.c.operation).where(events.c.outcome == "refused")).scalars().all()
    assert sorted(told) == ["container_create", "file_upload"]


def test_a_viewer_reads_what_its_project_has(gateway: Gateway, client: KeyClient) -> None:
    form = {"purpose": "user_data", "file": (io.BytesIO(b"hello"), "a.txt")}
    with client.post("/v1/files", data=form, content_type="multipart/form-data") as answer:
        made = answer.json["id"]
    viewer = keyed(gateway, role="viewer")
    assert viewer.get(f"/v1/files/{made}/content").data == b"hello"
    assert [file["id"] for file in viewer.get("/v1/files").json["data"]] == [made]


def test_another_role_counts_from_the_next_request(gateway: Gateway) -> None:
    client = keyed(gateway)
    assert client.post("/v1/containers", json={"name": "c"}).status_code == 200
    keys.update(gateway, public_id(client), role="viewer")
    assert client.post("/v1/containers", json={"name": "c"}).status_code == 403
    assert client.get("/v1/containers").status_code == 200


@pytest.mark.parametrize("kind", ["jwt", "provider"])
def test_the_row_of_another_kind_of_credential_is_no_key(gateway: Gateway, kind: str) -> None:
    client = keyed(gateway)
    assert client.get("/v1/files").status_code == 200
    with gateway.database.write() as connection:
        connection.execute(update(virtual_keys).values(kind=kind))
    assert client.get("/v1/files").status_code == 401


def test_the_caller_has_the_role_and_the_lists_of_its_key(gateway: Gateway) -> None:
    lists = {"providers": ["local"], "models": ["a*"], "endpoints": ["/v1/embeddings"], "accounts": ["env"]}
    issued = keys.create(gateway, project="alpha", name="", role="admin", **lists)  # type: ignore[arg-type]
    found: Caller = keys.authenticate(gateway, issued.key, request_id="req", address="192.0.2.1")
    assert (found.role, found.address, found.name) == ("admin", "192.0.2.1", issued.public_id)
    assert {name: getattr(found, name) for name in lists} == lists
