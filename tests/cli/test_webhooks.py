"""`batchgate webhooks`: what the operator sees and does, and `listen` on a developer's machine."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from openai import OpenAI

from app.auth import signatures
from app.cli import batchgate as command_line
from app.cli.client import listen
from app.cli.client.http import Gateway as Client
from app.cli.shared.profile import Profile
from app.lib import json
from app.services.gateway import Gateway
from app.services.webhooks.post import Postman
from tests.conftest import KeyClient
from tests.services.webhooks.conftest import cancelled, deliver_all, started
from tests.support.receiver import ALLOWED, Receiver
from tests.support.server import LiveServer

Run = Callable[..., Result]


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | ALLOWED


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    runner = CliRunner(env=environment)
    return lambda *words: runner.invoke(command_line, ["webhooks", *words])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_the_operator_lists_replays_and_tests(
    client: KeyClient, gateway: Gateway, receiver: Receiver, run: Run
) -> None:
    body = {"name": "hook", "url": f"{receiver.url}/hook", "event_types": ["batch.cancelled"]}
    made = client.post("/v1/webhook_endpoints", json=body).json
    secret = signatures.new_secret()
    cancelled(client, gateway, webhook={"url": f"{receiver.url}/own", "secret": secret})
    postman = Postman(gateway, worker="worker-of-the-tests")
    pending = json.loads(run("list", "--json").output)
    assert [(row["project"], row["scope"], row["pending"]) for row in pending] == [
        ("alpha", "project", 1),
        ("alpha", "batch", 1),
    ]
    deliver_all(postman)
    shown = run("deliveries", "--project", "alpha", "--state", "delivered")
    assert shown.output.count("batch.cancelled") == 2 and made["id"] in shown.output
    listed = json.loads(run("deliveries", "--json").output)
    assert "id" not in listed[0] and listed[0]["state"] == "delivered"
    replayed = run("replay", listed[0]["delivery"])
    assert replayed.exit_code == 0 and "is due" in replayed.output
    deliver_all(postman)
    assert len(receiver.received) == 3 and receiver.event_ids[2] == listed[0]["event_id"]
    assert run("test", made["id"]).output == f"{made['id']} answered 200.\n"
    receiver.statuses = [404]
    assert run("test", made["id"]).exit_code == 1
    for words in (("replay", "whd_nobodys"), ("test", "we_nobodys"), ("list", "--project", "nobody")):
        refused = run(*words)
        assert refused.exit_code != 0 and words[-1] in refused.output, words
    everything = "".join(run(*words).output for words in (["list", "--json"], ["deliveries", "--json"]))
    assert secret not in everything and made["signing_secret"] not in everything


def test_listening_brings_each_event_once_and_signed(
    client: KeyClient, gateway: Gateway, live_server: LiveServer, receiver: Receiver
) -> None:
    cancelled(client, gateway)
    before = started(client)
    ends = listen.Ends(Client(Profile(live_server.url, live_server.key)))
    ends.begin()
    assert ends.look() == []
    client.post(f"/v1/batches/{before}/cancel")
    after = [cancelled(client, gateway) for _ in range(2)]
    found = ends.look()
    assert sorted(batch["id"] for batch in found) == sorted([before, *after])
    assert ends.look() == []
    last = cancelled(client, gateway)
    client.delete(f"/v1/batches/{started(client)}")
    (batch,) = ends.look()
    assert batch["id"] == last
    secret = signatures.new_secret()
    listen._tell(batch, f"{receiver.url}/hook", secret)
    (told,) = receiver.received
    event: Any = OpenAI(api_key="unused").webhooks.unwrap(told.body, told.headers, secret=secret)
    assert (event.type, event.data.id) == ("batch.cancelled", last)
    assert told.body == listen.event_of(batch)  # the same id again


@pytest.mark.one_database
def test_listening_says_what_is_wrong(run: Run) -> None:
    options = ("--base-url", "http://127.0.0.1:9", "--api-key", "sk-bf-x")
    wrong = run("listen", "--forward-to", "localhost:3000", *options)
    assert wrong.exit_code == 2 and "--forward-to must begin with http" in wrong.output
    wrong = run("listen", "--secret", "short", *options)
    assert wrong.exit_code == 2 and "whsec_" in wrong.output
    assert listen._forwarded("http://127.0.0.1:9/", b"{}", {}) == "not delivered: ConnectionError"
