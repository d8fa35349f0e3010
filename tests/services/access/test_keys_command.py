"""`batchgate keys`: what can be said of a key, and how it ends."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import batchgate
from app.cli.shared import instants
from app.services.access import keys
from app.services.gateway import Gateway
from tests.support.batches import chat_line, create, jsonl, retrieve
from tests.support.keyed import keyed, public_id, with_key

DAY_MS = 24 * 3600 * 1000
Run = Callable[..., Result]


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs `batchgate keys` on the test's store."""
    runner = CliRunner(env=environment)
    return lambda *arguments: runner.invoke(batchgate, ("keys", *arguments), catch_exceptions=False)


def made(run: Run, *arguments: str) -> dict[str, Any]:
    """A new key of project reports, as JSON."""
    answer = run("create", "--project", "reports", "--json", *arguments)
    assert answer.exit_code == 0, answer.output
    return dict(json.loads(answer.stdout))


def test_everything_can_be_said_when_a_key_is_made(run: Run, gateway: Gateway) -> None:
    lists = ["--provider", "openai", "--provider", "local", "--model", "gpt-5*", "--endpoint", "/v1/embeddings"]
    more = ["--network", "10.1.2.3/8", "--account", "team", "--limit", "open_batches=20", "--expires", "30d"]
    key = made(run, "--role", "viewer", "--description", "For reports", *lists, *more)

    assert (key["role"], key["state"], key["description"]) == ("viewer", "active", "For reports")
    assert (key["providers"], key["models"], key["endpoints"]) == (["openai", "local"], ["gpt-5*"], ["/v1/embeddings"])
    assert (key["networks"], key["accounts"], key["limits"]) == (["10.0.0.0/8"], ["team"], {"open_batches": 20})
    assert abs(key["expires_at"] * 1000 - gateway.clock.now_ms() - 30 * DAY_MS) < 60_000
    shown = run("list").stdout
    assert all(word in shown for word in (key["id"], "viewer", "active", "models gpt-5*", "networks 10.0.0.0/8"))
    (listed,) = json.loads(run("list", "--json").stdout)
    assert listed == {name: value for name, value in key.items() if name != "key"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--role", "owner"], "--role"),
        (["--provider", "opnai"], "providers: 'opnai'"),
        (["--network", "10.0.0.0/40"], "networks: '10.0.0.0/40'"),
        (["--endpoint", "chat"], "endpoints: 'chat'"),
        (["--account", "a b"], "accounts: 'a b'"),
        (["--expires", "soon"], "--expires"),
        (["--expires", "2020-01-01"], "expires_at: must be in the future"),
        (["--limit", "open_batches"], "--limit"),
        (["--limit", "wishes=3"], "limits: 'wishes'"),
        (["--limit", "open_batches=1", "--limit", "open_batches=2"], "given twice"),
    ],
)
def test_what_cannot_be_says_which_field(run: Run, gateway: Gateway, arguments: list[str], told: str) -> None:
    answer = run("create", "--project", "reports", *arguments)
    assert (answer.exit_code, told in answer.stderr) == (2, True), answer.output
    assert keys.list_(gateway) == []


def test_a_key_is_changed_by_its_id_or_itself(run: Run, gateway: Gateway) -> None:
    key = made(run, "--model", "a", "--model", "b", "--limit", "open_batches=20")
    assert run("update", key["id"], "--model", "c", "--name", "other", "--role", "admin").exit_code == 0
    assert run("update", key["key"], "--clear", "limits", "--expires", "2099-01-01").exit_code == 0
    found = keys.retrieve(gateway, key["id"])
    assert (found.models, found.name, found.role, found.limits) == (["c"], "other", "admin", {})
    assert found.expires_at == 4_070_908_800_000
    assert run("update", key["id"], "--clear", "expires", "--clear", "models").exit_code == 0
    found = keys.retrieve(gateway, key["id"])
    assert (found.models, found.expires_at) == (None, None)
    assert "Nothing to change" in run("update", key["id"]).stderr
    assert "both set and cleared" in run("update", key["id"], "--clear", "models", "--model", "a").stderr
    assert "no key" in run("update", "0" * 16, "--role", "admin").stderr


def test_a_rotated_key_is_printed_once_and_the_old_one_has_its_grace(run: Run, gateway: Gateway) -> None:
    first = made(run)
    second = json.loads(run("rotate", first["id"], "--grace", "24h", "--json").stdout)
    assert (second["id"], second["project"]) == (first["id"], "reports")
    for key in (first["key"], second["key"]):
        assert with_key(gateway, key).get("/v1/files").status_code == 200
    third = run("rotate", first["id"]).stdout.strip()
    told = [with_key(gateway, key).get("/v1/files").status_code for key in (first["key"], second["key"], third)]
    assert told == [401, 401, 200]
    assert "--grace" in run("rotate", first["id"], "--grace", "long").stderr


def test_an_expired_key_is_shown_so_and_can_be_given_time_again(run: Run, gateway: Gateway) -> None:
    key = made(run)
    assert run("expire", key["id"]).exit_code == 0
    assert json.loads(run("list", "--json").stdout)[0]["state"] == "expired"
    assert with_key(gateway, key["key"]).get("/v1/files").status_code == 401
    assert "expired" in run("rotate", key["id"]).stderr
    assert run("update", key["id"], "--expires", "90m").exit_code == 0
    assert with_key(gateway, key["key"]).get("/v1/files").status_code == 200


def test_revoke_stops_work_only_when_told(run: Run, gateway: Gateway) -> None:
    client, reader = keyed(gateway), keyed(gateway)
    batch_id = create(client, jsonl([chat_line("a")]))["id"]
    assert run("revoke", public_id(client)).exit_code == 0
    assert retrieve(reader, batch_id)["status"] == "validating"
    again = run("revoke", public_id(client), "--stop")
    assert (again.exit_code, "being cancelled" in again.stdout) == (0, True)
    assert retrieve(reader, batch_id)["status"] == "cancelling"
    assert run("revoke", public_id(client), "--stop").exit_code == 1
    states = {key["id"]: key["state"] for key in json.loads(run("list", "--json").stdout)}
    assert states == {public_id(client): "stopped", public_id(reader): "active"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90m", 90 * 60_000),
        ("30d", 30 * DAY_MS),
        ("1970-01-02", DAY_MS),
        ("1970-01-02T00:00+02:00", DAY_MS - 7_200_000),
        ("0d", None),
        ("-1d", None),
        ("9999999d", None),
        ("tomorrow", None),
    ],
)
def test_instants_as_people_type_them(text: str, found: int | None) -> None:
    assert instants.instant_ms(text, now_ms=0) == found
