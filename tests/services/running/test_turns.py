"""Batches are planned and finalised in turns: a slice of time each, projects in turn, small ones first."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.blobs import BlobError
from app.blobs.local import LocalBlobs
from app.data.tables import batch_lines, batch_segments, batches, files
from app.data.tables import blobs as blobs_table
from app.engine.outcomes import Result
from app.engine.run import Segment
from app.engine.work import StoreAwayError
from app.lib.clock import Clock
from app.services.gateway import Gateway
from app.services.running.surrender import MAX_ATTEMPTS
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.support import stored
from tests.support.batches import chat_line, create, jsonl, read, retrieve
from tests.support.waiting import until

# Several buffers of the blob store: planning may be put aside after each.
LINES = 2500
HUGE = jsonl(chat_line(f"c{number}", "x" * 1500) for number in range(LINES))


class HastyClock(Clock):
    """A clock by which every slice of time is over as soon as one looks."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 1.0
        return self._now


class StillClock(Clock):
    """A clock by which no slice of time ever ends."""

    def monotonic(self) -> float:
        return 0.0


class WatchedBlobs(LocalBlobs):
    """The gateway's store, which calls `on_read` before each piece that it reads."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(stored.local(gateway).root)
        self.on_read: Any = lambda: None

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        for data in super().stream(key, offset=offset, length=length):
            self.on_read()
            yield data


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """No lease ends by itself, however busy the machine is."""
    return {**environment, "BATCHGATE_LEASE_SECONDS": "600", "BATCHGATE_HEARTBEAT_SECONDS": "60"}


@pytest.fixture
def gateway(gateway: Gateway) -> Gateway:
    """Every batch is done in one turn, however slow the machine is; with `hasty`, in as many as possible."""
    return replace(gateway, clock=StillClock())


@pytest.fixture
def hasty(gateway: Gateway) -> Gateway:
    return replace(gateway, clock=HastyClock())


Begin = Callable[..., BatchWork]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Makes a worker, which gives back what it has begun at the end."""
    made: list[BatchWork] = []

    def worker(gateway: Gateway, name: str = "worker") -> BatchWork:
        made.append(BatchWork(gateway, worker=name))
        return made[-1]

    yield worker
    for work in made:
        work.close()


@pytest.fixture
def blobs(gateway: Gateway) -> WatchedBlobs:
    return WatchedBlobs(gateway)


@pytest.fixture
def watched(gateway: Gateway, blobs: WatchedBlobs) -> Gateway:
    return replace(gateway, blobs=blobs)


def small(client: KeyClient) -> str:
    """The id of a new batch of one line."""
    return str(create(client, jsonl([chat_line("a")]))["id"])


def huge(client: KeyClient) -> str:
    """The id of a new batch that takes several turns."""
    return str(create(client, HUGE)["id"])


def status(client: KeyClient, batch: str) -> str:
    return str(retrieve(client, batch)["status"])


def lease_until(gateway: Gateway) -> int:
    with gateway.database.read() as connection:
        return int(connection.execute(select(batches.c.lease_until)).scalar_one())


def count_lines(gateway: Gateway) -> int:
    with gateway.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(batch_lines)).scalar_one())


def claimed(work: BatchWork) -> list[Segment]:
    """All segments that the worker gets."""
    found = []
    while one := work.claim(skip=()):
        found.append(one[1])
    return found


def answer(work: BatchWork, segment: Segment) -> list[Result]:
    """Let each line of a segment go well."""
    results = [Result(line=line, succeeded=True, data=b"{}\n", status_code=200) for line in segment.lines]
    assert work.flush(segment, results, (), last=True)
    return results


# What is known of an input before its batch is planned: that all of it is right, or how many lines it has, or nothing.
# Then only its first lines are read, or it is read as a whole, or its lines are written while they are read.
KNOWN = ("facts", "lines", "nothing")


def forget(gateway: Gateway, known: str = "lines") -> None:
    """Forget what is known of the inputs, but for `known`."""
    with gateway.database.write() as connection:
        if known != "facts":
            connection.execute(update(blobs_table).values(input_facts=None))
        if known == "nothing":
            connection.execute(update(files).values(lines=None))


def huge_one(hasty: Gateway, client: KeyClient, begin: Begin, known: str = "lines") -> tuple[str, BatchWork]:
    """A new batch that takes several turns, and a worker that has not begun it."""
    batch = huge(client)
    forget(hasty, known)
    return batch, begin(hasty)


def begun_one(hasty: Gateway, client: KeyClient, begin: Begin, known: str) -> tuple[str, BatchWork]:
    """As `huge_one`, begun so far that its first lines are in SQL."""
    batch, work = huge_one(hasty, client, begin, known)
    until(lambda: work.plan() and count_lines(hasty))
    return batch, work


def expire_leases(gateway: Gateway) -> None:
    with gateway.database.write() as connection:
        connection.execute(update(batches).where(batches.c.lease_until.is_not(None)).values(lease_until=0))


@pytest.mark.parametrize("known", KNOWN)
def test_a_huge_batch_is_planned_in_many_turns(hasty: Gateway, client: KeyClient, begin: Begin, known: str) -> None:
    batch, work = huge_one(hasty, client, begin, known)
    turns = 0
    while work.plan():
        turns += 1
    assert turns > 3
    assert status(client, batch) == "in_progress"
    assert count_lines(hasty) == LINES


def test_a_huge_batch_yields_to_small_ones_of_its_own_project_and_of_others(
    hasty: Gateway, client: KeyClient, other_client: KeyClient, begin: Begin
) -> None:
    first, work = huge_one(hasty, client, begin)
    assert work.plan()
    mine, theirs = small(client), small(other_client)
    for _ in range(12):
        work.plan()
    assert status(client, first) == "validating"
    assert status(client, mine) == status(other_client, theirs) == "in_progress"


def test_new_batches_do_not_starve_the_huge_one(
    hasty: Gateway, client: KeyClient, other_client: KeyClient, begin: Begin
) -> None:
    batch, work = huge_one(hasty, client, begin)
    for _ in range(40):
        small(other_client)
        work.plan()
    assert status(client, batch) == "in_progress"


def test_of_a_project_s_batches_the_smallest_is_planned_first(
    gateway: Gateway, client: KeyClient, begin: Begin
) -> None:
    large, little = huge(client), small(client)
    assert begin(gateway).plan()
    assert (status(client, large), status(client, little)) == ("validating", "in_progress")


def test_projects_take_turns_however_many_batches_one_has(
    gateway: Gateway, client: KeyClient, other_client: KeyClient, begin: Begin
) -> None:
    for _ in range(6):
        small(client)
    late = small(other_client)
    work = begin(gateway)
    for _ in range(2):
        work.plan()
    assert status(other_client, late) == "in_progress"


def test_the_heartbeat_renews_the_lease_while_the_input_is_read(
    watched: Gateway, blobs: WatchedBlobs, client: KeyClient, begin: Begin
) -> None:
    batch = str(create(client, b"\n" * 600_000 + jsonl([chat_line("a")]))["id"])  # nothing to write for a long time
    forget(watched)
    work = begin(watched)
    renewed = []

    def heartbeat() -> None:
        expire_leases(watched)
        work.renew([])
        renewed.append(lease_until(watched))

    blobs.on_read = heartbeat
    assert work.plan()
    assert len(renewed) > 1 and all(renewed)
    assert status(client, batch) == "in_progress"


@pytest.mark.parametrize("known", KNOWN[1:])
def test_a_batch_that_is_cancelled_while_it_is_planned_goes_no_further(
    hasty: Gateway, client: KeyClient, begin: Begin, known: str
) -> None:
    batch, work = huge_one(hasty, client, begin, known)
    for _ in range(8):
        assert work.plan()
    assert bool(count_lines(hasty)) is (known == "nothing")
    assert client.post(f"/v1/batches/{batch}/cancel").status_code == 200
    work.renew([])
    assert work.plan()  # it is put down
    assert not work.plan()
    while work.finalise():
        pass
    assert status(client, batch) == "cancelled"
    assert not count_lines(hasty)


@pytest.mark.parametrize("known", KNOWN[:2])
def test_the_first_lines_run_before_the_others_are_in_sql(
    hasty: Gateway, gateway: Gateway, client: KeyClient, begin: Begin, known: str
) -> None:
    batch, work = begun_one(hasty, client, begin, known)
    assert count_lines(hasty) < LINES
    assert (status(client, batch), retrieve(client, batch)["request_counts"]["total"]) == ("in_progress", LINES)
    first = claimed(work)
    assert 0 < sum(len(segment.lines) for segment in first) < LINES
    for segment in first:
        answer(work, segment)
    assert not work.finalise()  # what is sent is done, but not the batch
    work.close()
    other = begin(gateway, "other")
    while other.plan():
        pass
    assert count_lines(hasty) == LINES
    for segment in claimed(other):
        answer(other, segment)
    while other.finalise():
        pass
    over = retrieve(client, batch)
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", LINES)


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
def test_a_batch_that_ends_before_all_its_lines_are_in_sql_has_them_all_in_the_end(
    hasty: Gateway, client: KeyClient, begin: Begin, ending: str
) -> None:
    batch, work = begun_one(hasty, client, begin, "facts")
    if ending == "cancelled":
        assert client.post(f"/v1/batches/{batch}/cancel").status_code == 200
    else:
        with hasty.database.write() as connection:
            connection.execute(update(batches).values(expires_at=1))
    while work.finalise():
        pass
    assert status(client, batch) in ("cancelling", "finalizing")
    while work.plan():
        pass
    while work.finalise():
        pass
    over = retrieve(client, batch)
    assert over["status"] == ending
    assert len(read(client, over["error_file_id"])) == over["request_counts"]["total"] == LINES


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("last", [b"{not json}\n", jsonl([chat_line("c0")])], ids=("no-json", "same-id"))
def test_nothing_runs_while_a_later_line_may_be_invalid(
    hasty: Gateway, client: KeyClient, begin: Begin, last: bytes, known: str
) -> None:
    batch = str(create(client, HUGE + last)["id"])
    forget(hasty, known)
    work = begin(hasty)
    while work.plan():
        assert work.claim(skip=()) is None
    assert status(client, batch) == "failed"


def test_a_worker_that_stops_gives_back_what_it_has_begun(hasty: Gateway, client: KeyClient, begin: Begin) -> None:
    batch, work = huge_one(hasty, client, begin)
    assert work.plan()
    other = begin(hasty, "other")
    assert not other.plan()
    work.close()
    while other.plan():
        pass
    assert status(client, batch) == "in_progress"
    assert count_lines(hasty) == LINES


def test_an_outage_leaves_the_batch_to_whoever_comes_first(
    watched: Gateway, blobs: WatchedBlobs, gateway: Gateway, client: KeyClient, begin: Begin
) -> None:
    def away() -> None:
        raise BlobError("the disk is away")

    batch = small(client)
    blobs.on_read = away
    work = begin(watched)
    for _ in range(MAX_ATTEMPTS + 1):
        with pytest.raises(StoreAwayError):
            work.plan()
    assert begin(gateway, "other").plan()
    assert status(client, batch) == "in_progress"


def test_a_batch_that_cannot_be_planned_ends_with_a_reason_and_stops_no_other(
    watched: Gateway, blobs: WatchedBlobs, client: KeyClient, other_client: KeyClient, begin: Begin
) -> None:
    def broken() -> None:
        raise ValueError("a bug that this input triggers")

    batch = small(client)
    work = begin(watched)
    for _ in range(MAX_ATTEMPTS):
        blobs.on_read = broken
        assert work.plan()
        blobs.on_read = lambda: None
        fine = small(other_client)
        assert work.plan()
        assert status(other_client, fine) == "in_progress"
        expire_leases(watched)
    over = retrieve(client, batch)
    assert over["status"] == "failed"
    assert [(error["code"], bool(error["message"])) for error in over["errors"]["data"]] == [("gateway_error", True)]


def test_finalising_takes_turns_too(hasty: Gateway, client: KeyClient, other_client: KeyClient, begin: Begin) -> None:
    large, little = huge(client), small(other_client)
    work = begin(hasty)
    while work.plan():
        pass
    segment = next(each for each in claimed(work) if len(each.lines) > 1)
    answered = answer(work, segment)
    work.close()
    with hasty.database.write() as connection:
        connection.execute(update(batches).values(expires_at=1))
    expire_segments(hasty)
    until(lambda: work.finalise() and status(other_client, little) == "expired")
    assert status(client, large) == "finalizing"
    while work.finalise():
        pass
    over = retrieve(client, large)
    counts = over["request_counts"]
    assert (over["status"], counts["completed"], counts["expired"]) == ("expired", len(answered), LINES - len(answered))


def expire_segments(gateway: Gateway) -> None:
    with gateway.database.write() as connection:
        connection.execute(
            update(batch_segments).where(batch_segments.c.lease_until.is_not(None)).values(lease_until=0)
        )
