"""A provider that knows bytes again: one object for several files, deleted with the last of them only."""

import threading
from typing import Any

import pytest

from app.connectors.contract.errors import MissingError, UpstreamServerError
from app.data.tables import native_objects
from app.services.accounts.directory import Account
from app.services.copies import ensure as copy_ensure
from app.services.copies import reconcile
from app.services.copies.ensure import CopyBusyError
from app.services.gateway import Caller, Gateway
from tests.api.openai.test_files import made
from tests.conftest import KeyClient
from tests.services.copies.memory import MemoryProvider
from tests.services.copies.rows import a_file, all_rows, backdate, states
from tests.services.copies.test_ensure import DATA, ensure
from tests.support.absences import minutes_pass


@pytest.fixture
def provider() -> MemoryProvider:
    return MemoryProvider(by_content=True)


def public_id(gateway: Gateway, caller: Caller, file_id: int) -> str:
    from app.data.tables import files

    return next(row.public_id for row in all_rows(gateway, files) if row.id == file_id)


def test_two_files_with_the_same_bytes_share_one_object(
    client: KeyClient, other_client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    mine, theirs = made(client, provider="openai"), made(other_client, provider="openai")
    native_id = mine["extra_fields"]["native_id"]
    assert theirs["extra_fields"]["native_id"] == native_id
    assert states(gateway) == ["live"]
    for asked, found in ((client, mine), (other_client, theirs)):
        assert asked.get(f"/v1/files/{native_id}").json["id"] == found["id"]
    client.delete(f"/v1/files/{native_id}")
    assert (provider.count("delete"), states(gateway)) == (0, ["live"])
    assert client.get(f"/v1/files/{native_id}").status_code == 404
    other_client.delete(f"/v1/files/{theirs['id']}")
    assert (provider.files, provider.count("delete"), states(gateway)) == ({}, 1, ["deleted"])


def test_copies_of_two_batch_inputs_share_one_object(
    client: KeyClient, gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    first, second = (a_file(gateway, caller, DATA) for _ in range(2))
    assert ensure(gateway, first, account) == ensure(gateway, second, account)
    client.delete(f"/v1/files/{public_id(gateway, caller, first)}")
    assert list(provider.files) == [ensure(gateway, second, account).native_id]
    client.delete(f"/v1/files/{public_id(gateway, caller, second)}")
    assert provider.files == {}


def test_an_object_that_waits_to_be_deleted_is_used_again(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    def fail() -> None:
        raise UpstreamServerError("It failed.")

    provider.before["delete"] = fail
    client.delete(f"/v1/files/{made(client, provider='openai')['id']}")
    assert states(gateway) == ["deleting"]
    del provider.before["delete"]
    body = made(client, provider="openai")
    backdate(gateway)
    reconcile.sweep(gateway)
    assert states(gateway) == ["live"]
    assert list(provider.files) == [body["extra_fields"]["native_id"]]


def test_an_object_whose_deletion_did_arrive_is_made_anew(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    def fail() -> None:
        raise UpstreamServerError("The answer was cut.")

    def lands() -> None:
        provider.files.clear()  # the deletion that was asked for before arrives only now

    provider.before["delete"] = fail
    client.delete(f"/v1/files/{made(client, provider='openai')['id']}")
    provider.before.clear()
    provider.after["upload"] = lands
    response: Any = None
    from tests.api.openai.test_files import send

    response = send(client, provider="openai")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    provider.after.clear()
    body = made(client, provider="openai")
    backdate(gateway)
    reconcile.sweep(gateway)
    assert list(provider.files) == [body["extra_fields"]["native_id"]]
    assert states(gateway) == ["live"]


@pytest.mark.parametrize("upload_first", [True, False])
def test_an_upload_beside_a_deletion_never_ends_as_a_copy_of_nothing(
    client: KeyClient,
    gateway: Gateway,
    caller: Caller,
    account: Account,
    provider: MemoryProvider,
    upload_first: bool,
) -> None:
    """The provider may do either first, and the gateway cannot see which."""
    first, second = (a_file(gateway, caller, DATA) for _ in range(2))
    ensure(gateway, first, account)
    asked, go_on = threading.Event(), threading.Event()
    (provider.before if upload_first else provider.after)["delete"] = lambda: (asked.set(), go_on.wait(10))
    path = f"/v1/files/{public_id(gateway, caller, first)}"
    thread = threading.Thread(target=lambda: client.delete(path))
    thread.start()
    assert asked.wait(10)
    with pytest.raises(CopyBusyError):
        ensure(gateway, second, account)
    go_on.set()
    thread.join(10)
    provider.before.clear()
    provider.after.clear()
    backdate(gateway)
    copy = ensure(gateway, second, account)
    backdate(gateway)
    reconcile.sweep(gateway)
    assert list(provider.files) == [copy.native_id]
    assert states(gateway).count("live") == 1


def test_a_deletion_that_ended_while_the_bytes_were_on_their_way_is_checked(
    client: KeyClient, gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    first, second = (a_file(gateway, caller, DATA) for _ in range(2))
    ensure(gateway, first, account)
    path = f"/v1/files/{public_id(gateway, caller, first)}"

    def delete_beside() -> None:
        provider.after.clear()
        client.delete(path)

    provider.after["upload"] = delete_beside
    with pytest.raises(CopyBusyError):
        ensure(gateway, second, account)
    assert (provider.files, provider.count("retrieve")) == ({}, 1)
    copy = ensure(gateway, second, account)
    assert list(provider.files) == [copy.native_id]


def test_an_upload_that_was_given_up_is_deleted_when_it_comes(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    file_id = a_file(gateway, caller, DATA)

    def give_up() -> None:
        backdate(gateway)
        provider.files, kept = {}, provider.files  # the provider's list does not have it yet
        reconcile.sweep(gateway)
        provider.files = kept

    provider.after["upload"] = give_up
    with pytest.raises(CopyBusyError):
        ensure(gateway, file_id, account)
    provider.after.clear()
    reconcile.sweep(gateway)
    assert (provider.files, states(gateway)) == ({}, ["deleted"])


def test_a_file_that_is_deleted_while_it_is_copied_leaves_nothing(
    client: KeyClient, gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    file_id = a_file(gateway, caller, DATA)
    path = f"/v1/files/{public_id(gateway, caller, file_id)}"
    provider.after["upload"] = lambda: client.delete(path)
    with pytest.raises(copy_ensure.RefusedError):
        ensure(gateway, file_id, account)
    reconcile.sweep(gateway)
    assert (provider.files, states(gateway)) == ({}, ["deleted"])


def test_what_cannot_be_listed_is_unknown_and_visible(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    from app.connectors.contract.abilities import Abilities, operations

    def fail() -> None:
        raise UpstreamServerError("The answer was cut.")

    object.__setattr__(provider.target, "abilities", Abilities(operations(native="file_upload file_delete")))
    provider.after["upload"] = fail
    file_id = a_file(gateway, caller, DATA)
    with pytest.raises(UpstreamServerError):
        ensure(gateway, file_id, account)
    backdate(gateway)
    reconcile.sweep(gateway)
    (row,) = all_rows(gateway, native_objects)
    assert row.state == "unknown"
    assert "does not list files" in row.last_error and "The answer was cut." in row.last_error


def test_a_lost_file_is_made_again(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    file_id = a_file(gateway, caller, DATA)
    copy = ensure(gateway, file_id, account)
    provider.files.clear()
    with pytest.raises(MissingError):
        provider.retrieve_file(copy.native_id)
    copy_ensure.vanished(gateway, account, copy)
    assert copy_ensure.holders(gateway, file_id) == [account.id]  # it may not be visible yet
    minutes_pass(gateway)
    copy_ensure.vanished(gateway, account, copy)
    assert copy_ensure.holders(gateway, file_id) == []
    assert ensure(gateway, file_id, account).native_id in provider.files
