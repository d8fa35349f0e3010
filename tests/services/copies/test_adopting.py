"""`batchgate files adopt`: a provider's own files become files of a project."""

from typing import Any

import pytest

from app.connectors.contract.objects import NewFile, Payload
from app.errors import InvalidRequestError, NotFoundError
from app.services.accounts.directory import Account
from app.services.copies import ensure as copy_ensure
from app.services.copies import remote
from app.services.files import adoption
from app.services.files.adoption import Candidate, Selection
from app.services.gateway import Caller, Gateway
from tests.api.openai.test_files import made
from tests.conftest import KeyClient
from tests.services.copies.memory import MemoryProvider
from tests.services.copies.rows import states
from tests.services.copies.test_ensure import ensure

DATA = b'{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}\n'


def give(provider: MemoryProvider, name: str, *, purpose: str = "batch") -> str:
    return provider._added(NewFile(name, purpose, Payload(len(DATA), lambda: iter([DATA]))), DATA).id


def listed(gateway: Gateway, **wanted: Any) -> list[Candidate]:
    return list(adoption.candidates(gateway, Selection("alpha", "openai", **wanted)))


def adopt(gateway: Gateway, **wanted: Any) -> list[Candidate]:
    asked = Selection("alpha", "openai", **wanted)
    return [
        adoption.adopt(gateway, asked, found) if found.state == adoption.NEW else found
        for found in adoption.candidates(gateway, asked)
    ]


def test_a_dry_run_lists_what_is_new_on_all_pages(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    known = made(client, provider="openai")["extra_fields"]["native_id"]
    new = {give(provider, f"{number}.jsonl") for number in range(5)}
    found = {candidate.native.id: candidate.state for candidate in listed(gateway)}
    assert found == {known: "known"} | dict.fromkeys(new, "new")
    assert (provider.count("list"), states(gateway)) == (3, ["live"])


def test_adopted_files_are_files_of_the_project(
    client: KeyClient, other_client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    native_id = give(provider, "in.jsonl")
    give(provider, "notes.txt", purpose="user_data")
    (candidate,) = adopt(gateway, purpose="batch")
    assert candidate.state == "adopted"
    (body,) = client.get("/v1/files").json["data"]
    assert (body["id"], body["extra_fields"]["native_id"]) == (candidate.file_id, native_id)
    assert (body["filename"], body["storage_uri"]) == ("in.jsonl", f"api://openai/{native_id}")
    assert client.get(f"/v1/files/{native_id}/content").data == DATA
    assert other_client.get(f"/v1/files/{native_id}").status_code == 404
    assert [found.state for found in adopt(gateway, purpose="batch")] == ["known"]
    assert client.delete(f"/v1/files/{body['id']}").status_code == 200
    assert native_id not in provider.files


def test_chosen_ids_are_looked_up_one_by_one(gateway: Gateway, provider: MemoryProvider) -> None:
    ids = [give(provider, f"{number}.jsonl") for number in range(3)]
    assert [found.native.id for found in adopt(gateway, native_ids=ids[:1])] == ids[:1]
    assert provider.calls == ["retrieve"]
    with pytest.raises(NotFoundError):
        listed(gateway, native_ids=["file-unknown"])


def test_an_account_can_be_named(gateway: Gateway, other_provider: MemoryProvider) -> None:
    give(other_provider, "in.jsonl")
    assert [found.account for found in listed(gateway, account="second")] == ["second"]
    with pytest.raises(InvalidRequestError):
        listed(gateway, account="third")


def test_a_name_that_no_file_may_have_is_replaced(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    give(provider, "a\nb")
    adopt(gateway)
    assert client.get("/v1/files").json["data"][0]["filename"] == "upload"


def test_adopted_inputs_are_used_where_they_are(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    native_id = give(provider, "in.jsonl")
    adopt(gateway)
    from app.data.files import files as file_rows

    with gateway.database.read() as connection:
        row = file_rows.resolve(connection, caller.project_id, native_id)
    assert row is not None
    assert copy_ensure.holders(gateway, row.id) == [account.id]
    assert ensure(gateway, row.id, account).native_id == native_id
    assert provider.count("upload") == 0
    remote.bring_home(gateway, row)
    with gateway.database.read() as connection:
        row = file_rows.resolve(connection, caller.project_id, native_id)
    assert row is not None
    assert (row.is_kept, row.lines, row.bytes) == (True, 1, len(DATA))
