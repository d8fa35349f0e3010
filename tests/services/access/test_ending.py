"""The ways a key ends, and what becomes of the work that it has running at the gateway."""

import threading
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy import event as hooks

from app.data.access import keys as rows
from app.data.tables import batches, events, projects, virtual_keys
from app.errors import AuthenticationError, ConflictError, InvalidRequestError, NotFoundError
from app.services.access import key_secrets, keys
from app.services.batches import create as service
from app.services.batches.create import NewBatch
from app.services.batches.inline_input import writing
from app.services.gateway import Actor, Caller, Gateway
from app.services.upkeep.sweep import sweep
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers, fake, local_base_url, workers  # noqa: F401 - fixtures
from tests.support.batches import CHAT, chat_line, create, ended, jsonl, retrieve
from tests.support.keyed import keyed, public_id, with_key
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("fake")


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Few lines are out at once, so that most wait; no lease ends because a busy machine was late to renew it."""
    return environment | {"BATCHGATE_WORKER_CONCURRENCY": "4", "BATCHGATE_LEASE_SECONDS": "30"}


@pytest.fixture
def reader(gateway: Gateway) -> KeyClient:
    """Another key of the same project, which lives on."""
    return keyed(gateway)


def is_good(client: KeyClient) -> bool:
    status = client.get("/v1/files").status_code
    assert status in (200, 401)
    return status == 200


def many(count: int = 400) -> bytes:
    return jsonl(chat_line(f"c{n}") for n in range(count))


def acts(gateway: Gateway, operation: str) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(events).where(events.c.operation == operation)).all())


def request_in_flight(gateway: Gateway, caller: Caller) -> str:
    """Make a batch as a request does that knew its caller before something happened to the key."""
    with writing(gateway) as source:
        for line in many().splitlines():
            source.copy(line)
        wanted = NewBatch(provider="local", endpoint=CHAT)
        return str(service.create(gateway, caller, wanted, source=source).public_id)


@pytest.mark.parametrize("way", ["expire", "rotate", "revoke"])
def test_what_runs_goes_on_when_a_key_just_ends(
    gateway: Gateway,
    reader: KeyClient,
    workers: Workers,  # noqa: F811
    fake: FakeServer,  # noqa: F811
    way: str,
) -> None:
    fake.latency_s = 0.02
    workers.start()
    client = keyed(gateway)
    running = create(client, many(60))["id"]
    waiting = create(client, many(60))["id"]
    until(lambda: retrieve(reader, running)["request_counts"]["completed"] > 3)
    getattr(keys, way)(gateway, public_id(client))
    assert not is_good(client)
    for batch_id in (running, waiting):
        over = ended(reader, batch_id)
        assert (over["status"], over["request_counts"]["completed"]) == ("completed", 60)


def test_stopping_a_key_stops_its_lines_and_no_others(
    gateway: Gateway,
    reader: KeyClient,
    workers: Workers,  # noqa: F811
    fake: FakeServer,  # noqa: F811
) -> None:
    fake.latency_s = 0.25
    workers.start()
    client = keyed(gateway)
    stopped = [create(client, many())["id"] for _ in range(2)]
    until(lambda: any(retrieve(reader, batch_id)["request_counts"]["completed"] > 3 for batch_id in stopped))
    assert keys.revoke(gateway, public_id(client), stop=True)
    assert not is_good(client)
    for batch_id in stopped:
        over = ended(reader, batch_id)
        assert over["status"] == "cancelled"
        assert over["request_counts"]["canceled"] > 200
    sent = len(fake.requests)
    assert ended(reader, create(reader, jsonl([chat_line("a")]))["id"])["status"] == "completed"
    assert len(fake.requests) == sent + 1
    assert {row.object_id for row in acts(gateway, "batch_cancel")} == set(stopped)


def test_lines_that_are_out_are_cut_and_no_other_is_sent(
    gateway: Gateway,
    reader: KeyClient,
    workers: Workers,  # noqa: F811
    fake: FakeServer,  # noqa: F811
) -> None:
    fake.faults.add(Fault(method="POST", latency_s=600))
    workers.start()
    client = keyed(gateway)
    batch_id = create(client, many(500))["id"]
    until(lambda: fake.in_flight > 0)
    keys.revoke(gateway, public_id(client), stop=True)
    over = ended(reader, batch_id)
    counts = over["request_counts"]
    assert over["status"] == "cancelled"
    assert (counts["completed"], counts["canceled"]) == (0, 500)
    assert 0 < len(fake.requests) < 500
    until(lambda: fake.in_flight == 0)  # their connections are closed


def test_a_batch_of_a_request_in_flight_is_stopped_by_the_workers(
    gateway: Gateway,
    reader: KeyClient,
    workers: Workers,  # noqa: F811
    fake: FakeServer,  # noqa: F811
) -> None:
    fake.latency_s = 0.05
    client = keyed(gateway)
    caller = keys.authenticate(gateway, client.key, request_id="req_flight")
    keys.revoke(gateway, public_id(client), stop=True)
    batch_id = request_in_flight(gateway, caller)
    assert retrieve(reader, batch_id)["status"] == "validating"
    workers.start()
    over = ended(reader, batch_id)
    assert over["status"] == "cancelled"
    assert over["request_counts"]["completed"] < 400
    (told,) = acts(gateway, "batch_cancel")
    assert (told.object_id, told.source, told.detail["key"]) == (batch_id, "worker", public_id(client))


def test_the_sweeper_stops_what_a_crash_left(gateway: Gateway, reader: KeyClient) -> None:
    client = keyed(gateway)
    mine, others = create(client, many(1))["id"], create(reader, many(1))["id"]
    with gateway.database.write() as connection:  # as `revoke` leaves it when it dies before the batches
        connection.execute(
            update(virtual_keys)
            .where(virtual_keys.c.public_id == public_id(client))
            .values(revoked_at=gateway.clock.now_ms(), stopped_at=gateway.clock.now_ms())
        )
    assert sweep(gateway)["stopped_batches"] == 1
    assert sweep(gateway)["stopped_batches"] == 0
    assert retrieve(reader, mine)["status"] == "cancelling"
    assert retrieve(reader, others)["status"] == "validating"


def test_a_revoked_key_can_still_be_stopped_once(gateway: Gateway, reader: KeyClient) -> None:
    client = keyed(gateway)
    batch_id, key = create(client, many(1))["id"], public_id(client)
    told = [keys.revoke(gateway, key, stop=stop) for stop in (False, False, True, True, False)]
    assert told == [True, False, True, False, False]
    assert retrieve(reader, batch_id)["status"] == "cancelling"
    assert keys.retrieve(gateway, key).state == "stopped"
    assert [row.detail["stop"] for row in acts(gateway, "key_revoke")] == [False, True]


def test_a_key_that_expires_later_is_good_until_then(gateway: Gateway) -> None:
    client = keyed(gateway, expires_at=gateway.clock.now_ms() + 3_600_000)
    key = public_id(client)
    assert is_good(client)
    assert keys.retrieve(gateway, key).state == "active"
    with gateway.database.write() as connection:
        connection.execute(update(virtual_keys).values(expires_at=gateway.clock.now_ms() - 1000))
    assert not is_good(client)
    assert keys.retrieve(gateway, key).state == "expired"
    keys.update(gateway, key, expires_at=None)
    assert is_good(client)
    keys.expire(gateway, key)
    assert not is_good(client)


def test_a_rotated_key_has_one_secret(gateway: Gateway) -> None:
    client = keyed(gateway)
    issued = keys.rotate(gateway, public_id(client))
    assert not is_good(client)
    assert is_good(with_key(gateway, issued.key))
    assert issued.public_id == public_id(client)


def test_the_secret_before_works_in_its_grace_and_the_one_before_that_does_not(gateway: Gateway) -> None:
    first = keyed(gateway)
    key = public_id(first)
    second = with_key(gateway, keys.rotate(gateway, key, grace_s=3600).key)
    assert is_good(first) and is_good(second)
    third = with_key(gateway, keys.rotate(gateway, key, grace_s=3600).key)
    assert [is_good(client) for client in (first, second, third)] == [False, True, True]
    until_ms = keys.retrieve(gateway, key).previous_until
    assert until_ms is not None and abs(until_ms - gateway.clock.now_ms() - 3_600_000) < 60_000
    with gateway.database.write() as connection:
        connection.execute(update(virtual_keys).values(previous_until=gateway.clock.now_ms() - 1000))
    assert [is_good(client) for client in (first, second, third)] == [False, False, True]
    assert keys.retrieve(gateway, key).previous_until is None


def test_of_rotations_at_once_each_ends_the_one_before(gateway: Gateway) -> None:
    client = keyed(gateway)
    issued: list[str] = []

    def rotate() -> None:
        issued.append(keys.rotate(gateway, public_id(client)).key)

    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(issued) == 4
    assert sum(is_good(with_key(gateway, key)) for key in issued) == 1
    assert not is_good(client)


def test_a_revoked_key_stays_so(gateway: Gateway) -> None:
    client = keyed(gateway)
    key = public_id(client)
    keys.rotate(gateway, key, grace_s=3600)
    keys.revoke(gateway, key)
    assert not is_good(client)  # also in the grace of its rotation
    for act in (keys.rotate, keys.expire, lambda *given: keys.update(*given, role="admin")):
        with pytest.raises(ConflictError, match="is revoked"):
            act(gateway, key)


def test_what_cannot_be_changed_says_why(gateway: Gateway) -> None:
    key = public_id(keyed(gateway))
    for unknown in ("0" * 16, "nul\0", "ü", "\udc80"):
        for act in (keys.rotate, keys.expire, keys.retrieve, lambda *given: keys.update(*given, role="admin")):
            with pytest.raises(NotFoundError):
                act(gateway, unknown)
        assert not keys.revoke(gateway, unknown)
    with pytest.raises(InvalidRequestError, match="at least one"):
        keys.update(gateway, key)
    with pytest.raises(InvalidRequestError, match="future"):
        keys.expire(gateway, key, at_ms=1)
    with pytest.raises(InvalidRequestError, match="grace"):
        keys.rotate(gateway, key, grace_s=-1)
    keys.expire(gateway, key)
    with pytest.raises(ConflictError, match="is expired"):
        keys.rotate(gateway, key)


def test_keys_of_an_archived_project_are_good_for_nothing(gateway: Gateway) -> None:
    client = keyed(gateway)
    with gateway.database.write() as connection:
        connection.execute(update(projects).values(archived_at=gateway.clock.now_ms()))
    assert not is_good(client)
    assert keys.retrieve(gateway, public_id(client)).state == "archived"
    with pytest.raises(ConflictError, match="archived"):
        keyed(gateway)
    assert len(keys.list_(gateway)) == 1


def test_each_change_is_an_event_that_says_who_and_holds_no_secret(gateway: Gateway) -> None:
    actor = Actor(name="eve", source="api", request_id="req_1", address="192.0.2.1")
    issued = keys.create(gateway, project="alpha", name="n", models=["a*"], actor=actor)
    keys.update(gateway, issued.public_id, description="d", actor=actor)
    rotated = keys.rotate(gateway, issued.public_id, grace_s=60, actor=actor)
    keys.expire(gateway, issued.public_id, actor=actor)
    keys.revoke(gateway, issued.public_id, stop=True, actor=actor)
    with gateway.database.read() as connection:
        told = connection.execute(select(events).order_by(events.c.id)).all()
        hmacs = connection.execute(select(virtual_keys.c.secret_hmac, virtual_keys.c.previous_hmac)).one()
    wanted = ["key_create", "key_update", "key_rotate", "key_expire", "key_revoke"]
    assert [row.operation for row in told] == wanted
    assert {(row.actor, row.source, row.address, row.object_id) for row in told} == {
        ("eve", "api", "192.0.2.1", issued.public_id)
    }
    secrets = [key.split("-", 3)[3][:12] for key in (issued.key, rotated.key)] + list(hmacs)
    assert not [secret for secret in secrets if secret in str(told)]


def test_an_unknown_key_is_looked_up_and_compared_as_a_known_one(gateway: Gateway) -> None:
    known = keyed(gateway).key
    wrong = [known + "x", f"sk-bf-{'0' * 16}-{known.rpartition('-')[2]}"]
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    gateway.pepper()
    hooks.listen(gateway.database.readers, "before_cursor_execute", note)
    told = []
    for credential in wrong:
        with pytest.raises(AuthenticationError) as caught:
            keys.authenticate(gateway, credential, request_id="req")
        told.append((str(caught.value), [statement.split(" FROM ")[-1] for statement in asked]))
        asked.clear()
    assert told[0] == told[1] and len(told[0][1]) == 1
    # What stands in for the secret of an unknown key opens nothing.
    assert not key_secrets.proves(None, key_secrets.NONE)


def test_a_stop_leaves_alone_what_is_over_and_what_is_not_the_keys(gateway: Gateway, reader: KeyClient) -> None:
    client = keyed(gateway)
    done, others = create(client, many(1))["id"], create(reader, many(1))["id"]
    with gateway.database.write() as connection:
        connection.execute(update(batches).where(batches.c.public_id == done).values(status="completed"))
    keys.revoke(gateway, public_id(client), stop=True)
    assert acts(gateway, "batch_cancel") == []
    assert [retrieve(reader, batch_id)["status"] for batch_id in (done, others)] == ["completed", "validating"]


def copy_row(connection: Connection, table: Table, count: int, **changes: object) -> None:
    row = connection.execute(select(table)).mappings().first()
    assert row is not None
    values = {name: value for name, value in (dict(row) | changes).items() if name != "id"}
    connection.execute(insert(table), [values | {"public_id": f"copy-{number}"} for number in range(count)])


def test_work_to_stop_is_found_by_indexes_whatever_the_number_of_batches(gateway: Gateway, reader: KeyClient) -> None:
    create(reader, many(1))
    keys.revoke(gateway, public_id(keyed(gateway)), stop=True)
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    hooks.listen(gateway.database.readers, "before_cursor_execute", note)
    with gateway.database.read() as connection:
        assert not rows.work_to_stop(connection, limit=10)
    is_sqlite = gateway.database.dialect == "sqlite"
    # Rows and statistics of one transaction: autovacuum sees neither, and cannot analyze the tables meanwhile.
    with gateway.database.writers.connect() as connection:
        copy_row(connection, virtual_keys, 3000, stopped_at=None, revoked_at=None)
        copy_row(connection, batches, 3000, status="completed")
        if not is_sqlite:
            connection.exec_driver_sql("ANALYZE virtual_keys, batches")
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        plans = [str(connection.exec_driver_sql(f"{explain} {text}", given).all()) for text, given in statements]
        connection.rollback()
    assert "ix_virtual_keys_stopped" in plans[0]
    assert "ix_batches_" in plans[1]
    assert "SCAN batches" not in plans[1] and "Seq Scan on batches" not in plans[1]
