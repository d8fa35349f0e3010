"""What an operator changes about an account reaches batches that run, line by line."""

from collections.abc import Iterator

import orjson
import pytest
from sqlalchemy import select

from app.connectors.contract.base import always_room
from app.data.tables import account_capacity, batch_segments
from app.engine.gate import Signals
from app.engine.outcomes import Overloaded, Result, Words
from app.engine.run import Segment
from app.engine.shares import NewPause
from app.engine.work import Capacity, Stops
from app.services.accounts import add, admin, replacement
from app.services.accounts.add import NewAccount
from app.services.accounts.replacement import Replacement
from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.waiting import until
from tests.support.working import settle

OLD, NEW = "old-key-0123456789", "new-key-9876543210"
QUIET = Signals(successes=0, overloads=0)
QUOTA = Words("account", 429, "insufficient_quota", "You exceeded your current quota.")


@pytest.fixture
def elsewhere() -> Iterator[FakeServer]:
    """Another server, which knows another key."""
    with FakeServer(models=(), api_key=NEW) as server:
        yield server


@pytest.fixture
def work(gateway: Gateway) -> BatchWork:
    return BatchWork(gateway, worker="w")


@pytest.fixture
def segment(client: KeyClient, gateway: Gateway, fake: FakeServer, work: BatchWork) -> Segment:
    """A claimed segment of a batch at an account of its own, whose key is OLD."""
    fake.app.api_key = OLD
    add.add(gateway, NewAccount("local", name="a", base_url=fake.base_url, credential=OLD))
    admin.set_enabled(gateway, provider="local", name="env", enabled=False)
    create(client, jsonl(chat_line(f"c{n}") for n in range(4)))
    settle(work)
    return claimed(work)


def claimed(work: BatchWork) -> Segment:
    found = work.claim(skip=())
    assert found is not None
    return found[1]


def sent(work: BatchWork, segment: Segment, number: int) -> Result:
    """What one line comes to."""
    request = work.prepare(segment, segment.lines[number])
    assert not isinstance(request, Result)
    outcome = work.send(request, timeout_s=10, room=always_room)
    assert isinstance(outcome, Result), outcome
    return outcome


def test_a_new_key_and_url_reach_the_next_line(
    gateway: Gateway, fake: FakeServer, elsewhere: FakeServer, work: BatchWork, segment: Segment
) -> None:
    assert sent(work, segment, 0).status_code == 200
    prepared = work.prepare(segment, segment.lines[1])
    replacement.replace(gateway, Replacement(NEW, elsewhere.base_url), provider="local", name="a")

    assert sent(work, segment, 2).status_code == 200
    assert [len(fake.requests), len(elsewhere.requests)] == [1, 1]
    assert elsewhere.requests[0].headers["authorization"] == f"Bearer {NEW}"
    # What was prepared before the change ends with the connector that it has.
    assert work.send(prepared, timeout_s=10, room=always_room).status_code == 200
    assert len(fake.requests) == 2


def test_a_new_map_of_models_reaches_the_next_line(
    gateway: Gateway, fake: FakeServer, work: BatchWork, segment: Segment
) -> None:
    first = sent(work, segment, 0)
    admin.change(gateway, provider="local", name="a", models={"m": "my-deployment"})
    second = sent(work, segment, 1)

    assert [orjson.loads(request.body)["model"] for request in fake.requests] == ["m", "my-deployment"]
    assert (first.status_code, second.status_code) == (200, 200)


def test_a_disabled_account_keeps_no_segment_and_gets_no_line(
    gateway: Gateway, work: BatchWork, segment: Segment
) -> None:
    key = Capacity(gateway.accounts.choose("local", name="a").id, "m")
    assert work.stops([segment]) == Stops(set(), set())
    assert work.exchange(key, held=0, wanted=4, signals=QUIET).limit == 4
    admin.set_enabled(gateway, provider="local", name="a", enabled=False)

    assert work.stops([segment]) == Stops(over=set(), halted={segment.id})
    assert work.exchange(key, held=0, wanted=4, signals=QUIET).limit == 0
    work.release(segment)
    assert work.claim(skip=()) is None
    admin.set_enabled(gateway, provider="local", name="a", enabled=True)
    assert claimed(work).lines == segment.lines


def test_a_new_key_does_not_inherit_the_pause_of_the_old_one(
    gateway: Gateway, elsewhere: FakeServer, work: BatchWork, segment: Segment
) -> None:
    account = gateway.accounts.choose("local", name="a")
    key = Capacity(account.id, "m")
    scopes = [(None, True), (None, False), (segment.project_id, False)]
    found = tuple(NewPause(project_id, whole_account, 3600.0, QUOTA) for project_id, whole_account in scopes)
    work.exchange(key, held=0, wanted=4, signals=Signals(successes=0, overloads=3, pauses=found))
    paused = work.exchange(key, held=0, wanted=4, signals=QUIET).pauses
    assert {(pause.project_id, pause.whole_account) for pause in paused} == set(scopes)
    assert min(pause.left_s for pause in paused) > 3000
    replacement.replace(gateway, Replacement(base_url=elsewhere.base_url), provider="local", name="a")

    assert work.exchange(key, held=0, wanted=4, signals=QUIET).pauses == []
    with gateway.database.read() as connection:
        row = connection.execute(select(account_capacity).where(account_capacity.c.account_id == account.id)).one()
    assert row.adapted_limit == row.ceiling


def test_what_the_old_key_was_refused_for_pauses_nobody_afterwards(
    gateway: Gateway, fake: FakeServer, work: BatchWork, segment: Segment
) -> None:
    account = gateway.accounts.choose("local", name="a")
    key = Capacity(account.id, "m")
    prepared = work.prepare(segment, segment.lines[0])
    fake.app.api_key = NEW
    replacement.replace(gateway, Replacement(NEW), provider="local", name="a")
    refused = work.send(prepared, timeout_s=10, room=always_room)  # sent with the old key, heard after the change
    assert isinstance(refused, Overloaded)
    assert (refused.words.kind, refused.words.version) == ("credential", account.version)
    late = NewPause(None, True, 3600.0, refused.words)
    grant = work.exchange(key, held=0, wanted=4, signals=Signals(successes=0, overloads=0, pauses=(late,)))
    assert (grant.pauses, grant.version > account.version) == ([], True)
    # What the new key is refused for does pause.
    fake.app.api_key = "revoked, too"
    again = work.send(work.prepare(segment, segment.lines[1]), timeout_s=10, room=always_room)
    assert isinstance(again, Overloaded)
    own = NewPause(None, True, 3600.0, again.words)
    assert len(work.exchange(key, held=0, wanted=4, signals=Signals(0, 0, pauses=(own,))).pauses) == 1


def test_a_batch_waits_while_its_account_is_disabled_and_then_goes_on(
    client: KeyClient, gateway: Gateway, fake: FakeServer, workers: Workers
) -> None:
    gateway.accounts.providers()
    admin.change(gateway, provider="local", name="env", weight=1)
    fake.latency_s = 0.02
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}", f"mark-{n}") for n in range(400)))
    until(lambda: fake.answered > 0, what="lines run")
    admin.set_enabled(gateway, provider="local", name="env", enabled=False)
    until(lambda: not holders(gateway), what="the segments are released")
    waiting = retrieve(client, batch["id"])
    answered = fake.answered
    assert (waiting["status"], fake.in_flight) == ("in_progress", 0)
    assert waiting["request_counts"]["completed"] == answered < 400
    admin.set_enabled(gateway, provider="local", name="env", enabled=True)
    over = ended(client, batch["id"])

    assert over["request_counts"]["completed"] == 400
    assert set(fake.marks.values()) == {1}


def holders(gateway: Gateway) -> list[str]:
    """The workers that have segments."""
    column = batch_segments.c.worker
    with gateway.database.read() as connection:
        return list(connection.execute(select(column).where(column.is_not(None))).scalars())
