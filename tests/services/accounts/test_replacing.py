"""`accounts set` with a new key or URL: stored only when it reaches what the account holds."""

import json
from collections.abc import Iterator

import pytest

from app.services.accounts.add import NewAccount, add
from app.services.gateway import Gateway
from tests.fakes.faults import Fault
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.fakes.xai_app import XAIApp
from tests.services.accounts.conftest import KEY, Run, hold_file, row

NEW = "xai-replacement-key-0123456789"


@pytest.fixture
def account_id(gateway: Gateway, xai: ServedApp) -> int:
    """An account `team` at xai that holds a file."""
    add(gateway, NewAccount("xai", name="team", base_url=xai.base_url, credential=KEY, models={"a": "b"}))
    found = gateway.accounts.choose("xai", name="team")
    assert found is not None
    hold_file(gateway, found.id, xai.app.add_file(b"{}\n", filename="in.jsonl", purpose="batch").id)
    return found.id


@pytest.fixture
def elsewhere() -> Iterator[ServedApp]:
    """The same provider at another URL, with nothing in it."""
    with ServedApp(XAIApp(api_key=NEW)) as server:
        yield server


def set_key(run: Run, *options: str):
    return run("accounts", "set", "xai", "team", "--key-stdin", *options, input=NEW)


def stored(gateway: Gateway, account_id: int) -> tuple[str, str]:
    gateway.accounts.reread()
    target = gateway.accounts.by_id(account_id).connector.target
    return target.credential, target.base_url


def test_a_key_that_reaches_what_the_account_holds_replaces_the_old_one(
    run: Run, gateway: Gateway, xai: ServedApp, account_id: int
) -> None:
    xai.app.api_key = NEW
    answer = set_key(run, "--weight", "4")

    assert (answer.exit_code, answer.stdout.strip()) == (0, "Account xai/team is changed.")
    assert stored(gateway, account_id) == (NEW, xai.base_url)
    after = row(gateway, account_id)
    assert (after.name, after.weight, after.models, after.retired_at) == ("team", 4, {"a": "b"}, None)
    shown = run("events", "tail", "--operation", "account_change", "--json").stdout
    assert [json.loads(line)["detail"] for line in shown.splitlines()] == [{"key": "changed"}, {"weight": 4}]
    assert NEW not in shown + answer.output


@pytest.mark.parametrize("is_empty", [True, False], ids=["other", "refused"])
def test_a_key_of_another_account_changes_nothing(
    run: Run, gateway: Gateway, xai: ServedApp, account_id: int, is_empty: bool
) -> None:
    if is_empty:
        xai.app.api_key = NEW
        xai.app.files.clear()
    before = row(gateway, account_id)
    answer = set_key(run, "--weight", "4")

    assert answer.exit_code == 2
    assert "does not show what xai/team holds (file " in answer.stderr and "another --name" in answer.stderr
    assert row(gateway, account_id) == before
    assert NEW not in answer.output


def test_while_the_provider_is_away_nothing_is_changed(
    run: Run, gateway: Gateway, xai: ServedApp, account_id: int
) -> None:
    xai.faults.add(Fault(status=503, body=b'{"error": {"message": "maintenance until noon"}}'))
    before = row(gateway, account_id)
    answer = set_key(run)

    assert answer.exit_code == 2
    assert "cannot be asked for them now: maintenance until noon" in answer.stderr
    assert row(gateway, account_id) == before


def test_a_new_url_is_held_to_the_same(run: Run, gateway: Gateway, elsewhere: ServedApp, account_id: int) -> None:
    refused = run("accounts", "set", "xai", "team", "--base-url", elsewhere.base_url)
    assert (refused.exit_code, stored(gateway, account_id)[0]) == (2, KEY)

    elsewhere.app.api_key = KEY
    native_id = elsewhere.app.add_file(b"{}\n", filename="in.jsonl", purpose="batch").id
    hold_file(gateway, account_id, native_id)
    assert run("accounts", "set", "xai", "team", "--base-url", f"{elsewhere.base_url}/").exit_code == 0
    assert stored(gateway, account_id) == (KEY, elsewhere.base_url)


def test_a_compatible_provider_is_asked_as_what_it_is(run: Run, gateway: Gateway) -> None:
    with ServedApp(OpenAIProviderApp(api_key=KEY)) as server:
        declared = {"files": "native", "batches": "native"}
        add(gateway, NewAccount("mycorp", base_url=server.base_url, credential=KEY, compatible=declared))
        account_id = gateway.accounts.of("mycorp").id
        hold_file(gateway, account_id, "file-unknown")
        server.app.api_key = NEW
        answer = run("accounts", "set", "mycorp", "--key-stdin", input=NEW)
        assert (answer.exit_code, "does not show" in answer.stderr) == (2, True)
        assert [request.path for request in server.requests] == ["/v1/files/file-unknown"]


def test_an_account_that_holds_nothing_takes_any_key(run: Run, gateway: Gateway, xai: ServedApp) -> None:
    add(gateway, NewAccount("xai", name="team", base_url=xai.base_url, credential=KEY))
    account_id = gateway.accounts.choose("xai", name="team").id
    assert set_key(run).exit_code == 0
    assert stored(gateway, account_id) == (NEW, xai.base_url)
    assert xai.requests == []


@pytest.mark.parametrize(
    ("arguments", "key", "text"),
    [
        (["xai", "env", "--key-stdin"], NEW, "Set the variables of this account"),
        (["xai", "nobody", "--key-stdin"], NEW, "has no account 'nobody'"),
        (["xai", "team", "--key-stdin"], "two words", "one word of printable ASCII"),
        (["xai", "team", "--key-stdin", "--key-env", "X"], NEW, "in one way only"),
        (["xai", "team", "--key-env", "MISSING"], NEW, "MISSING is not set"),
        (["xai", "team", "--base-url", "ftp://x"], NEW, "--base-url must be a URL"),
        (["xai", "team", "--base-url", "http://me:secret@x/v1"], NEW, "no user, password"),
        (["xai", "team"], NEW, "Nothing to change"),
    ],
)
def test_what_cannot_be_replaced_is_refused_in_words(
    run: Run, gateway: Gateway, account_id: int, arguments: list[str], key: str, text: str
) -> None:
    before = row(gateway, account_id)
    answer = run("accounts", "set", *arguments, input=key)
    assert (answer.exit_code, text in answer.stderr) == (2, True), answer.output
    assert row(gateway, account_id) == before
