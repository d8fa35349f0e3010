"""Idempotency-Key: the same request is done once, whatever is sent again, when, and how often."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.data.tables import containers, events, idempotency_keys
from app.errors import ConflictError
from app.services import idempotency
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Reservation, StoredAnswer
from tests.conftest import KeyClient
from tests.support.web import application

DAY_MS = 24 * 3600 * 1000


def post(client: KeyClient, body: Any, *, key: str = "k1", path: str = "/v1/containers") -> Any:
    return client.post(path, json=body, headers={"Idempotency-Key": key})


def count(gateway: Gateway, table: Any = containers) -> int:
    with gateway.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def age(gateway: Gateway, **columns: int) -> None:
    """Move instants of all keys into the past, by milliseconds."""
    with gateway.database.write() as connection:
        moved = {name: idempotency_keys.c[name] - by for name, by in columns.items()}
        connection.execute(update(idempotency_keys).values(**moved))


def begin(gateway: Gateway, caller: Caller, *, lease_s: float = 30) -> Reservation | StoredAnswer:
    return idempotency.begin(gateway, caller, route="container_create", key="k1", lease_s=lease_s)


def test_the_same_request_gets_the_same_answer(client: KeyClient, gateway: Gateway) -> None:
    first, second = post(client, {"name": "box"}), post(client, {"name": "box"}, path="/openai/v1/containers")

    assert first.status_code == second.status_code == 200
    assert first.data == second.data
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert count(gateway) == 1


def test_another_body_is_a_conflict_that_is_not_retried(client: KeyClient, gateway: Gateway) -> None:
    post(client, {"name": "box"})
    refused = post(client, {"name": "other box"})

    assert refused.status_code == 409
    assert refused.json["error"]["code"] == "idempotency_key_reused"
    assert refused.json["error"]["param"] == "Idempotency-Key"
    assert refused.headers["x-should-retry"] == "false"
    assert count(gateway) == 1


def test_another_provider_in_the_query_is_another_request(client: KeyClient) -> None:
    post(client, {"name": "box"})

    assert post(client, {"name": "box"}, path="/v1/containers?provider=local").status_code == 409


def test_a_key_belongs_to_its_project(client: KeyClient, other_client: KeyClient) -> None:
    assert post(client, {"name": "box"}).json["id"] != post(other_client, {"name": "box"}).json["id"]


def test_a_refused_request_frees_its_key(client: KeyClient, gateway: Gateway) -> None:
    assert post(client, {"name": ""}).status_code == 400
    assert count(gateway, idempotency_keys) == 0
    assert post(client, {"name": "box"}).status_code == 200


def test_a_body_that_is_no_json_frees_its_key(client: KeyClient, gateway: Gateway) -> None:
    response = client.post("/v1/containers", data=b"{", headers={"Idempotency-Key": "k1"})

    assert response.status_code == 400
    assert count(gateway, idempotency_keys) == 0


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "a\x7fb"])
def test_an_odd_key_is_refused_by_name(client: KeyClient, gateway: Gateway, key: str) -> None:
    response = post(client, {"name": "box"}, key=key)

    assert (response.status_code, response.json["error"]["param"]) == (400, "Idempotency-Key")
    assert count(gateway) == 0


def test_the_longest_key_is_taken(client: KeyClient) -> None:
    assert post(client, {"name": "box"}, key="ü" * 255).status_code == 200


def test_a_twin_in_flight_is_told_to_come_back(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    begin(gateway, caller)
    refused = post(client, {"name": "box"})

    assert refused.status_code == 409
    assert int(refused.headers["Retry-After"]) >= 1
    assert "x-should-retry" not in refused.headers
    assert count(gateway) == 0


def test_the_key_of_a_dead_request_is_taken_over(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    begin(gateway, caller)
    age(gateway, lease_until=60_000)

    assert post(client, {"name": "box"}).status_code == 200
    assert post(client, {"name": "box"}).headers["Idempotent-Replayed"] == "true"


def test_a_request_that_lost_its_lease_makes_nothing(gateway: Gateway, caller: Caller) -> None:
    late = begin(gateway, caller, lease_s=0.001)
    age(gateway, lease_until=60_000)
    begin(gateway, caller)

    assert isinstance(late, Reservation)
    with pytest.raises(ConflictError), gateway.database.write() as connection:
        idempotency.complete(connection, late, body_sha256="0" * 64, status_code=200, body={})
    idempotency.free(gateway, late)
    assert count(gateway, idempotency_keys) == 1


def test_a_key_is_forgotten_after_a_day(client: KeyClient, gateway: Gateway) -> None:
    first = post(client, {"name": "box"})
    age(gateway, expires_at=DAY_MS)

    second = post(client, {"name": "other box"})
    assert second.status_code == 200
    assert first.json["id"] != second.json["id"]


def test_the_sweeper_purges_keys_that_are_over(client: KeyClient, gateway: Gateway) -> None:
    post(client, {"name": "box"}, key="old")
    age(gateway, expires_at=DAY_MS)
    post(client, {"name": "box"}, key="new")

    assert idempotency.purge_due(gateway) == 1
    assert idempotency.purge_due(gateway) == 0
    assert post(client, {"name": "box"}, key="new").headers["Idempotent-Replayed"] == "true"


def test_twins_at_once_make_one_object(client: KeyClient, gateway: Gateway) -> None:
    flask_app = application(gateway)
    headers = {"Idempotency-Key": "k1", "Authorization": f"Bearer {client.key}"}

    def one(_: int) -> Any:
        return flask_app.test_client().post("/v1/containers", json={"name": "box"}, headers=headers)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(24)))
    made = {answer.json["id"] for answer in answers if answer.status_code == 200}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert count(gateway) == 1


def test_writes_and_refusals_are_events(client: KeyClient, gateway: Gateway) -> None:
    made = client.post("/v1/containers", json={"name": "box"})
    client.post("/v1/containers", json={"name": ""})
    client.get("/v1/containers")

    with gateway.database.read() as connection:
        rows = connection.execute(select(events).where(events.c.source == "api").order_by(events.c.id)).all()
    assert [(row.operation, row.outcome, row.status_code) for row in rows] == [
        ("container_create", "done", 200),
        ("container_create", "refused", 400),
    ]
    assert rows[0].object_id == made.json["id"]
    assert rows[0].request_id == made.headers["x-request-id"]
    assert rows[1].detail["param"] == "name"
