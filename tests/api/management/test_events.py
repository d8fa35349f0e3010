"""Events: who did what, listed and followed; nothing is missed and nothing is edited."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert

from app.data import tables
from app.services.access import keys
from app.services.events import browse
from app.services.events import record as event_record
from app.services.events.browse import Filters, Tail
from app.services.gateway import Gateway
from tests.api.management.conftest import Run, client_of
from tests.conftest import KeyClient
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]


def record(gateway: Gateway, name: str, *, at: int | None = None) -> None:
    """An event about the object `name`, as it were at the instant `at`."""
    values: dict[str, Any] = {} if at is None else {"created_at": at}
    row = {"request_id": "req", "source": "cli", "operation": "test", "outcome": "done", "object_id": name}
    with gateway.database.write() as connection:
        if at is None:
            event_record.record_act(connection, operation="test", object_id=name)
        else:
            connection.execute(insert(tables.events).values(**row, **values))


def objects(found: list[browse.Event]) -> list[str | None]:
    return [event.object_id for event in found]


def listed(admin: KeyClient, query: str = "") -> list[dict[str, Any]]:
    answer = admin.get(f"/api/events{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["data"]
    return found


def test_an_act_of_an_admin_tells_who_did_it_where_and_what_about(admin: KeyClient) -> None:
    made = admin.post("/api/projects", json={"name": "reports", "limits": {"open_batches": 2}})
    (event,) = listed(admin, "?operation=project_create")

    assert event.pop("id") > 0
    assert event.pop("created_at") > 0
    assert event.pop("latency_ms") >= 0
    assert event == {
        "object": "event",
        "actor": admin.key.split("-")[2],
        "address": "127.0.0.1",
        "project": "reports",
        "virtual_key": None,
        "source": "api",
        "operation": "project_create",
        "object_id": "reports",
        "outcome": "done",
        "status_code": None,
        "request_id": made.headers["x-request-id"],
        "detail": {"limits": {"open_batches": 2}},
    }


def test_each_act_is_one_event(admin: KeyClient) -> None:
    admin.post("/api/projects", json={"name": "reports"})
    key = admin.post("/api/governance/virtual-keys", json={"name": "k", "project": "reports"}).json["id"]
    admin.put(f"/api/governance/virtual-keys/{key}", json={"description": "d"})
    admin.post(f"/api/governance/virtual-keys/{key}/rotate")
    admin.put("/api/budgets", json={"project": "reports", "key": key, "period": "day", "max_limit": "5"})
    admin.put("/api/accounts/local/env", json={"weight": 2})
    admin.post("/api/prices", json={"provider": "local", "model": "m", "input": "1"})
    admin.delete(f"/api/governance/virtual-keys/{key}")
    admin.delete("/api/projects/reports")

    acts = [event for event in listed(admin, "?order=asc") if event["source"] == "api"]
    assert [event["operation"] for event in acts] == [
        "project_create",
        "key_create",
        "key_update",
        "key_rotate",
        "budget_set",
        "account_change",
        "price_set",
        "key_revoke",
        "project_archive",
    ]
    assert {event["actor"] for event in acts} == {admin.key.split("-")[2]}
    of_key = [event["operation"] for event in acts if event["virtual_key"] == key]
    assert of_key == ["key_create", "key_update", "key_rotate", "budget_set", "key_revoke"]


def test_what_is_refused_to_an_admin_is_an_event(admin: KeyClient) -> None:
    refused = admin.put("/api/projects/nope", json={"description": "x"})
    (event,) = listed(admin, "?outcome=refused")

    assert (event["operation"], event["status_code"], event["object_id"]) == ("project_change", 404, "nope")
    assert (event["actor"], event["request_id"]) == (admin.key.split("-")[2], refused.headers["x-request-id"])
    assert event["detail"]["code"] == "not_found"


def test_a_member_who_is_turned_away_is_an_event(admin: KeyClient, client: KeyClient) -> None:
    assert client.get("/api/projects").status_code == 403
    (event,) = listed(admin, "?outcome=refused")
    assert (event["project"], event["actor"], event["status_code"]) == ("alpha", client.key.split("-")[2], 403)


def test_what_a_caller_writes_tells_who_it_was(admin: KeyClient, client: KeyClient) -> None:
    made = client.post("/v1/containers", json={"name": "c"})
    (event,) = listed(admin, "?operation=container_create")
    assert (event["actor"], event["virtual_key"]) == (client.key.split("-")[2],) * 2
    assert (event["object_id"], event["address"], event["project"]) == (made.json["id"], "127.0.0.1", "alpha")


def test_the_log_line_of_a_request_names_the_actor(environment: dict[str, str], gateway: Gateway) -> None:
    script = (
        "import sys\n"
        "from app.settings import from_environment\n"
        "from app.wiring import build_gateway, create_app\n"
        "client = create_app(gateway=build_gateway(from_environment())).test_client()\n"
        "client.get('/api/projects', headers={'Authorization': 'Bearer ' + sys.argv[1]})\n"
    )
    key = keys.create(gateway, project="ops", name="", role="admin")
    told = subprocess.run(
        [sys.executable, "-c", script, key.key],
        env={"PATH": os.environ["PATH"], **environment, "BATCHGATE_LOG_LEVEL": "info", "BATCHGATE_LOG_FORMAT": "json"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stderr
    (line,) = [json.loads(text) for text in told.splitlines() if '"project_list"' in text]
    assert (line["actor"], line["status"]) == (key.public_id, 200)
    assert key.key not in told


def test_pages_by_id_hold_together_in_both_directions(admin: KeyClient, gateway: Gateway) -> None:
    for number in range(5):
        record(gateway, str(number))
    query = "?operation=test&limit=2"
    first = admin.get(f"/api/events{query}").json
    second = admin.get(f"/api/events{query}&after={first['last_id']}").json
    third = admin.get(f"/api/events{query}&after={second['last_id']}").json

    assert [event["object_id"] for page in (first, second, third) for event in page["data"]] == list("43210")
    assert [page["has_more"] for page in (first, second, third)] == [True, True, False]
    onwards = listed(admin, f"?operation=test&order=asc&after={first['data'][1]['id']}")
    assert [event["object_id"] for event in onwards] == ["4"]


def test_filters_go_together(admin: KeyClient, client: KeyClient) -> None:
    client.post("/v1/containers", json={"name": "c"})
    client.post("/v1/containers", json={})
    admin.post("/api/projects", json={"name": "reports"})

    assert len(listed(admin, "?project=alpha&operation=container_create")) == 2
    (refused,) = listed(admin, "?project=alpha&operation=container_create&outcome=refused")
    assert refused["detail"]["param"] == "name"
    assert listed(admin, "?project=nope") == []
    assert [event["operation"] for event in listed(admin, "?project=reports")] == ["project_create"]


def test_since_is_an_instant(admin: KeyClient, gateway: Gateway) -> None:
    day = 86_400_000
    for number in range(1, 40):  # a clock that went back now and then
        record(gateway, str(number), at=number * day - (5000 if number % 3 == 0 else 0))
    found = listed(admin, "?since=1970-01-21&operation=test&order=asc")
    assert [event["object_id"] for event in found] == [str(number) for number in range(20, 40)]
    assert listed(admin, "?since=1970-01-21T00:00:01Z&operation=test&order=asc")[0]["object_id"] == "21"
    assert listed(admin, "?since=2099-01-01") == []


WRONG_WITH_A_QUERY: list[tuple[Any, ...]] = [
    ("limit=0", "limit"),
    ("limit=1001", "limit"),
    ("after=x", "after"),
    ("after=-1", "after"),
    ("after=99999999999999999999", "after"),
    ("since=yesterday", "since"),
    ("order=up", "order"),
    ("opration=x", "opration"),
    ("project=%00", "project"),
]


def test_what_is_wrong_with_a_query_is_named(admin: KeyClient) -> None:
    for query, param in WRONG_WITH_A_QUERY:
        answer = admin.get(f"/api/events?{query}")
        assert (answer.status_code, answer.json["error"]["param"]) == (400, param)


def test_a_tail_begins_with_the_newest_and_goes_on_with_what_comes(gateway: Gateway) -> None:
    for number in range(5):
        record(gateway, str(number))
    tail = Tail(gateway, Filters())
    assert objects(tail.begin(2)) == ["3", "4"]
    assert tail.poll() == []
    record(gateway, "5")
    record(gateway, "6")
    assert objects(tail.poll()) == ["5", "6"]
    assert tail.poll() == []


def test_a_tail_of_an_empty_store_begins_with_nothing(gateway: Gateway) -> None:
    tail = Tail(gateway, Filters(operation="test"))
    assert tail.begin(10) == []
    record(gateway, "a")
    assert objects(tail.poll()) == ["a"]


def test_a_tail_reads_more_than_a_slice_at_once(gateway: Gateway) -> None:
    tail = Tail(gateway, Filters(operation="test"))
    tail.begin(0)
    many = browse.SLICE * 2 + 3
    with gateway.database.write() as connection:
        for number in range(many):
            event_record.record_act(connection, operation="test" if number % 2 else "other", object_id=str(number))
    assert objects(tail.poll()) == [str(number) for number in range(many) if number % 2]


class Late:
    """Transactions that have taken ids for their events, and commit when they are told to."""

    def __init__(self, gateway: Gateway) -> None:
        if gateway.database.dialect == "sqlite":
            pytest.skip("SQLite's writers go one after the other: ids are committed in order")
        self._gateway = gateway
        self._open: list[Any] = []

    def record(self, name: str) -> Any:
        """An event that is not committed yet."""
        connection = self._gateway.database.writers.connect()
        transaction = connection.begin()
        event_record.record_act(connection, operation="test", object_id=name)
        self._open.append(connection)
        return transaction

    def close(self) -> None:
        for connection in self._open:
            connection.close()


@pytest.fixture
def late(gateway: Gateway) -> Any:
    """Transactions that commit later."""
    made = Late(gateway)
    yield made
    made.close()


def test_a_smaller_id_that_is_committed_later_is_not_missed(gateway: Gateway, late: Late) -> None:
    record(gateway, "before")
    tail = Tail(gateway, Filters())
    slow, slower = late.record("slow"), late.record("slower")
    record(gateway, "fast")
    assert objects(tail.begin(10)) == ["before", "fast"], "the hole is below what the tail began with"
    slow.commit()
    assert objects(tail.poll()) == ["slow"]
    slowest = late.record("slowest")
    record(gateway, "after")
    assert objects(tail.poll()) == ["after"]
    slowest.commit()
    slower.commit()
    assert objects(tail.poll()) == ["slower", "slowest"]
    assert tail.poll() == []


def test_an_id_that_never_comes_is_given_up(gateway: Gateway, late: Late) -> None:
    now = [0.0]
    tail = Tail(gateway, Filters(), monotonic=lambda: now[0])
    tail.begin(0)
    gone, slow = late.record("gone"), late.record("slow")
    record(gateway, "fast")
    assert objects(tail.poll()) == ["fast"]
    gone.rollback()
    now[0] = browse.PATIENCE_S - 1
    slow.commit()
    assert objects(tail.poll()) == ["slow"]
    now[0] = browse.PATIENCE_S + 1
    assert tail.poll() == []
    assert tail.waiting == 0


def test_a_tail_of_many_at_once_has_each_event_once(gateway: Gateway) -> None:
    import threading

    tail = Tail(gateway, Filters(operation="test"))
    tail.begin(0)

    def write(name: str) -> None:
        for number in range(20):
            record(gateway, f"{name}{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    found: list[str | None] = []

    def look() -> bool:
        found.extend(objects(tail.poll()))
        return len(found) >= 80

    until(look)
    for thread in threads:
        thread.join()
    assert tail.poll() == []
    assert sorted(str(name) for name in found) == sorted(f"{name}{number}" for name in "abcd" for number in range(20))


def test_events_are_shown_at_the_command_line(run: Run, gateway: Gateway, client: KeyClient) -> None:
    client.post("/v1/containers", json={})
    record(gateway, "a\x1b[31mb")
    told = run("events", "tail", "--json")
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert [row["operation"] for row in rows] == ["key_create", "container_create", "test"]
    assert rows[1]["actor"] == client.key.split("-")[2]

    text = run("events", "tail", "-n", "2").stdout
    assert "\x1b" not in text
    assert re.search(r"refused  container_create  by [0-9a-f]{16}  in alpha  from 127\.0\.0\.1  400", text)
    refused = run("events", "tail", "--outcome", "refused", "--project", "alpha", "--since", "1h").stdout
    assert len(refused.splitlines()) == 1
    assert run("events", "tail", "--since", "later").exit_code == 2


def test_follow_prints_what_comes_until_it_is_interrupted(environment: dict[str, str], gateway: Gateway) -> None:
    record(gateway, "old")
    command = [sys.executable, "-m", "app.cli", "events", "tail", "-f", "-n", "1", "--json", "--every", "0.01"]
    full = {"PATH": os.environ["PATH"], **environment}

    def obey_interrupts() -> None:  # a shell that runs the tests in the background lets them ignore SIGINT
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command, env=full, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=obey_interrupts
    ) as process:
        assert process.stdout is not None

        def line() -> Any:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], 30)
            assert ready
            return json.loads(process.stdout.readline())["object_id"]

        assert line() == "old"
        for name in ("new", "newer"):
            record(gateway, name)
            assert line() == name
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_nothing_edits_events() -> None:
    """No statement of the code changes an event, and only retention removes any: the oldest, whole ones."""
    pattern = re.compile(
        r"(update|delete)\((tables\.)?events\b|(UPDATE|DELETE FROM) events|\bevents\.(update|delete)\("
    )
    found = [
        (str(path.relative_to(ROOT)), match[0])
        for path in sorted((ROOT / "app").rglob("*.py"))
        for match in pattern.finditer(path.read_text())
    ]
    assert found == [("app/data/audit/events.py", "delete(events")], "retention, in `drop`"
    assert pattern.search("connection.execute(delete(events).where(x))"), "the pattern sees what it is to see"
    assert str(delete(tables.events)).startswith("DELETE FROM events")


def test_no_secret_is_in_an_event(admin: KeyClient, gateway: Gateway) -> None:
    key = admin.post("/api/governance/virtual-keys", json={"name": "k", "project": "ops"}).json
    holder = client_of(gateway, key["value"])
    holder.post("/v1/containers", json={"name": key["value"]})
    holder.get("/api/events")
    text = admin.get("/api/events").text
    assert key["value"].split("-", 3)[3] not in text
