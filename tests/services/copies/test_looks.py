"""Files that their provider does not find: one such answer is not believed."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from app.connectors.contract.errors import MissingError, UpstreamServerError
from app.connectors.contract.objects import NewFile, Payload
from app.data.files import file_copies
from app.data.store import absence
from app.data.tables import files, native_objects
from app.services.accounts.directory import Account
from app.services.copies import ensure, looks, reconcile
from app.services.copies.ensure import CopyBusyError
from app.services.gateway import Caller, Gateway
from tests.api.openai.test_files import made, send
from tests.conftest import KeyClient
from tests.services.copies.memory import MemoryProvider
from tests.services.copies.rows import a_file, all_rows, backdate, states
from tests.support.absences import minutes_pass, next_look_is_due

API = '{"api": {}}'


@pytest.fixture
def body(client: KeyClient) -> dict[str, Any]:
    """A file that is kept at the provider only."""
    return made(client, b"0123456789", name="d.bin", provider="openai", storage_config=API)


@pytest.fixture
def hidden(provider: MemoryProvider, body: dict[str, Any]) -> dict[str, Any]:
    """What the provider does not find at the moment."""
    held = dict(provider.files)
    provider.files.clear()
    provider.calls.clear()
    return held


def objects(gateway: Gateway) -> list[tuple[str, int, str | None]]:
    return [(row.state, row.missing_looks, row.missing_part) for row in all_rows(gateway, native_objects)]


def test_a_file_that_is_not_found_once_is_answered_from_its_row(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, body: dict[str, Any], hidden: dict[str, Any]
) -> None:
    fetched = client.get(f"/v1/files/{body['id']}")
    assert (fetched.status_code, fetched.json["bytes"], fetched.json["status"]) == (200, 10, "processed")
    content = client.get(f"/v1/files/{body['id']}/content")
    assert (content.status_code, content.headers["Retry-After"]) == (503, "30")
    assert "http" not in content.json["error"]["message"] and body["id"] in content.json["error"]["message"]
    assert objects(gateway) == [("live", 1, "object")]  # looks that follow each other closely are one
    provider.files.update(hidden)
    assert client.get(f"/v1/files/{body['id']}/content").data == b"0123456789"
    assert objects(gateway) == [("live", 0, None)]


def test_many_looks_within_seconds_prove_nothing(
    client: KeyClient, gateway: Gateway, body: dict[str, Any], hidden: dict[str, Any]
) -> None:
    for _ in range(absence.LOOKS + 2):
        assert client.get(f"/v1/files/{body['id']}/content").status_code == 503
        next_look_is_due(gateway)
    assert states(gateway) == ["live"]


@pytest.mark.parametrize("what", ["", "/content"])
def test_a_file_that_is_not_found_for_minutes_is_gone(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, body: dict[str, Any], hidden: Any, what: str
) -> None:
    client.get(f"/v1/files/{body['id']}{what}")
    minutes_pass(gateway)
    for _ in range(2):
        assert client.get(f"/v1/files/{body['id']}{what}").status_code == 404
    assert client.get("/v1/files").json["data"] == []
    assert states(gateway) == ["deleting"]  # the way to delete theirs is kept


def test_a_lost_file_that_comes_back_is_deleted_there(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, body: dict[str, Any], hidden: dict[str, Any]
) -> None:
    client.get(f"/v1/files/{body['id']}")
    minutes_pass(gateway)
    assert client.get(f"/v1/files/{body['id']}").status_code == 404
    provider.files.update(hidden)
    backdate(gateway)
    assert reconcile.sweep(gateway) == 1
    assert (provider.files, states(gateway)) == ({}, ["deleted"])


def test_the_sweeper_looks_too(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, body: dict[str, Any], hidden: dict[str, Any]
) -> None:
    client.get(f"/v1/files/{body['id']}/content")
    assert looks.look_at_missing(gateway) == 0  # not due yet
    next_look_is_due(gateway)
    assert looks.look_at_missing(gateway) == 0
    assert (objects(gateway), provider.calls) == ([("live", 2, "content")], ["read", "read"])
    provider.files.update(hidden)
    next_look_is_due(gateway)
    assert looks.look_at_missing(gateway) == 1
    assert objects(gateway) == [("live", 0, None)]
    provider.files.clear()
    client.get(f"/v1/files/{body['id']}")
    minutes_pass(gateway)
    assert looks.look_at_missing(gateway) == 1
    assert client.get(f"/v1/files/{body['id']}").status_code == 404
    assert looks.look_at_missing(gateway) == 0


def test_a_provider_that_fails_meanwhile_decides_nothing(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, body: dict[str, Any], hidden: dict[str, Any]
) -> None:
    def fail() -> None:
        raise UpstreamServerError("Down.", status=500)

    client.get(f"/v1/files/{body['id']}")
    minutes_pass(gateway)
    provider.before["retrieve"] = fail
    assert looks.look_at_missing(gateway) == 0
    assert states(gateway) == ["live"]


def test_an_account_whose_credential_fails_loses_no_files(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, body: dict[str, Any], hidden: dict[str, Any]
) -> None:
    def check() -> None:
        raise MissingError("Not Found", status=404)  # a base URL that leads nowhere

    provider.check = check  # type: ignore[method-assign]
    client.get(f"/v1/files/{body['id']}")
    minutes_pass(gateway)
    assert client.get(f"/v1/files/{body['id']}").status_code == 200
    assert client.get(f"/v1/files/{body['id']}/content").status_code == 503
    assert states(gateway) == ["live"]


def test_a_file_without_its_content_is_said_to_have_none_and_stays(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, body: dict[str, Any]
) -> None:
    def missing() -> None:
        raise MissingError("No content.", status=404)

    provider.before["read"] = missing
    assert client.get(f"/v1/files/{body['id']}/content").status_code == 503
    assert client.get(f"/v1/files/{body['id']}").status_code == 200
    assert objects(gateway) == [("live", 1, "content")]  # to see the file is not to see its content
    minutes_pass(gateway)
    answer = client.get(f"/v1/files/{body['id']}/content")
    assert (answer.status_code, "not its content" in answer.json["error"]["message"]) == (404, True)
    assert client.get(f"/v1/files/{body['id']}").status_code == 200
    assert (states(gateway), looks.look_at_missing(gateway)) == (["live"], 0)
    provider.before.clear()
    assert client.get(f"/v1/files/{body['id']}/content").data == b"0123456789"


def test_another_account_that_has_the_file_is_asked_first(
    client: KeyClient,
    gateway: Gateway,
    second: Account,
    other_provider: MemoryProvider,
    body: dict[str, Any],
    hidden: dict[str, Any],
) -> None:
    client.get(f"/v1/files/{body['id']}")
    native = other_provider.upload_file(NewFile("d.bin", "user_data", Payload(3, lambda: iter([b"abc"]))))
    with gateway.database.write() as connection:
        fields = {"variant": "raw", "purpose": "user_data", "filename": "d.bin"}
        from app.data.files import native_objects as rows

        object_id = rows.insert_live(connection, account_id=second.id, native_id=native.id, **fields)
        file_copies.add(connection, file_id=all_rows(gateway, files)[0].id, object_id=object_id, variant="raw")
    assert client.get(f"/v1/files/{body['id']}/content").data == b"abc"


@pytest.mark.parametrize("times", [1, 0])
def test_a_delete_that_finds_nothing_is_sent_again(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, body: dict[str, Any], hidden: Any, times: int
) -> None:
    def missing() -> None:
        raise MissingError("No such File object.", status=404)

    provider.before["delete"] = missing
    assert client.delete(f"/v1/files/{body['id']}").json["deleted"] is True
    assert client.get(f"/v1/files/{body['id']}").status_code == 404
    assert states(gateway) == ["deleting"]
    if times:  # it shows up again
        provider.files.update(hidden)
        provider.before.clear()
    else:
        minutes_pass(gateway)
    backdate(gateway)
    assert reconcile.sweep(gateway) == 1
    assert (provider.files, states(gateway)) == ({}, ["deleted"])
    [row] = all_rows(gateway, native_objects)
    assert row.last_error == (None if times else looks.VANISHED)


def test_an_adopted_file_that_is_lost_is_never_deleted_there(
    client: KeyClient, gateway: Gateway, body: dict[str, Any], hidden: dict[str, Any]
) -> None:
    with gateway.database.write() as connection:
        connection.execute(update(files).values(adopted_at=1))
    client.get(f"/v1/files/{body['id']}")
    minutes_pass(gateway)
    assert client.get(f"/v1/files/{body['id']}").status_code == 404
    assert states(gateway) == ["deleted"]


def a_copy(gateway: Gateway, account: Account, file_id: int) -> Any:
    def new() -> NewFile:
        return NewFile("in.jsonl", "batch", Payload(3, lambda: iter([b"abc"])))

    return ensure.ensure(
        gateway, file_id=file_id, account=account, variant="raw", new=new, until_ms=None, worker="test"
    )


def test_a_new_copy_that_is_not_visible_yet_is_kept(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    file_id = a_file(gateway, caller, b"abc")
    provider.status = "processing"
    with pytest.raises(CopyBusyError):
        a_copy(gateway, account, file_id)
    held = dict(provider.files)
    provider.files.clear()
    with pytest.raises(CopyBusyError, match="does not find"):
        a_copy(gateway, account, file_id)
    provider.files.update(held)
    provider.become("processed")
    copy = a_copy(gateway, account, file_id)
    assert (copy.native_id in held, provider.count("upload"), states(gateway)) == (True, 1, ["live"])


def test_an_old_copy_that_is_not_found_is_made_anew_and_deleted(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    copy = a_copy(gateway, account, a_file(gateway, caller, b"abc"))
    with gateway.database.write() as connection:
        connection.execute(update(native_objects).values(created_at=native_objects.c.created_at - absence.SETTLED_MS))
    ensure.vanished(gateway, account, copy)
    assert states(gateway) == ["deleting"]
    backdate(gateway)
    assert (reconcile.sweep(gateway), provider.files) == (1, {})


def test_a_list_that_does_not_exist_is_not_asked_for_ever(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    def lost() -> None:
        raise UpstreamServerError("Cut.", status=None)

    def no_list() -> None:
        raise MissingError("Not Found", status=404)

    provider.after["upload"] = lost
    provider.before["list"] = no_list
    with pytest.raises(UpstreamServerError):
        a_copy(gateway, account, a_file(gateway, caller, b"abc"))
    for _ in range(absence.LOOKS):
        assert states(gateway) == ["pending"]
        backdate(gateway)
        reconcile.sweep(gateway)
    assert states(gateway) == ["unknown"]


@pytest.mark.parametrize("spelling", ["größe.bin", "größe.bin".encode().decode("latin-1")])
def test_a_lost_upload_is_found_however_its_provider_spells_its_name(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, spelling: str
) -> None:
    def lost() -> None:
        provider.files = {
            name: (replace(file, filename=spelling), data) for name, (file, data) in provider.files.items()
        }
        raise UpstreamServerError("Cut.", status=None)

    provider.after["upload"] = lost
    assert send(client, b"abc", name="größe.bin", provider="openai", storage_config=API).status_code == 502
    provider.after.clear()
    backdate(gateway)
    reconcile.sweep(gateway)
    assert (provider.files, states(gateway)) == ({}, ["deleted"])
