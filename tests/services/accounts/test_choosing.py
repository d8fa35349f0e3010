"""Which account gets new work, and how soon a process knows of it."""

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from app.connectors.contract.errors import UpstreamError
from app.errors import InvalidRequestError, PermissionDeniedError
from app.services.accounts import add as account_add
from app.services.accounts import admin, choose
from app.services.accounts.add import NewAccount
from app.services.gateway import Caller, Gateway
from tests.fakes.serving import ServedApp
from tests.services.accounts.conftest import Process
from tests.support.waiting import until

DEAD = "http://127.0.0.1:9/v1"


def add(gateway: Gateway, name: str, **fields: Any) -> int:
    fields = {"provider": "xai", "credential": f"xai-key-of-{name}", "base_url": DEAD, **fields}
    account_add.add(gateway, NewAccount(name=name, **fields))
    found = gateway.accounts.choose(fields["provider"], name=name)
    assert found is not None
    return found.id


def caller(account: str | None = None, accounts: list[str] | None = None) -> Caller:
    return Caller(1, "alpha", None, 1, "req", account=account, accounts=accounts)


def test_new_work_is_spread_by_weight(gateway: Gateway) -> None:
    admin.set_enabled(gateway, provider="xai", name="env", enabled=False)
    add(gateway, "small", weight=1)
    add(gateway, "big", weight=3)
    drawn = Counter(gateway.accounts.choose("xai").name for _ in range(2000))

    assert set(drawn) == {"small", "big"}
    assert 0.70 < drawn["big"] / 2000 < 0.80  # 3 in 4; five standard deviations are 0.05


def test_an_account_that_holds_the_input_comes_first(gateway: Gateway) -> None:
    light, heavy = add(gateway, "light"), add(gateway, "heavy", weight=1000)

    assert {gateway.accounts.choose("xai", prefer=[light]).id for _ in range(20)} == {light}
    assert heavy in {gateway.accounts.choose("xai", prefer=[999]).id for _ in range(200)}


def test_an_account_that_does_not_answer_gets_nothing_while_another_does(gateway: Gateway, xai: ServedApp) -> None:
    away = add(gateway, "away", weight=1000)
    connector = gateway.accounts.by_id(away).connector
    for _ in range(10):
        with pytest.raises(UpstreamError):
            connector.create_job(_job())

    assert not connector.healthy
    assert {gateway.accounts.choose("xai", prefer=[away]).name for _ in range(20)} == {"env"}
    # Named, it is given all the same: the caller hears what is wrong with it.
    assert gateway.accounts.choose("xai", name="away").id == away


def _job() -> Any:
    from app.connectors.contract.objects import NewJob

    fields = {"window": "24h", "marker": "m", "lines": 1, "input_id": "file_1", "payload": None, "metadata": {}}
    return NewJob(endpoint="/v1/chat/completions", model="m", **fields)


def test_a_caller_may_name_an_account(gateway: Gateway) -> None:
    add(gateway, "team-a")
    for name in ("team-a", "xai/team-a"):
        assert choose.account_for(gateway, caller(name), "xai").name == "team-a"


def test_an_account_that_is_not_there_is_named_in_the_refusal(gateway: Gateway) -> None:
    with pytest.raises(InvalidRequestError, match="xai has no account 'team-z'") as refused:
        choose.account_for(gateway, caller("team-z"), "xai")
    assert refused.value.param == "x-bf-api-key"


def test_a_key_opens_only_its_accounts(gateway: Gateway) -> None:
    add(gateway, "team-a")
    add(gateway, "team-b")

    for allowed in (["team-a"], ["xai/team-a"]):
        assert {choose.account_for(gateway, caller(None, allowed), "xai").name for _ in range(20)} == {"team-a"}
        with pytest.raises(PermissionDeniedError, match="not use the account 'team-b'"):
            choose.account_for(gateway, caller("team-b", allowed), "xai")
    with pytest.raises(PermissionDeniedError, match="not use any account of provider local"):
        choose.account_for(gateway, caller(None, ["xai/team-a"]), "local")


def test_a_provider_without_an_account_is_told_with_its_variable(gateway: Gateway) -> None:
    with pytest.raises(InvalidRequestError, match="set OPENAI_API_KEY in the gateway's environment"):
        choose.account_for(gateway, caller(), "openai")
    with pytest.raises(InvalidRequestError, match="set HF_TOKEN or HUGGINGFACE_API_KEY"):
        choose.account_for(gateway, caller(), "huggingface")
    with pytest.raises(InvalidRequestError, match="set OLLAMA_BASE_URL"):
        choose.account_for(gateway, caller(), "ollama")


def test_a_disabled_account_gets_no_new_work_and_keeps_what_it_has(gateway: Gateway) -> None:
    account_id = gateway.accounts.of("xai").id
    admin.set_enabled(gateway, provider="xai", name="env", enabled=False)
    assert gateway.accounts.of("xai") is None
    assert "xai" not in gateway.accounts.providers()
    assert gateway.accounts.by_id(account_id) is not None
    assert account_id in gateway.accounts.ids()

    admin.set_enabled(gateway, provider="xai", name="env", enabled=True)
    assert gateway.accounts.of("xai").id == account_id


def test_models_are_called_as_the_account_calls_them(gateway: Gateway) -> None:
    account_id = add(gateway, "mapped", models={"gpt-4o": "my-deployment"})
    account = gateway.accounts.by_id(account_id)

    assert account.native_model("gpt-4o") == "my-deployment"
    assert account.native_model("other") == "other"


def test_a_connector_stays_while_its_row_does(gateway: Gateway, process: Process) -> None:
    before = gateway.accounts.of("xai").connector
    add(gateway, "another")
    elsewhere = process()
    admin.set_enabled(elsewhere, provider="xai", name="env", enabled=False)
    admin.set_enabled(elsewhere, provider="xai", name="env", enabled=True)
    gateway.accounts.reread()

    assert gateway.accounts.choose("xai", name="env").connector is before


def test_lookups_ask_the_database_once_in_two_seconds(gateway: Gateway) -> None:
    from sqlalchemy import event

    gateway.accounts.providers()
    asked: list[str] = []
    event.listen(gateway.database.readers, "before_cursor_execute", lambda *given: asked.append(given[2]))
    for _ in range(1000):
        gateway.accounts.choose("xai")
        gateway.accounts.by_id(1)
        gateway.accounts.is_known("mycorp")
        gateway.accounts.abilities("xai")

    assert len(asked) <= 1


def test_a_running_process_sees_what_the_command_line_adds(gateway: Gateway, environment: dict[str, str]) -> None:
    assert gateway.accounts.names("xai") == ["env"]
    command = [sys.executable, "-m", "app.cli", "accounts"]
    full = {**environment, "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [*command, "add", "xai", "--name", "late", "--key-stdin"], env=full, input=b"xai-late-key-123", check=True
    )
    until(lambda: gateway.accounts.names("xai") == ["env", "late"])
    subprocess.run([*command, "remove", "xai", "late"], env=full, check=True)
    until(lambda: gateway.accounts.names("xai") == ["env"])


def test_one_account_that_cannot_be_used_does_not_stop_the_others(gateway: Gateway, process: Process) -> None:
    account_id = add(gateway, "broken")
    with gateway.database.write() as connection:
        connection.exec_driver_sql(
            f"UPDATE accounts SET sealed_credential = (SELECT sealed_credential FROM accounts WHERE name = 'env'"
            f" AND provider = 'xai') WHERE id = {account_id}"
        )
    other = process()

    assert other.accounts.by_id(account_id) is None  # its credential is another row's
    assert other.accounts.of("xai").name == "env"
