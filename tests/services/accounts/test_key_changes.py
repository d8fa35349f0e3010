"""An account of the environment whose key is not what it was."""

import threading

from sqlalchemy import insert, select, update

from app.data import tables
from app.data.access import accounts
from app.services.accounts import admin
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.accounts.conftest import KEY, Process, hold_file, row

OTHER = "xai-second-key-9876543210"


def held(process: Process, xai: ServedApp) -> int:
    """The id of an account that holds one file at the provider."""
    gateway = process()
    account = gateway.accounts.of("xai")
    assert account is not None
    hold_file(gateway, account.id, xai.app.add_file(b"{}\n", filename="in.jsonl", purpose="batch").id)
    return account.id


def asked(xai: ServedApp) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in xai.requests]


def test_a_restart_with_the_same_key_changes_nothing_and_asks_nobody(process: Process, xai: ServedApp) -> None:
    first = process()
    before = row(first, first.accounts.choose("xai").id)
    again = process()

    assert row(again, again.accounts.choose("xai").id) == before
    assert xai.requests == []


def test_a_new_key_of_an_account_that_holds_nothing_is_simply_used(process: Process, xai: ServedApp) -> None:
    first = process().accounts.of("xai")
    second = process(XAI_API_KEY=OTHER).accounts.of("xai")

    assert second.id == first.id
    assert second.connector.target.credential == OTHER
    assert xai.requests == []


def test_a_new_key_that_reaches_what_the_account_holds_is_the_same_account(process: Process, xai: ServedApp) -> None:
    account_id = held(process, xai)
    xai.app.api_key = OTHER
    after = process(XAI_API_KEY=OTHER)

    assert after.accounts.of("xai").id == account_id
    assert after.accounts.by_id(account_id).connector.target.credential == OTHER
    assert asked(xai) == [OTHER]


def test_a_new_key_of_another_account_leaves_the_old_one_to_its_work(process: Process, xai: ServedApp) -> None:
    old_id = held(process, xai)
    xai.app.api_key = OTHER
    xai.app.files.clear()
    after = process(XAI_API_KEY=OTHER)

    new = after.accounts.of("xai")
    assert new.id != old_id
    assert (new.name, new.connector.target.credential) == ("env", OTHER)
    old = after.accounts.by_id(old_id)
    assert (old.name, old.connector.target.credential) == (f"env~{old_id}", KEY)
    assert row(after, old_id).retired_at is not None


def test_a_running_job_is_what_an_account_should_hold(process: Process, xai: ServedApp, client: KeyClient) -> None:
    line = {"custom_id": "1", "body": {"model": "grok-4", "messages": []}}
    body = {"requests": [line], "endpoint": "/v1/chat/completions", "provider": "xai"}
    batch = client.post("/v1/batches", json=body).json["id"]
    gateway = process()
    account_id = gateway.accounts.of("xai").id
    job = xai.app.add_job([], endpoint="/v1/chat/completions", model="grok-4", fields={"name": "m"})
    with gateway.database.write() as connection:
        batch_id = select(tables.batches.c.id).where(tables.batches.c.public_id == batch).scalar_subquery()
        values = {"batch_id": batch_id, "account_id": account_id, "state": "running", "native_id": job.id}
        connection.execute(insert(tables.batch_jobs).values(marker="m", **values))
    xai.app.api_key = OTHER

    assert process(XAI_API_KEY=OTHER).accounts.of("xai").id == account_id
    xai.app.api_key = KEY
    xai.app.jobs.clear()
    assert process().accounts.of("xai").id != account_id


def test_a_new_key_that_is_refused_leaves_the_old_one_to_its_work(process: Process, xai: ServedApp) -> None:
    old_id = held(process, xai)
    after = process(XAI_API_KEY=OTHER)  # which the provider does not know

    assert after.accounts.of("xai").id != old_id
    assert after.accounts.by_id(old_id).connector.target.credential == KEY


def test_what_an_operator_set_goes_with_the_new_key(process: Process, xai: ServedApp) -> None:
    old_id = held(process, xai)
    gateway = process()
    with gateway.database.write() as connection:
        accounts.change(connection, old_id, weight=7, models={"a": "b"}, disabled_at=True)
    after = process(XAI_API_KEY=OTHER)

    assert after.accounts.of("xai") is None
    [new] = [account for account in admin.list_(after) if (account.provider, account.name) == ("xai", "env")]
    assert (new.state, new.weight, new.models) == ("disabled", 7, {"a": "b"})


def test_an_account_whose_provider_is_away_gets_no_new_work_until_it_was_asked(
    process: Process, xai: ServedApp
) -> None:
    old_id = held(process, xai)
    xai.app.api_key = OTHER
    xai.faults.add(Fault(status=503))
    after = process(XAI_API_KEY=OTHER)

    assert after.accounts.of("xai") is None
    assert after.accounts.by_id(old_id).connector.target.credential == KEY
    xai.faults.clear()
    assert after.accounts.settle_now() is True
    assert after.accounts.of("xai").id == old_id
    assert after.accounts.by_id(old_id).connector.target.credential == OTHER


def test_another_base_url_counts_as_another_key(process: Process, xai: ServedApp) -> None:
    from tests.fakes.xai_app import XAIApp

    old_id = held(process, xai)
    with ServedApp(XAIApp(api_key=KEY)) as elsewhere:
        after = process(XAI_BASE_URL=elsewhere.base_url)
        assert after.accounts.of("xai").id != old_id
        assert after.accounts.of("xai").base_url == elsewhere.base_url
    assert after.accounts.by_id(old_id).base_url == xai.base_url


def test_a_key_that_comes_back_is_the_account_that_it_was(process: Process, xai: ServedApp) -> None:
    old_id = held(process, xai)
    process(XAI_API_KEY=OTHER).accounts.providers()  # refused: another account
    back = process()

    # The second one held nothing, so its row may take the key; what the first holds stays reachable.
    assert back.accounts.of("xai").connector.target.credential == KEY
    assert back.accounts.by_id(old_id).connector.target.credential == KEY


def test_processes_that_start_together_with_a_new_key_agree(process: Process, xai: ServedApp) -> None:
    old_id = held(process, xai)
    xai.app.api_key = OTHER
    xai.app.files.clear()
    gateways = [process(XAI_API_KEY=OTHER) for _ in range(4)]
    found: list[int] = []
    threads = [threading.Thread(target=lambda g=g: found.append(g.accounts.of("xai").id)) for g in gateways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4
    assert len(set(found)) == 1
    assert old_id not in found


def test_a_process_that_still_has_the_old_key_does_not_turn_it_back(process: Process, xai: ServedApp) -> None:
    old = process()
    account_id = held(process, xai)
    assert old.accounts.of("xai").id == account_id
    xai.app.api_key = OTHER
    process(XAI_API_KEY=OTHER).accounts.providers()
    old.accounts.reread()

    assert old.accounts.of("xai").connector.target.credential == OTHER


def test_an_account_that_left_the_environment_keeps_its_key_for_its_work(process: Process, xai: ServedApp) -> None:
    account_id = held(process, xai)
    without = process(XAI_API_KEY=None, XAI_BASE_URL=None)

    assert without.accounts.of("xai") is None
    assert without.accounts.by_id(account_id).connector.target.credential == KEY
    assert account_id in without.accounts.ids()
    assert admin.retire_due(without) == 0
    assert row(without, account_id).retired_at is None  # others may have it: it was seen a moment ago
    with without.database.write() as connection:
        table = tables.accounts
        connection.execute(update(table).where(table.c.id == account_id).values(verified_at=1))
    admin.retire_due(without)
    assert row(without, account_id).retired_at is not None
    assert without.accounts.by_id(account_id) is not None

    assert process().accounts.of("xai").id == account_id  # and it comes back as what it was
