"""Containers of provider `local`, over the API and as the sweeper sees them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from app.data.containers import containers as container_rows
from app.data.files import blobs as blob_rows
from app.data.store.database import now_ms
from app.data.tables import blobs, container_files, containers, files
from app.errors import NotFoundError
from app.lib import ids
from app.services import blobs as blob_service
from app.services.containers import containers as container_service
from app.services.containers import hosted
from app.services.containers.containers import NewContainer
from app.services.gateway import Caller, Gateway
from tests.conftest import KeyClient

FIELDS = {
    "id",
    "object",
    "name",
    "created_at",
    "status",
    "expires_after",
    "last_active_at",
    "memory_limit",
    "network_policy",
    "metadata",
    "extra_fields",
}


def make_file(gateway: Gateway, project: str, data: bytes = b"hello", *, filename: str = "in put.csv") -> str:
    """A file of `project`, at another provider than the containers."""
    public_id = ids.new(ids.FILE)
    with blob_service.incoming(gateway) as blob:
        blob.write(data)
        blob.seal()
        with gateway.database.write() as connection:
            project_id = connection.execute(
                text("SELECT id FROM projects WHERE name = :name"), {"name": project}
            ).scalar()
            blob.settle(connection)
            connection.execute(
                insert(files).values(
                    public_id=public_id,
                    project_id=project_id,
                    home="openai",
                    purpose="user_data",
                    filename=filename,
                    origin="upload",
                    status="processed",
                    blob_id=blob.id,
                    bytes=blob.bytes,
                    sha256=blob.sha256,
                    created_at=now_ms(),
                )
            )
    return public_id


def age(gateway: Gateway, container_id: str, *, minutes: float) -> None:
    """Move a container's last activity into the past."""
    moved = int(minutes * 60_000)
    with gateway.database.write() as connection:
        connection.execute(
            update(containers)
            .where(containers.c.public_id == container_id)
            .values(last_active_at=containers.c.last_active_at - moved, expires_at=containers.c.expires_at - moved)
        )


def references(gateway: Gateway, file_id: str) -> int | None:
    """How many rows refer to the blob of a file; None when it is gone."""
    with gateway.database.read() as connection:
        statement = select(blobs.c.refs).join(files, files.c.blob_id == blobs.c.id)
        return connection.execute(statement.where(files.c.public_id == file_id)).scalar()


def row(gateway: Gateway, container_id: str) -> Any:
    with gateway.database.read() as connection:
        return connection.execute(select(containers).where(containers.c.public_id == container_id)).one()


def create(client: KeyClient, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/containers", json={"name": "box", **body})
    assert response.status_code == 200, response.json
    return dict(response.json)


def test_a_container_has_the_fields_and_defaults_of_the_contract(client: KeyClient) -> None:
    made = create(client)

    assert set(made) == FIELDS
    assert made["id"].startswith("cntr_") and len(made["id"]) <= 48
    assert made["object"] == "container"
    assert made["status"] == "running"
    assert made["expires_after"] == {"anchor": "last_active_at", "minutes": 20}
    assert made["memory_limit"] == "1g"
    assert made["network_policy"] is None and made["metadata"] is None
    assert made["last_active_at"] == made["created_at"]
    assert made["extra_fields"]["provider"] == "local"
    assert made["extra_fields"]["request_type"] == "container_create"


def test_a_container_keeps_the_requested_values(client: KeyClient) -> None:
    asked = {
        "expires_after": {"anchor": "last_active_at", "minutes": 5},
        "memory_limit": "64g",
        "network_policy": {"type": "allowlist", "allowed_domains": ["example.org"]},
        "metadata": {"team": "ü"},
        "provider": "local",
    }
    made = create(client, **asked)
    read = client.get(f"/v1/containers/{made['id']}").json

    for field in ("expires_after", "memory_limit", "network_policy", "metadata"):
        assert made[field] == read[field] == asked[field]


def test_domain_secrets_are_neither_stored_nor_shown(client: KeyClient, gateway: Gateway) -> None:
    secret = {"domain": "example.org", "name": "TOKEN", "value": "hush"}
    policy = {"type": "allowlist", "allowed_domains": ["example.org"], "domain_secrets": [secret]}
    made = create(client, network_policy=policy)

    assert made["network_policy"] == {"type": "allowlist", "allowed_domains": ["example.org"]}
    assert "hush" not in str(row(gateway, made["id"]))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "x" * 513}, "name"),
        ({"name": 3}, "name"),
        ({"expires_after": {"anchor": "created_at", "minutes": 5}}, "expires_after.anchor"),
        ({"expires_after": {"anchor": "last_active_at", "minutes": 0}}, "expires_after.minutes"),
        ({"expires_after": {"anchor": "last_active_at", "minutes": 21}}, "expires_after.minutes"),
        ({"expires_after": {"anchor": "last_active_at"}}, "expires_after.minutes"),
        ({"expires_after": 5}, "expires_after"),
        ({"memory_limit": "2g"}, "memory_limit"),
        ({"network_policy": {"type": "open"}}, "network_policy.type"),
        ({"network_policy": {}}, "network_policy.type"),
        ({"network_policy": {"type": "allowlist"}}, "network_policy.allowed_domains"),
        ({"network_policy": {"type": "allowlist", "allowed_domains": []}}, "network_policy.allowed_domains"),
        ({"network_policy": {"type": "allowlist", "allowed_domains": [1]}}, "network_policy.allowed_domains[0]"),
        (
            {"network_policy": {"type": "allowlist", "allowed_domains": ["a"], "domain_secrets": [{"domain": "a"}]}},
            "network_policy.domain_secrets[0].name",
        ),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata"),
        ({"file_ids": "file-1"}, "file_ids"),
        ({"file_ids": [1]}, "file_ids[0]"),
        ({"provider": "nobody"}, "provider"),
    ],
)
def test_a_wrong_field_is_refused_by_name(client: KeyClient, body: dict[str, Any], param: str) -> None:
    response = client.post("/v1/containers", json={"name": "box", **body})

    assert response.status_code == 400
    assert response.json["error"]["param"].startswith(param)
    assert client.get("/v1/containers").json["data"] == []


def test_a_name_is_required(client: KeyClient) -> None:
    response = client.post("/v1/containers", json={})

    assert (response.status_code, response.json["error"]["param"]) == (400, "name")


@pytest.mark.parametrize("provider", ["anthropic", "ollama"])
def test_a_provider_without_containers_is_unsupported(client: KeyClient, provider: str) -> None:
    response = client.post("/v1/containers", json={"name": "box", "provider": provider})

    assert response.status_code == 400
    assert response.json["error"]["code"] == "unsupported_operation"
    assert provider in response.json["error"]["message"]


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/openai", "/openai/openai"])
def test_every_route_serves_the_whole_life_of_a_container(client: KeyClient, prefix: str) -> None:
    made = client.post(f"{prefix}/containers", json={"name": "box"}).json
    path = f"{prefix}/containers/{made['id']}"

    assert client.get(path).json["id"] == made["id"]
    assert [item["id"] for item in client.get(f"{prefix}/containers").json["data"]] == [made["id"]]
    deleted = client.delete(path, content_type="application/json")
    assert deleted.status_code == 200
    body = deleted.json
    assert body.pop("extra_fields")["request_type"] == "container_delete"
    assert body == {"id": made["id"], "object": "container.deleted", "deleted": True}
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


@pytest.mark.parametrize("odd", ["cntr_nope", "x" * 3000, "%00", "a%0ab", "..", "%F0%9F%93%A6", "%ff"])
def test_an_unknown_container_is_not_found(client: KeyClient, odd: str) -> None:
    for response in (client.get(f"/v1/containers/{odd}"), client.delete(f"/v1/containers/{odd}")):
        assert response.status_code == 404
        assert response.json["error"]["type"] == "invalid_request_error"


def test_another_project_sees_nothing(client: KeyClient, other_client: KeyClient) -> None:
    made = create(client)
    path = f"/v1/containers/{made['id']}"

    assert other_client.get(path).status_code == 404
    assert other_client.delete(path).status_code == 404
    assert other_client.get("/v1/containers").json["data"] == []
    refused = other_client.get(f"/v1/containers?after={made['id']}")
    assert (refused.status_code, refused.json["error"]["param"]) == (400, "after")
    assert client.get(path).status_code == 200


def test_a_provider_that_contradicts_the_row_is_not_found(client: KeyClient) -> None:
    path = f"/v1/containers/{create(client)['id']}"

    assert client.get(f"{path}?provider=openai").status_code == 404
    assert client.delete(path, headers={"x-model-provider": "openai"}).status_code == 404
    assert client.get(f"{path}?provider=local").status_code == 200


def test_lists_page_in_both_orders_also_over_deleted_containers(client: KeyClient) -> None:
    made = [create(client, name=f"box {n}")["id"] for n in range(5)]

    first = client.get("/v1/containers?limit=2").json
    assert [item["id"] for item in first["data"]] == made[:2:-1]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (made[4], made[3], True)
    client.delete(f"/v1/containers/{made[3]}")
    second = client.get(f"/v1/containers?limit=2&after={first['last_id']}").json
    assert [item["id"] for item in second["data"]] == [made[2], made[1]]
    last = client.get(f"/v1/containers?limit=2&order=asc&after={made[2]}").json
    assert [item["id"] for item in last["data"]] == [made[4]]
    assert last["has_more"] is False
    assert set(last["data"][0]) == FIELDS


def test_lists_filter_by_name_and_provider(client: KeyClient) -> None:
    made = create(client, name="one")
    create(client, name="two")

    named = client.get("/v1/containers?name=one").json
    assert [item["id"] for item in named["data"]] == [made["id"]]
    assert len(client.get("/v1/containers?provider=local").json["data"]) == 2
    empty = client.get("/v1/containers?provider=openai").json
    assert (empty["data"], empty["first_id"], empty["last_id"], empty["has_more"]) == ([], None, None, False)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=-1", "limit=x", "order=up", "after=cntr_nope"])
def test_a_wrong_list_query_is_refused_by_name(client: KeyClient, query: str) -> None:
    response = client.get(f"/v1/containers?{query}")

    assert (response.status_code, response.json["error"]["param"]) == (400, query.partition("=")[0])


def test_files_of_the_project_are_copied_in_with_the_container(client: KeyClient, gateway: Gateway) -> None:
    file_id = make_file(gateway, "alpha")
    made = create(client, file_ids=[file_id, file_id])

    with gateway.database.read() as connection:
        found = connection.execute(select(container_files)).all()
    assert [(item.bytes, item.source) for item in found] == [(5, "user")]
    assert found[0].path.startswith("/mnt/data/") and found[0].path.endswith("-in put.csv")
    assert references(gateway, file_id) == 2
    client.delete(f"/v1/containers/{made['id']}")
    assert references(gateway, file_id) == 1
    assert row(gateway, made["id"]).status == "deleted"


def test_one_unknown_file_means_no_container_and_no_copies(client: KeyClient, gateway: Gateway) -> None:
    file_id, foreign = make_file(gateway, "alpha"), "file-nope"
    response = client.post("/v1/containers", json={"name": "box", "file_ids": [file_id, foreign]})

    assert (response.status_code, response.json["error"]["param"]) == (400, "file_ids")
    assert foreign in response.json["error"]["message"]
    assert client.get("/v1/containers").json["data"] == []
    assert references(gateway, file_id) == 1


def test_a_foreign_file_cannot_be_copied_in(client: KeyClient, other_client: KeyClient, gateway: Gateway) -> None:
    foreign = make_file(gateway, "beta")
    response = client.post("/v1/containers", json={"name": "box", "file_ids": [foreign]})

    assert (response.status_code, response.json["error"]["param"]) == (400, "file_ids")
    assert references(gateway, foreign) == 1


def test_retrieving_a_running_container_keeps_it_alive_with_few_writes(client: KeyClient, gateway: Gateway) -> None:
    made = create(client)
    path = f"/v1/containers/{made['id']}"
    before = row(gateway, made["id"])

    client.get(path)
    assert row(gateway, made["id"]).last_active_at == before.last_active_at
    age(gateway, made["id"], minutes=19)
    shown = client.get(path).json
    after = row(gateway, made["id"])
    assert shown["last_active_at"] == after.last_active_at // 1000 >= before.last_active_at // 1000
    assert after.expires_at == after.last_active_at + 20 * 60_000


def test_an_expired_container_is_metadata_only_before_the_sweeper_ran(client: KeyClient, gateway: Gateway) -> None:
    made = create(client)
    age(gateway, made["id"], minutes=20)

    shown = client.get(f"/v1/containers/{made['id']}").json
    assert shown["status"] == "expired"
    assert shown["last_active_at"] == row(gateway, made["id"]).last_active_at // 1000
    assert client.get("/v1/containers").json["data"][0]["status"] == "expired"
    assert client.delete(f"/v1/containers/{made['id']}").status_code == 200


def test_the_sweeper_expires_what_is_due_and_releases_its_bytes(client: KeyClient, gateway: Gateway) -> None:
    sources = [make_file(gateway, "alpha", filename=f"{n}.txt") for n in range(3)]
    due, alive = create(client, file_ids=sources), create(client, file_ids=sources)
    age(gateway, due["id"], minutes=21)

    assert hosted.expire_due(gateway) == 1
    assert hosted.expire_due(gateway) == 0
    assert row(gateway, due["id"]).status == "expired"
    assert row(gateway, alive["id"]).status == "running"
    assert [references(gateway, file_id) for file_id in sources] == [2, 2, 2]


def test_the_sweeper_finishes_an_interrupted_deletion(caller: Caller, gateway: Gateway) -> None:
    file_id = make_file(gateway, "alpha")
    made = container_service.create(gateway, caller, NewContainer(name="box", provider="local", file_ids=[file_id]))
    with gateway.database.write() as connection:
        container_rows.mark_deleted(connection, made.id)

    assert hosted.expire_due(gateway) == 1
    assert row(gateway, made.public_id).status == "deleted"
    assert references(gateway, file_id) == 1
    with gateway.database.read() as connection:
        assert blob_rows.count_orphans(connection) == 0


def test_two_deletions_at_once_delete_once(caller: Caller, gateway: Gateway) -> None:
    file_id = make_file(gateway, "alpha")
    wanted = NewContainer(name="box", provider="local", file_ids=[file_id])
    made = [container_service.create(gateway, caller, wanted).public_id for _ in range(4)]

    def delete(public_id: str) -> str:
        try:
            return container_service.delete(gateway, caller, public_id).public_id
        except NotFoundError:
            return "not found"

    with ThreadPoolExecutor(8) as threads:
        ends = list(threads.map(delete, made * 2))
    assert sorted(ends) == sorted([*made, *["not found"] * 4])
    assert references(gateway, file_id) == 1


def test_many_containers_made_at_once_share_their_files(caller: Caller, gateway: Gateway) -> None:
    sources = [make_file(gateway, "alpha") for _ in range(3)]

    def make(n: int) -> str:
        ordered = sources if n % 2 else sources[::-1]
        return container_service.create(
            gateway, caller, NewContainer(name=f"box {n}", provider="local", file_ids=ordered)
        ).public_id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(make, range(16)))) == 16
    assert [references(gateway, file_id) for file_id in sources] == [17, 17, 17]
