"""Webhooks that a batch names or brings along: told besides the project's, with secrets that nobody sees again."""

from typing import Any

import pytest
from sqlalchemy import select, update
from standardwebhooks import Webhook

from app.auth import signatures
from app.data.tables import batches, events, idempotency_keys, metadata, webhook_deliveries, webhook_endpoints
from app.services.access import secret_rotation
from app.services.gateway import Gateway
from app.services.upkeep import sweep
from app.services.webhooks.post import Postman
from tests.conftest import KeyClient
from tests.services.webhooks.conftest import Make, cancelled, deliver_all
from tests.services.webhooks.test_delivery import pass_time, rows
from tests.support.batches import CHAT, chat_line
from tests.support.receiver import Receiver

SECRET = "whsec_" + "c2VjcmV0LW9mLXRoaXMtYmF0Y2gtb25seQ=="
DAY_MS = 86_400_000


def test_a_batch_brings_its_own_url_and_secret(
    client: KeyClient,
    gateway: Gateway,
    endpoint: Make,
    receiver: Receiver,
    postman: Postman,
    capfd: pytest.CaptureFixture[str],
) -> None:
    endpoint("/project")
    own = {"url": f"{receiver.url}/own", "secret": SECRET, "payload": "full"}
    made = [cancelled(client, gateway, webhook=own) for _ in range(2)]
    shown = client.get(f"/v1/batches/{made[0]}")
    assert shown.json["webhook"] == {"url": own["url"]}
    deliver_all(postman)
    told = [request for request in receiver.received if request.path == "/own"]
    assert sorted(request.event["data"]["id"] for request in told) == sorted(made)
    assert len(receiver.received) == 4
    Webhook(SECRET).verify(told[0].body, told[0].headers)
    assert told[0].event["data"]["status"] == "cancelled"
    # One row for both, which is in no list, cannot be reached by its id, and is deleted when it is not used any more.
    with gateway.database.read() as connection:
        (row,) = connection.execute(select(webhook_endpoints).where(webhook_endpoints.c.scope == "batch")).all()
    assert len(client.get("/v1/webhook_endpoints").json["data"]) == 1
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", ""), ("POST", "/rotate_secret")):
        assert client.open(f"/v1/webhook_endpoints/{row.public_id}{path}", method=method).status_code == 404
    # A retry tells the same.
    again = client.post(f"/v1/batches/{made[0]}/retry").json
    assert again["webhook"] == {"url": own["url"]}
    with gateway.database.read() as connection:
        stored = "".join(str(connection.execute(select(table)).all()) for table in metadata.sorted_tables)
    assert SECRET not in stored and SECRET.removeprefix("whsec_") not in stored + shown.text + capfd.readouterr().err


def test_a_batch_names_an_endpoint_of_its_project(
    client: KeyClient, other_client: KeyClient, gateway: Gateway, endpoint: Make, receiver: Receiver, postman: Postman
) -> None:
    only_expired = endpoint("/named", event_types=["batch.expired"])
    batch = cancelled(client, gateway, webhook=only_expired["id"])
    assert client.get(f"/v1/batches/{batch}").json["webhook"] == only_expired["id"]
    deliver_all(postman)
    assert [request.event["type"] for request in receiver.received] == ["batch.cancelled"]
    body = {"requests": [chat_line("c")], "endpoint": CHAT, "provider": "local", "webhook": only_expired["id"]}
    refused = other_client.post("/v1/batches", json=body)
    assert refused.status_code == 400 and refused.json["error"]["param"] == "webhook"


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("webhook", "param"),
    [
        ("we_nobodys", "webhook"),
        ("", "webhook"),
        (7, "webhook"),
        ({"url": "https://hooks.example.com/"}, "webhook.secret"),
        ({"url": "https://hooks.example.com/", "secret": "whsec_c2hvcnQ="}, "webhook.secret"),
        ({"url": "https://hooks.example.com/", "secret": "not base64"}, "webhook.secret"),
        ({"url": "https://169.254.169.254/", "secret": SECRET}, "webhook.url"),
        ({"url": "http://hooks.example.com/", "secret": SECRET}, "webhook.url"),
        ({"url": "https://hooks.example.com/", "secret": SECRET, "retries": 5}, "webhook.retries"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(client: KeyClient, gateway: Gateway, webhook: Any, param: str) -> None:
    body = {"requests": [chat_line("c")], "endpoint": CHAT, "provider": "local", "webhook": webhook}
    refused = client.post("/v1/batches", json=body)
    assert refused.status_code == 400 and refused.json["error"]["param"] == param, refused.text
    with gateway.database.read() as connection:
        assert connection.execute(select(batches.c.id)).all() == []
        said = str(connection.execute(select(events)).all()) + str(connection.execute(select(idempotency_keys)).all())
    assert SECRET not in said + refused.text


def test_secrets_follow_the_ring(gateway: Gateway, client: KeyClient, endpoint: Make) -> None:
    """Those of both kinds, and old ones, are counted and resealed."""
    made = endpoint()
    client.post(f"/v1/webhook_endpoints/{made['id']}/rotate_secret", json={"keep_old_secret_active_for_24_hours": True})
    labels = {column.label: column for column in secret_rotation.status(gateway).columns}
    for name in ("sealed_secret", "sealed_old_secret"):
        found = labels[f"webhook_endpoints.{name}"]
        assert (sum(found.by_key.values()), found.unopened) == (1, 0)


def test_what_nobody_needs_is_swept(
    client: KeyClient, gateway: Gateway, endpoint: Make, receiver: Receiver, postman: Postman
) -> None:
    made = endpoint()
    client.post(f"/v1/webhook_endpoints/{made['id']}/rotate_secret", json={"keep_old_secret_active_for_24_hours": True})
    own = {"url": f"{receiver.url}/own", "secret": signatures.new_secret()}
    cancelled(client, gateway, webhook=own)
    deliver_all(postman)
    receiver.statuses = [500]
    cancelled(client, gateway)
    deliver_all(postman)
    sweep.sweep(gateway)
    assert [row.state for row in rows(gateway)] == ["delivered", "delivered", "pending"]
    pass_time(gateway, 4 * DAY_MS)
    sweep.sweep(gateway)
    assert rows(gateway)[-1].state == "failed"
    with gateway.database.read() as connection:
        (project, brought) = connection.execute(select(webhook_endpoints).order_by(webhook_endpoints.c.id)).all()
    assert (project.sealed_old_secret, brought.deleted_at) == (None, None)
    pass_time(gateway, 27 * DAY_MS)
    sweep.sweep(gateway)
    assert [row.state for row in rows(gateway)] == ["failed"]  # it was given up a moment ago
    with gateway.database.read() as connection:
        row = connection.execute(select(webhook_endpoints).where(webhook_endpoints.c.id == brought.id)).one()
    assert row.deleted_at is not None and row.sealed_secret is None
    # The next batch that brings it along gets a new row.
    cancelled(client, gateway, webhook=own)
    receiver.statuses = [200]
    deliver_all(postman)
    assert rows(gateway)[-1].state == "delivered"


def test_deliveries_that_a_deletion_left_are_dropped(client: KeyClient, gateway: Gateway, endpoint: Make) -> None:
    """The process died after it had deleted the endpoint."""
    made = endpoint()
    cancelled(client, gateway)
    assert client.delete(f"/v1/webhook_endpoints/{made['id']}").status_code == 200
    with gateway.database.write() as connection:
        left = {"state": "pending", "ended_at": None, "next_at": 1}
        connection.execute(update(webhook_deliveries).values(**left))
        connection.execute(update(webhook_endpoints).values(next_at=1))
    sweep.sweep(gateway)
    assert [row.state for row in rows(gateway)] == ["dropped"]
    with gateway.database.read() as connection:
        assert connection.execute(select(webhook_endpoints.c.next_at)).scalar_one() is None
