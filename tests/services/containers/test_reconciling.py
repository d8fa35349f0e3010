"""What is left of containers whose making nobody saw to its end: deleted there, if it is ours beyond doubt."""

import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import update

from app.data.containers import intents
from app.data.tables import containers
from app.services.containers import reconcile
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_containers import FakeContainer
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.services.containers.test_containers import calls, made, rows
from tests.support.process import Process
from tests.support.waiting import until

FAIL_POINTS = ("container.before_create", "container.after_create", "container.before_confirm")
HOUR_MS = 3_600_000


def lose(client: KeyClient, server: ServedApp, **fields: Any) -> None:
    """The provider makes a container, and its answer never arrives."""
    server.faults.add(Fault(method="POST", path="/containers", after_effect=True, reset=True, times=1))
    assert client.post("/v1/containers", json={"name": "box", **fields}).status_code == 502
    server.faults.clear()


def foreign(app: OpenAIProviderApp, native_id: str, *, name: str = "box", age_s: int = 0) -> None:
    """A container that somebody made at the account without the gateway."""
    app.containers[native_id] = FakeContainer(native_id, name, int(time.time()) - age_s, {})


def test_containers_of_others_are_never_deleted(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    foreign(app, "cntr_older", age_s=60)
    foreign(app, "cntr_other", name="other")
    lose(client, server)
    foreign(app, "cntr_later", age_s=-3600)
    assert len(app.containers) == 4

    assert reconcile.reconcile_due(gateway) == 1

    assert sorted(app.containers) == ["cntr_later", "cntr_older", "cntr_other"]


def test_ambiguous_containers_are_not_deleted(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    lose(client, server)
    foreign(app, "cntr_same")

    assert reconcile.reconcile_due(gateway) == 1

    assert len(app.containers) == 2
    assert [row.status for row in rows(gateway)] == ["deleted"]


def test_all_that_were_lost_are_deleted(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    lose(client, server)
    lose(client, server)

    assert reconcile.reconcile_due(gateway) == 2
    assert app.containers == {}


@pytest.mark.parametrize("reconcile_s", [60.0])
def test_a_request_that_still_waits_keeps_its_container(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp, reconcile_s: float
) -> None:
    lose(client, server)
    with gateway.database.write() as connection:  # a while ago
        values = {"created_at": containers.c.created_at - 70_000, "last_active_at": 0}
        connection.execute(update(containers).values(values))
    [lost] = app.containers.values()
    lost.created_at -= 70
    object.__setattr__(gateway.settings, "reconcile_s", reconcile_s)
    server.faults.add(Fault(method="POST", path="/containers", hold_s=2))
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(client.post("/v1/containers", json={"name": "box"})))
    thread.start()
    until(lambda: len(app.containers) == 2)

    assert reconcile.reconcile_due(gateway) == 0, "not while a request of that name waits"
    assert len(app.containers) == 2
    thread.join()
    assert answers[0].status_code == 200
    assert reconcile.reconcile_due(gateway) == 1
    assert list(app.containers) == [answers[0].json["extra_fields"]["native_id"]]


def test_a_slow_request_does_not_confirm_an_intent_that_was_given_up(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    server.faults.add(Fault(method="POST", path="/containers", hold_s=1))
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(client.post("/v1/containers", json={"name": "box"})))
    thread.start()
    until(lambda: app.containers)
    with gateway.database.write() as connection:
        assert intents.give_up(connection, rows(gateway)[0].id)
    thread.join()

    assert (answers[0].status_code, app.containers) == (503, {})
    assert client.get("/v1/containers").json["data"] == []


def test_a_native_id_that_is_known_is_deleted_when_the_provider_is_back(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    kept = client.post("/v1/files", data={"purpose": "batch", "file": (io.BytesIO(b"{}"), "k.jsonl")}).json
    server.faults.add(Fault(method="POST", path="/files", status=500))
    server.faults.add(Fault(method="DELETE", status=409))
    assert client.post("/v1/containers", json={"name": "box", "file_ids": [kept["id"]]}).status_code == 502
    assert len(app.containers) == 1
    assert reconcile.reconcile_due(gateway) == 0
    server.faults.clear()
    server.forget()

    assert reconcile.reconcile_due(gateway) == 1

    assert app.containers == {}
    assert [method for method, _ in calls(server)] == ["DELETE"], "nothing is looked for by its name"


def test_after_an_hour_the_provider_is_not_asked(
    client: KeyClient, gateway: Gateway, server: ServedApp, app: OpenAIProviderApp
) -> None:
    lose(client, server)
    with gateway.database.write() as connection:
        connection.execute(update(containers).values(created_at=containers.c.created_at - HOUR_MS, last_active_at=0))
    server.forget()

    assert reconcile.reconcile_due(gateway) == 1
    assert server.requests == []


def test_an_intent_can_be_seen_by_the_operator_only(client: KeyClient, gateway: Gateway, server: ServedApp) -> None:
    box = made(client)
    lose(client, server)
    with gateway.database.read() as connection:
        shown = connection.exec_driver_sql("SELECT status, account, native_id FROM v_containers ORDER BY created").all()
    assert {row[0] for row in shown} == {"running", "being made"}
    assert {row[1] for row in shown} == {"env"}
    assert [item["id"] for item in client.get("/v1/containers").json["data"]] == [box["id"]]


@pytest.mark.parametrize("point", FAIL_POINTS)
def test_a_process_that_dies_leaves_nothing(
    client: KeyClient,
    gateway: Gateway,
    environment: dict[str, str],
    tmp_path: Path,
    app: OpenAIProviderApp,
    point: str,
) -> None:
    armed = {**environment, "BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("web", armed) as web:
        with pytest.raises(requests.RequestException):
            headers = {"Authorization": f"Bearer {client.key}"}
            requests.post(f"{web.url}/v1/containers", json={"name": "box"}, headers=headers, timeout=20)
        until(lambda: web.died)
    assert len(app.containers) == (point != "container.before_create")
    assert client.get("/v1/containers").json["data"] == []

    assert reconcile.reconcile_due(gateway) == 1

    assert (app.containers, [row.status for row in rows(gateway)]) == ({}, ["deleted"])
