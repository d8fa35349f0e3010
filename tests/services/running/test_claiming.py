"""Which segment a worker gets: that of the project with the fewest on lease, and there the earliest deadline first."""

from sqlalchemy import update

from app.data.tables import batch_segments, batches
from app.engine.work import Bar, Lane, Stops
from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.support.batches import chat_line, create, jsonl, retrieve
from tests.support.working import settle, step

# Enough for several segments each.
LINES = 40


def test_projects_take_turns_whoever_came_first(gateway: Gateway, client: KeyClient, other_client: KeyClient) -> None:
    for sender in (client, client, other_client):
        create(sender, jsonl(chat_line(str(number)) for number in range(LINES)))
    work = BatchWork(gateway, worker="worker")
    while step(work):
        pass
    claimed = [found[1].project_id for _ in range(4) if (found := work.claim(skip=()))]
    assert len(claimed) == 4
    assert claimed[0] == claimed[2] != claimed[1] == claimed[3]


def test_within_a_project_the_earliest_deadline_goes_first_and_lines_in_order(
    gateway: Gateway, client: KeyClient
) -> None:
    for _ in range(2):
        create(client, jsonl(chat_line(str(number)) for number in range(LINES)))
    work = BatchWork(gateway, worker="worker")
    while step(work):
        pass
    claimed = []
    while found := work.claim(skip=()):
        claimed.append((found[1].batch_id, found[1].lines[0].number))
    assert claimed == sorted(claimed)
    assert len({batch for batch, _ in claimed}) == 2


def test_what_is_saturated_is_left_to_others(gateway: Gateway, client: KeyClient) -> None:
    create(client, jsonl([chat_line("a")]))
    work = BatchWork(gateway, worker="worker")
    while step(work):
        pass
    found = work.claim(skip=())
    assert found is not None
    work.release(found[1])
    assert work.claim(skip=[Bar(Lane(found[1].project_id, found[0]), 0, None)]) is None
    assert work.claim(skip=[Bar(Lane(found[1].project_id + 1, found[0]), 0, None)]) is not None


def test_a_segment_whose_workers_die_runs_one_line_at_a_time(gateway: Gateway, client: KeyClient) -> None:
    create(client, jsonl([chat_line("a"), chat_line("b")]))
    settle(BatchWork(gateway, worker="planner"))
    solo = []
    for number in range(4):
        found = BatchWork(gateway, worker=f"worker-{number}").claim(skip=())
        assert found is not None
        solo.append(found[1].solo)
        with gateway.database.write() as connection:
            connection.execute(update(batch_segments).values(lease_until=0))
    assert solo == [False, False, False, True]


def test_who_holds_a_segment_hears_that_its_batch_was_cancelled(gateway: Gateway, client: KeyClient) -> None:
    batch = create(client, jsonl([chat_line("a")]))
    work = BatchWork(gateway, worker="worker")
    settle(work)
    found = work.claim(skip=())
    assert found is not None
    assert work.stops([found[1]]) == Stops(set(), set())
    assert client.post(f"/v1/batches/{batch['id']}/cancel").status_code == 200
    assert work.stops([found[1]]) == Stops(over={found[1].id}, halted=set())


def test_nothing_is_claimed_after_the_window_and_the_batch_expires(gateway: Gateway, client: KeyClient) -> None:
    batch = create(client, jsonl([chat_line("a")]))
    work = BatchWork(gateway, worker="worker")
    settle(work)
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(expires_at=1))
    assert work.claim(skip=()) is None
    while step(work):
        pass
    found = retrieve(client, batch["id"])
    assert (found["status"], found["request_counts"]["completed"]) == ("expired", 0)
