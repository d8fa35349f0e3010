"""Containers and their files that their provider does not find: one such answer is not believed."""

from typing import Any

import pytest
from sqlalchemy import select, update

from app.data.tables import container_files, containers
from app.services.containers import reconcile
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.services.containers.test_containers import made
from tests.support.absences import minutes_pass

MISSING = b'{"error":{"message":"Not found.","code":null}}'


@pytest.fixture
def box(client: KeyClient, gateway: Gateway) -> dict[str, Any]:
    object.__setattr__(gateway.settings, "refresh_s", 0)
    return made(client)


@pytest.fixture
def file(client: KeyClient, app: OpenAIProviderApp, box: dict[str, Any]) -> dict[str, Any]:
    """A file that a model made, as the gateway knows it."""
    app.put(box["extra_fields"]["native_id"], "/mnt/data/1.txt", b"one")
    [item] = client.get(f"/v1/containers/{box['id']}/files").json["data"]
    found: dict[str, Any] = item
    return found


def looks(gateway: Gateway, table: Any = containers) -> list[tuple[int, str | None]]:
    with gateway.database.read() as connection:
        return [tuple(row) for row in connection.execute(select(table.c.missing_looks, table.c.missing_part))]


def not_found(server: ServedApp, status: int = 404) -> None:
    server.faults.add(Fault(method="GET", status=status, body=MISSING, times=1))


@pytest.mark.parametrize("status", [404, 410])
def test_a_container_that_shows_again_was_never_gone(
    client: KeyClient, gateway: Gateway, server: ServedApp, box: dict[str, Any], status: int
) -> None:
    not_found(server, status)
    assert client.get(f"/v1/containers/{box['id']}").json["status"] == "running"
    assert looks(gateway) == [(1, "object")]
    assert client.get(f"/v1/containers/{box['id']}").json["status"] == "running"
    assert looks(gateway) == [(0, None)]


def test_a_list_of_files_shows_that_its_container_is_there(
    client: KeyClient, gateway: Gateway, server: ServedApp, box: dict[str, Any]
) -> None:
    not_found(server)
    answer = client.get(f"/v1/containers/{box['id']}/files")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert client.get(f"/v1/containers/{box['id']}/files").status_code == 200
    assert looks(gateway) == [(0, None)]


def test_an_account_that_fails_ends_no_container(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp, box: dict[str, Any]
) -> None:
    app.containers.clear()
    assert client.get(f"/v1/containers/{box['id']}").json["status"] == "running"
    minutes_pass(gateway)
    server.faults.add(Fault(method="GET", path="/v1/files", status=401, times=3))
    assert client.get(f"/v1/containers/{box['id']}").json["status"] == "running"
    server.faults.clear()
    assert client.get(f"/v1/containers/{box['id']}").json["status"] == "expired"


def test_a_file_that_is_not_found_is_answered_from_its_row(
    client: KeyClient, gateway: Gateway, server: ServedApp, box: dict[str, Any], file: dict[str, Any]
) -> None:
    at = f"/v1/containers/{box['id']}/files/{file['id']}"
    not_found(server)
    assert client.get(at).json["path"] == "/mnt/data/1.txt"
    assert looks(gateway, container_files) == [(1, "object")]
    assert client.get(at).status_code == 200
    assert looks(gateway, container_files) == [(0, None)]


def test_content_that_is_not_found_is_asked_for_again(
    client: KeyClient, gateway: Gateway, server: ServedApp, box: dict[str, Any], file: dict[str, Any]
) -> None:
    at = f"/v1/containers/{box['id']}/files/{file['id']}"
    not_found(server)
    answer = client.get(f"{at}/content")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert client.get(at).status_code == 200
    assert looks(gateway, container_files) == [(1, "content")]  # to see the file is not to see its content
    assert client.get(f"{at}/content").data == b"one"
    assert looks(gateway, container_files) == [(0, None)]


@pytest.mark.parametrize("what", ["", "/content"])
def test_a_file_that_is_not_found_for_minutes_is_gone(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, box: dict[str, Any], file: dict[str, Any], what: str
) -> None:
    at = f"/v1/containers/{box['id']}/files/{file['id']}{what}"
    app.containers[box["extra_fields"]["native_id"]].files.clear()
    assert client.get(at).status_code == (503 if what else 200)
    minutes_pass(gateway)
    assert client.get(at).status_code == 404


def test_a_file_that_a_list_leaves_out_keeps_its_id(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, box: dict[str, Any], file: dict[str, Any]
) -> None:
    native = app.containers[box["extra_fields"]["native_id"]]
    held = dict(native.files)
    native.files.clear()
    assert [item["id"] for item in client.get(f"/v1/containers/{box['id']}/files").json["data"]] == [file["id"]]
    native.files.update(held)
    assert [item["id"] for item in client.get(f"/v1/containers/{box['id']}/files").json["data"]] == [file["id"]]
    assert looks(gateway, container_files) == [(0, None)]


def test_a_delete_that_finds_no_container_is_sent_again(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp, box: dict[str, Any]
) -> None:
    with gateway.database.write() as connection:  # long ago, but in use until now
        connection.execute(update(containers).values(created_at=1))
    server.faults.add(Fault(method="DELETE", status=404, body=MISSING, times=2))
    assert client.delete(f"/v1/containers/{box['id']}").json["deleted"] is True
    assert client.get(f"/v1/containers/{box['id']}").status_code == 404
    assert client.get("/v1/containers").json["data"] == []
    assert client.delete(f"/v1/containers/{box['id']}").status_code == 404
    assert (reconcile.reconcile_due(gateway), len(app.containers)) == (0, 1)
    assert (reconcile.reconcile_due(gateway), len(app.containers)) == (1, 0)


def test_a_delete_that_never_finds_the_container_ends(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, box: dict[str, Any]
) -> None:
    app.containers.clear()
    assert client.delete(f"/v1/containers/{box['id']}").json["deleted"] is True
    assert reconcile.reconcile_due(gateway) == 0
    minutes_pass(gateway)
    assert reconcile.reconcile_due(gateway) == 1
    assert reconcile.reconcile_due(gateway) == 0
