"""Accounts as callers meet them: named by a header, allowed by a key."""

import json
from typing import Any

import pytest

from app.services.access import keys
from app.services.accounts import add
from app.services.accounts.add import NewAccount
from app.services.gateway import Gateway
from tests.conftest import KeyClient

LINE = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": [{}]}}


def start(client: KeyClient, key: str = "", **headers: str) -> Any:
    """Ask for a batch at `local`."""
    body = {"requests": [{"custom_id": "a", "body": LINE["body"]}], "endpoint": LINE["url"], "provider": "local"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        named["Authorization"] = f"Bearer {key}"
    return client.post("/v1/batches", data=json.dumps(body), content_type="application/json", headers=named)


@pytest.fixture
def team(gateway: Gateway) -> int:
    """A second account at `local`."""
    add.add(gateway, NewAccount("local", name="team", base_url="http://127.0.0.1:9/v1"))
    return gateway.accounts.choose("local", name="team").id


def account_of(gateway: Gateway, answer: Any) -> int:
    assert answer.status_code == 200, answer.json
    with gateway.database.read() as connection:
        statement = "SELECT account_id FROM batches WHERE public_id = '" + answer.json["id"] + "'"
        return connection.exec_driver_sql(statement).scalar_one()


def test_the_header_decides_between_accounts(gateway: Gateway, client: KeyClient, team: int) -> None:
    assert {account_of(gateway, start(client, x_bf_api_key="team")) for _ in range(5)} == {team}
    assert account_of(gateway, start(client, x_bf_api_key="env")) != team


def test_an_unknown_account_is_a_400_that_names_it(client: KeyClient, team: int) -> None:
    answer = start(client, x_bf_api_key="nobody")

    assert answer.status_code == 400
    assert "nobody" in answer.json["error"]["message"]
    assert answer.json["error"]["param"] == "x-bf-api-key"


def test_an_account_that_the_key_may_not_use_is_a_403(gateway: Gateway, client: KeyClient, team: int) -> None:
    key = keys.create(gateway, project="alpha", name="", accounts=["team"]).key

    assert account_of(gateway, start(client, key)) == team
    assert start(client, key, x_bf_api_key="env").status_code == 403
    assert start(client, key, x_bf_api_key="nobody").status_code == 400


def test_an_account_that_only_one_provider_has_decides_where_nothing_else_does(
    gateway: Gateway, client: KeyClient, team: int
) -> None:
    body = {"requests": [{"custom_id": "a", "body": LINE["body"]}], "endpoint": LINE["url"]}
    unclear = client.post("/v1/batches", json=body)  # local and xai have accounts
    named = client.post("/v1/batches", json=body, headers={"x-bf-api-key": "team"})
    key = keys.create(gateway, project="alpha", name="", accounts=["local/env"]).key
    bound = client.post("/v1/batches", json=body, headers={"Authorization": f"Bearer {key}"})

    assert unclear.status_code == 400
    assert account_of(gateway, named) == team
    assert account_of(gateway, bound) == gateway.accounts.choose("local", name="env").id


def test_a_provider_that_is_not_known_is_refused_with_those_that_are(client: KeyClient) -> None:
    answer = client.get("/v1/files?provider=mycorp")

    assert answer.status_code == 400
    assert "openai" in answer.json["error"]["message"]


def test_a_compatible_provider_can_be_named_wherever_a_provider_can(gateway: Gateway, client: KeyClient) -> None:
    new = NewAccount("mycorp", base_url="http://127.0.0.1:9/v1", compatible={})
    add.add(gateway, new)

    assert client.get("/v1/files?provider=mycorp").status_code == 200
    assert client.get("/v1/files", headers={"x-model-provider": "mycorp"}).status_code == 200
    body = {"requests": [{"custom_id": "a", "body": LINE["body"]}], "endpoint": LINE["url"], "model": "mycorp/big"}
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 200, answer.json
    assert (answer.json["extra_fields"]["provider"], answer.json["model"]) == ("mycorp", "big")
    refused = client.post("/v1/containers", json={"name": "x", "provider": "mycorp"})
    assert refused.status_code == 400
    assert refused.json["error"]["code"] == "unsupported_operation"
    assert "mycorp" in refused.json["error"]["message"]


@pytest.mark.parametrize("provider", ["replicate", "elevenlabs", "runway"])
def test_providers_without_batches_answer_unsupported_operation(client: KeyClient, provider: str) -> None:
    body = {"requests": [{"custom_id": "a", "body": {}}], "endpoint": LINE["url"], "provider": provider}
    answer = client.post("/v1/batches", json=body)

    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "unsupported_operation"
    assert provider in answer.json["error"]["message"]
