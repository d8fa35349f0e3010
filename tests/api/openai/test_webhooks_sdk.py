"""Webhooks through the official OpenAI SDK, unchanged: endpoints are managed, and what arrives is unwrapped."""

import time
from collections.abc import Iterator

import pytest
from openai import BadRequestError, ConflictError, InvalidWebhookSignatureError, NotFoundError, OpenAI
from sqlalchemy import select

from app.auth import signatures
from app.data.tables import idempotency_keys, webhook_endpoints
from app.services.gateway import Caller, Gateway
from app.services.webhooks import endpoints
from tests.conftest import KeyClient
from tests.support.receiver import ALLOWED, Receiver
from tests.support.server import LiveServer

URL = "https://hooks.example.com/batches"
ALL = ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"]


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | ALLOWED


@pytest.fixture
def sdk(live_server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{live_server.url}/v1", api_key=live_server.key, max_retries=0) as client:
        yield client


def test_the_sdk_manages_endpoints(sdk: OpenAI, gateway: Gateway) -> None:
    assert sdk.webhooks.event_types.list().data == ALL
    made = [sdk.webhooks.create(name=f"hook {n}", url=URL, event_types=["batch.completed"]) for n in range(3)]
    assert made[0].signing_secret.startswith("whsec_")
    assert made[0].signing_secret_hint == f"whsec_...{made[0].signing_secret[-4:]}"
    assert [item.id for item in sdk.webhooks.list(limit=2)] == [item.id for item in made][::-1]
    changed = sdk.webhooks.update(made[0].id, name="new", event_types=ALL)  # type: ignore[arg-type]
    assert (changed.name, changed.url, changed.event_types) == ("new", URL, ALL)
    assert "signing_secret" not in (sdk.webhooks.retrieve(made[0].id).model_extra or {})

    rotated = sdk.webhooks.rotate_secret(made[0].id, keep_old_secret_active_for_24_hours=True)
    assert rotated.signing_secret != made[0].signing_secret
    with gateway.database.read() as connection:
        where = webhook_endpoints.c.public_id == made[0].id
        row = connection.execute(select(webhook_endpoints).where(where)).one()
        assert made[0].signing_secret.encode() not in row.sealed_secret + row.sealed_old_secret

    assert sdk.webhooks.delete(made[0].id).deleted
    with pytest.raises(NotFoundError):
        sdk.webhooks.retrieve(made[0].id)
    with gateway.database.read() as connection:
        row = connection.execute(select(webhook_endpoints).where(where)).one()
    assert (row.sealed_secret, row.sealed_old_secret) == (None, None)
    assert [item.id for item in sdk.webhooks.list(after=made[0].id)] == []


@pytest.mark.one_database
def test_a_project_has_only_so_many(sdk: OpenAI) -> None:
    for n in range(endpoints.MAX_ENDPOINTS):
        sdk.webhooks.create(name=f"hook {n}", url=URL, event_types=["batch.failed"])
    with pytest.raises(ConflictError, match="50 webhook endpoints already"):
        sdk.webhooks.create(name="one more", url=URL, event_types=["batch.failed"])


def test_the_sdk_unwraps_a_sample_and_refuses_what_was_tampered_with(sdk: OpenAI) -> None:
    with Receiver() as receiver:
        made = sdk.webhooks.create(name="hook", url=f"{receiver.url}/hook", event_types=["batch.completed"])
        tried = sdk.webhooks.test(made.id, event_type="batch.expired")
        assert (tried.success, tried.status_code, tried.event_type) == (True, 200, "batch.expired")
        new = sdk.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
        sdk.webhooks.test(made.id, event_type="batch.failed")
        newest = sdk.webhooks.rotate_secret(made.id)
        sdk.webhooks.test(made.id, event_type="batch.failed")
    first, both, last = receiver.received
    event = sdk.webhooks.unwrap(first.body, first.headers, secret=made.signing_secret)
    assert event.type == "batch.expired" and event.data.id == "batch_sample" and event.id == first.headers["webhook-id"]
    assert (event.object, abs(event.created_at - time.time()) < 60) == ("event", True)
    for secret in (made.signing_secret, new.signing_secret):
        sdk.webhooks.unwrap(both.body, both.headers, secret=secret)
    sdk.webhooks.unwrap(last.body, last.headers, secret=newest.signing_secret)

    at = int(first.headers["webhook-timestamp"])
    body, message_id = first.body, first.headers["webhook-id"]
    resigned = {
        age: signatures.headers([made.signing_secret], message_id=message_id, at_s=at - age, body=body)
        for age in (290, 310, -310)
    }
    sdk.webhooks.unwrap(body, resigned[290], secret=made.signing_secret)
    refused = [
        (body.replace(b"expired", b"completed"), first.headers, made.signing_secret),
        (body, first.headers | {"webhook-id": "evt_other"}, made.signing_secret),
        (body, first.headers, signatures.new_secret()),
        (last.body, last.headers, new.signing_secret),
        (body, resigned[310], made.signing_secret),
        (body, resigned[-310], made.signing_secret),
    ]
    for data, headers, secret in refused:
        with pytest.raises(InvalidWebhookSignatureError):
            sdk.webhooks.unwrap(data, headers, secret=secret)


def test_an_endpoint_that_does_not_answer_is_named(sdk: OpenAI) -> None:
    made = sdk.webhooks.create(name="hook", url="http://127.0.0.1:9/", event_types=["batch.completed"])
    with pytest.raises(BadRequestError, match="Cannot connect to the host") as refused:
        sdk.webhooks.test(made.id, event_type="batch.completed")
    assert refused.value.code == "webhook_not_delivered"


@pytest.mark.one_database
def test_samples_of_one_project_are_few_at_a_time(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    made = client.post("/v1/webhook_endpoints", json={"name": "hook", "url": URL, "event_types": ALL}).json
    with gateway.samples.slot(caller.project_id), gateway.samples.slot(caller.project_id):
        refused = client.post(f"/v1/webhook_endpoints/{made['id']}/test", json={"event_type": ALL[0]})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("event_types", ["response.completed"], "must be one of batch.completed"),
        ("event_types", [], "at least one event type"),
        ("url", "http://hooks.example.com/", "must begin with https"),
        ("url", "https://10.0.0.1/", "not at a public address"),
        ("url", "https://user:word@hooks.example.com/", "no user, password"),
        ("name", "", "name"),
        ("payload", "fat", "payload: must be one of thin, full"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_said(client: KeyClient, field: str, value: object, words: str) -> None:
    right = {"name": "hook", "url": URL, "event_types": ALL, "payload": "full"}
    made = client.post("/v1/webhook_endpoints", json=right).json
    attempts = {"/v1/webhook_endpoints": right | {field: value}, f"/v1/webhook_endpoints/{made['id']}": {field: value}}
    for path, body in attempts.items():
        refused = client.post(path, json=body)
        assert refused.status_code == 400 and words in refused.json["error"]["message"], refused.text


def test_the_same_request_gets_the_same_secret_and_no_stored_answer_has_it(client: KeyClient, gateway: Gateway) -> None:
    body = {"name": "hook", "url": URL, "event_types": ALL, "payload": "full"}
    asked = {"json": body, "headers": {"Idempotency-Key": "once"}}
    first, again = (client.post("/v1/webhook_endpoints", **asked).json for _ in range(2))
    assert (again["id"], again["signing_secret"]) == (first["id"], first["signing_secret"])
    path = f"/v1/webhook_endpoints/{first['id']}/rotate_secret"
    rotated = [client.post(path, headers={"Idempotency-Key": "twice"}).json["signing_secret"] for _ in range(2)]
    assert rotated[0] == rotated[1] != first["signing_secret"]
    with gateway.database.read() as connection:
        stored = str(connection.execute(select(idempotency_keys)).all())
    assert first["id"] in stored
    assert not any(secret in stored for secret in (first["signing_secret"], *rotated))
