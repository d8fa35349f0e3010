"""Files that models make in containers at providers, while others look: none is missed, none changes its id."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, event, update

from app.connectors.contract.objects import NativeContainerFile, Page
from app.data.tables import container_files, containers
from app.services.accounts.directory import Account, Accounts
from app.services.containers import containers as container_service
from app.services.containers import native as container_native
from app.services.containers.native_files import NativeFiles
from app.services.gateway import Caller, Gateway
from app.services.upkeep import sweep
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.services.containers.test_containers import calls, made, put, rows
from tests.support.absences import minutes_pass

HOUR_MS = 3_600_000


def paths(client: KeyClient, box: dict[str, Any], query: str = "") -> list[str]:
    answer = client.get(f"/v1/containers/{box['id']}/files?order=asc{query}")
    assert answer.status_code == 200, answer.text
    return [item["path"].rpartition("/")[2] for item in answer.json["data"]]


def test_a_page_after_a_file_has_the_files_added_since(client: KeyClient, app: OpenAIProviderApp) -> None:
    box = made(client)
    native = box["extra_fields"]["native_id"]
    first = app.put(native, "/mnt/data/1.txt", b"1")
    assert paths(client, box) == ["1.txt"]
    seen = client.get(f"/v1/containers/{box['id']}/files").json["data"][0]["id"]
    assert paths(client, box, f"&after={seen}") == []
    app.put(native, "/mnt/data/2.txt", b"2")

    assert paths(client, box, f"&after={seen}") == ["2.txt"]
    assert paths(client, box, f"&after={first['id']}") == ["2.txt"], "a native id does as well"


def test_a_native_id_that_was_never_seen_here_is_a_cursor(client: KeyClient, app: OpenAIProviderApp) -> None:
    box = made(client)
    found = [app.put(box["extra_fields"]["native_id"], f"/mnt/data/{n}.txt", b"") for n in range(3)]

    assert paths(client, box, f"&after={found[1]['id']}") == ["2.txt"]
    unknown = client.get(f"/v1/containers/{box['id']}/files?after=cfile_nope")
    assert (unknown.status_code, unknown.json["error"]["param"]) == (400, "after")
    other = made(client)
    native = other["extra_fields"]["native_id"]
    assert [item["id"] for item in client.get(f"/v1/containers?after={native}").json["data"]] == [box["id"]]


class SlowLists:
    """The accounts of a gateway; something happens each time after a provider has listed the files of a container."""

    def __init__(self, accounts: Accounts, happens: Callable[[], None]) -> None:
        self._accounts = accounts
        self._happens = happens

    def by_id(self, account_id: int) -> Account:
        account = self._accounts.by_id(account_id)
        assert account is not None
        connector, happens = account.connector, self._happens

        class Slow(type(connector)):  # type: ignore[misc]
            def __init__(self) -> None:
                self.__dict__ = connector.__dict__

            def list_container_files(self, container_id: str, *, after: str | None = None) -> Page[NativeContainerFile]:
                page = connector.list_container_files(container_id, after=after)
                happens()
                return page

        return replace(account, connector=Slow())


def test_a_file_that_is_added_while_the_provider_lists_its_files_stays(
    client: KeyClient, gateway: Gateway, caller: Caller
) -> None:
    box = made(client)
    put(client, box["id"], b"old", "old.txt")
    container = container_service.retrieve_running(gateway, caller, box["id"])
    later: list[str] = []

    def happens() -> None:
        if not later:
            later.append(put(client, box["id"], b"new", "new.txt").json["id"])

    slow = replace(gateway, accounts=SlowLists(gateway.accounts, happens))
    rows = NativeFiles(slow).list_files(container, after=None, descending=True, limit=20)

    assert rows is not None
    listed = [row.public_id for row in rows]
    assert later[0] in listed
    assert listed == [item["id"] for item in client.get(f"/v1/containers/{box['id']}/files").json["data"]]
    assert client.get(f"/v1/containers/{box['id']}/files/{later[0]}").status_code == 200


def test_files_beyond_what_is_read_of_a_list_keep_their_ids(
    client: KeyClient, gateway: Gateway, caller: Caller, app: OpenAIProviderApp
) -> None:
    box = made(client)
    for n in range(150):
        app.put(box["extra_fields"]["native_id"], f"/mnt/data/{n}.txt", b"")
    oldest = client.get(f"/v1/containers/{box['id']}/files?order=asc&limit=1").json["data"][0]
    container = container_service.retrieve_running(gateway, caller, box["id"])

    again = NativeFiles(gateway, max_files=100).list_files(container, after=None, descending=False, limit=1)
    assert again is not None
    assert again[0].public_id == oldest["id"]


def test_files_that_a_model_deletes_are_gone_after_a_while(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp
) -> None:
    box = made(client)
    native = app.containers[box["extra_fields"]["native_id"]]
    gone, stays = (app.put(native.id, f"/mnt/data/{n}.txt", b"") for n in range(2))
    assert paths(client, box) == ["0.txt", "1.txt"]
    del native.files[gone["id"]]
    native.files[stays["id"]][1]["bytes"] = 77

    assert paths(client, box) == ["0.txt", "1.txt"]
    minutes_pass(gateway)
    [left] = client.get(f"/v1/containers/{box['id']}/files").json["data"]
    assert (left["extra_fields"]["native_id"], left["bytes"]) == (stays["id"], 77)


def test_a_list_in_which_nothing_is_new_writes_nothing(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp
) -> None:
    box = made(client)
    app.put(box["extra_fields"]["native_id"], "/mnt/data/1.txt", b"1")
    assert paths(client, box) == ["1.txt"]
    transactions: list[Connection] = []
    event.listen(gateway.database.writers, "begin", transactions.append)
    assert paths(client, box) == ["1.txt"]
    assert transactions == []


@pytest.mark.parametrize("work", ["list", "put", "copy"])
def test_work_on_a_container_that_stays_gone_ends_it(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp, work: str
) -> None:
    box = made(client)
    at = f"/v1/containers/{box['id']}"
    kept = client.post("/v1/files", data={"purpose": "batch", "file": (io.BytesIO(b"{}"), "k.jsonl")}).json
    app.containers.clear()
    works: dict[str, Callable[[], Any]] = {
        "list": lambda: client.get(f"{at}/files"),
        "put": lambda: put(client, box["id"]),
        "copy": lambda: client.post(f"{at}/files", json={"file_id": kept["id"]}),
    }

    unsure = works[work]()
    assert (unsure.status_code, unsure.headers["Retry-After"]) == (503, "30")
    assert client.get(at).json["status"] == "running"
    minutes_pass(gateway)
    refused = works[work]()

    assert (refused.status_code, refused.json["error"]["code"]) == (400, "container_expired")
    assert refused.json["error"]["message"] == "Container is expired."
    server.forget()
    assert client.get(at).json["status"] == "expired"
    assert server.requests == []


def test_a_refusal_that_only_mentions_expiry_expires_nothing(client: KeyClient, server: ServedApp) -> None:
    box = made(client)
    body = b'{"error":{"message":"The file expired.txt is too large.","param":"file"}}'
    server.faults.add(Fault(method="POST", path="/files", status=400, body=body))

    refused = put(client, box["id"], name="expired.txt")

    assert (refused.status_code, refused.json["error"]["param"]) == (400, "file")
    assert client.get("/v1/containers").json["data"][0]["status"] == "running"


@pytest.mark.parametrize("name", ["..", ".", "%2e%2e", "a%2Fb", "a%20b", "-x", "%C3%A4"])
def test_invalid_ids_reach_no_provider(client: KeyClient, server: ServedApp, name: str) -> None:
    box = made(client)
    server.forget()
    for path in (name, f"{name}/content"):
        assert client.get(f"/v1/containers/{box['id']}/files/{path}").status_code == 404
    assert server.requests == []


def test_names_that_no_database_stores_are_shortened(client: KeyClient, app: OpenAIProviderApp) -> None:
    box = made(client)
    app.put(box["extra_fields"]["native_id"], "/mnt/data/" + "x" * 2000 + "\0", b"1")

    [item] = client.get(f"/v1/containers/{box['id']}/files").json["data"]
    assert len(item["path"]) == 1024
    assert client.get(f"/v1/containers/{box['id']}/files/{item['id']}").status_code == 200


def test_overdue_containers_are_looked_at_by_the_sweeper(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    over, used, young = (made(client, name=name) for name in ("over", "used", "young"))
    object.__setattr__(gateway.settings, "refresh_s", 0)
    app.expire(over["extra_fields"]["native_id"])
    app.containers[used["extra_fields"]["native_id"]].created_at += 60
    with gateway.database.write() as connection:
        late = {"expires_at": 1, "refreshed_at": containers.c.refreshed_at - HOUR_MS}
        connection.execute(update(containers).where(containers.c.public_id != young["id"]).values(late))
    server.forget()

    assert container_native.look_at_overdue(gateway) == 2
    assert container_native.look_at_overdue(gateway) == 0
    assert len(server.requests) == 2
    statuses = {item["name"]: item["status"] for item in client.get("/v1/containers").json["data"]}
    assert statuses == {"over": "expired", "used": "running", "young": "running"}


def test_a_container_is_not_over_by_our_clock_alone(client: KeyClient, gateway: Gateway, server: ServedApp) -> None:
    box = made(client)
    with gateway.database.write() as connection:
        connection.execute(update(containers).values(expires_at=1))
    server.faults.add(Fault(method="GET", status=500))

    sweep.sweep(gateway)

    assert client.get(f"/v1/containers/{box['id']}").json["status"] == "running"
    assert [row.status for row in rows(gateway)] == ["running"]
    server.faults.clear()
    assert put(client, box["id"]).status_code == 200
    assert calls(server)[-1][0] == "POST"


def test_deleted_files_are_tombstones(client: KeyClient, gateway: Gateway) -> None:
    box = made(client)
    inside = put(client, box["id"]).json
    at = f"/v1/containers/{box['id']}/files"
    assert client.delete(f"{at}/{inside['extra_fields']['native_id']}").json["id"] == inside["id"]
    assert client.get(f"{at}?after={inside['id']}").status_code == 200
    with gateway.database.read() as connection:
        [row] = connection.execute(container_files.select()).all()
    assert row.deleted_at is not None
