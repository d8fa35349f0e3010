"""Copies are made once, found again, shared where the provider shares, and looked for after a loss."""

import threading
from typing import Any

import pytest

from app.connectors.contract.errors import OverloadedError, RefusedError, UpstreamServerError
from app.connectors.contract.objects import NewFile, Payload
from app.data.tables import file_copies, native_objects
from app.services.accounts.directory import Account
from app.services.copies import ensure as copy_ensure
from app.services.copies import reconcile
from app.services.copies.ensure import Copy, CopyBusyError
from app.services.gateway import Caller, Gateway
from tests.services.copies.memory import MemoryProvider
from tests.services.copies.rows import a_file, all_rows, backdate

DATA = b'{"custom_id":"1"}\n'


def ensure(gateway: Gateway, file_id: int, account: Account, *, data: bytes = DATA, **more: Any) -> Copy:
    def new() -> NewFile:
        return NewFile("input.jsonl", "batch", Payload(len(data), lambda: iter([data])))

    fields: dict[str, Any] = {"variant": copy_ensure.RAW, "until_ms": None, "worker": "w1", **more}
    return copy_ensure.ensure(gateway, file_id=file_id, account=account, new=new, **fields)


def test_a_file_is_uploaded_once_to_each_account(
    gateway: Gateway, caller: Caller, account: Account, second: Account, provider: MemoryProvider
) -> None:
    file_id = a_file(gateway, caller, DATA)
    first = ensure(gateway, file_id, account)
    assert ensure(gateway, file_id, account) == first
    other = ensure(gateway, file_id, second)
    assert (provider.count("upload"), other.account_id) == (1, second.id)
    assert copy_ensure.holders(gateway, file_id) == [account.id, second.id]
    assert provider.files[first.native_id][0].filename.startswith("batchgate-")


def test_variants_have_copies_of_their_own(gateway: Gateway, caller: Caller, account: Account) -> None:
    file_id = a_file(gateway, caller, DATA)
    raw = ensure(gateway, file_id, account)
    assert ensure(gateway, file_id, account, variant="other").native_id != raw.native_id
    assert copy_ensure.holders(gateway, file_id) == [account.id]


def test_a_copy_that_does_not_outlive_the_batch_is_not_used(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    file_id = a_file(gateway, caller, DATA)
    provider.expires_in_ms = 3_600_000
    first = ensure(gateway, file_id, account)
    expires_at = provider.files[first.native_id][0].expires_at
    assert expires_at is not None
    assert ensure(gateway, file_id, account, until_ms=expires_at - 1000) == first
    provider.expires_in_ms = 7_200_000
    assert ensure(gateway, file_id, account, until_ms=expires_at + 1000) != first


def test_two_at_once_upload_once(gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider) -> None:
    file_id = a_file(gateway, caller, DATA)
    entered, leave = threading.Event(), threading.Event()
    provider.before["upload"] = lambda: (entered.set(), leave.wait(10))
    made: list[Copy] = []
    thread = threading.Thread(target=lambda: made.append(ensure(gateway, file_id, account)))
    thread.start()
    assert entered.wait(10)
    with pytest.raises(CopyBusyError):
        ensure(gateway, file_id, account, worker="w2")
    leave.set()
    thread.join(10)
    assert ensure(gateway, file_id, account, worker="w2") == made[0]
    assert provider.count("upload") == 1


@pytest.mark.parametrize(
    "error",
    [RefusedError("No.", status=400), OverloadedError("Later.", status=429), UpstreamServerError("?", sent=False)],
)
def test_what_was_not_made_leaves_nothing(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider, error: Exception
) -> None:
    def fail() -> None:
        raise error

    file_id = a_file(gateway, caller, DATA)
    provider.before["upload"] = fail
    with pytest.raises(type(error)):
        ensure(gateway, file_id, account)
    assert all_rows(gateway, native_objects) == all_rows(gateway, file_copies) == []
    del provider.before["upload"]
    ensure(gateway, file_id, account)


@pytest.mark.parametrize("arrived", [True, False])
def test_an_upload_whose_answer_was_lost_is_reconciled(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider, arrived: bool
) -> None:
    def cut() -> None:
        raise UpstreamServerError("The answer was cut.")

    file_id = a_file(gateway, caller, DATA)
    (provider.after if arrived else provider.before)["upload"] = cut
    with pytest.raises(UpstreamServerError):
        ensure(gateway, file_id, account)
    provider.before.clear()
    provider.after.clear()
    for number in range(5):
        provider._added(NewFile(f"other{number}", "batch", Payload(1, lambda: iter([b"x"]))), b"x")
    backdate(gateway)
    with pytest.raises(CopyBusyError):
        ensure(gateway, file_id, account)  # looks for it
    copy = ensure(gateway, file_id, account)
    assert provider.count("upload") == (1 if arrived else 2)
    marked = [name for name, (file, _) in provider.files.items() if file.filename.startswith("batchgate-")]
    assert marked == [copy.native_id]


def test_a_file_that_is_being_processed_is_waited_for(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    file_id = a_file(gateway, caller, DATA)
    provider.status = "processing"
    with pytest.raises(CopyBusyError):
        ensure(gateway, file_id, account)
    with pytest.raises(CopyBusyError):
        ensure(gateway, file_id, account)
    provider.become("processed")
    ensure(gateway, file_id, account)
    assert (provider.count("upload"), provider.count("retrieve")) == (1, 2)
    ensure(gateway, file_id, account)
    assert provider.count("retrieve") == 2


def test_a_file_that_could_not_be_processed_is_refused_and_deleted(
    gateway: Gateway, caller: Caller, account: Account, provider: MemoryProvider
) -> None:
    file_id = a_file(gateway, caller, DATA)
    provider.status = "processing"
    with pytest.raises(CopyBusyError):
        ensure(gateway, file_id, account)
    provider.become("error")
    with pytest.raises(RefusedError):
        ensure(gateway, file_id, account)
    reconcile.sweep(gateway)
    assert not provider.files
