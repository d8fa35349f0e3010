"""A project with endpoints on this machine, and batches that end."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from app.services.webhooks.post import Postman
from tests.conftest import KeyClient
from tests.support.batches import CHAT, chat_line
from tests.support.receiver import ALLOWED, Receiver
from tests.support.waiting import until
from tests.support.working import settle

ALL = ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"]
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | ALLOWED


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def endpoint(client: KeyClient, receiver: Receiver) -> Make:
    """Makes an endpoint of project alpha at the receiver."""

    def make(path: str = "/hook", **fields: Any) -> dict[str, Any]:
        body = {"name": "hook", "url": receiver.url + path, "event_types": ALL, **fields}
        made = client.post("/v1/webhook_endpoints", json=body)
        assert made.status_code == 200, made.text
        return dict(made.json)

    return make


@pytest.fixture
def postman(gateway: Gateway) -> Postman:
    return Postman(gateway, worker="worker-of-the-tests")


def started(client: KeyClient, *, lines: int = 2, **fields: Any) -> str:
    """A batch that waits for a worker; returns its id."""
    body = {"requests": [chat_line(f"c{n}", model="m") for n in range(lines)], "endpoint": CHAT, "provider": "local"}
    made = client.post("/v1/batches", json={**body, **fields})
    assert made.status_code == 200, made.text
    return str(made.json["id"])


def cancelled(client: KeyClient, gateway: Gateway, **fields: Any) -> str:
    """A batch that has ended; returns its id."""
    batch = started(client, **fields)
    work = BatchWork(gateway, worker="worker-of-the-tests")
    until(work.plan)
    client.post(f"/v1/batches/{batch}/cancel")
    settle(work)
    return batch


def deliver_all(postman: Postman) -> None:
    """Deliver what is due now."""
    while postman.deliver():
        pass
