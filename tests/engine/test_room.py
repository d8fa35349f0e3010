"""Memory for answers: what fits is granted, one answer may be larger, the others wait."""

import threading

from app.engine.room import COPIES, Room

LIMIT = 100 * COPIES


class Runs:
    """What waits to be written."""

    def __init__(self) -> None:
        self.unwritten = 0

    def room(self) -> Room:
        return Room(limit_bytes=LIMIT, unwritten=lambda: self.unwritten)


def test_answers_that_fit_do_not_wait() -> None:
    room = Runs().room()
    with room.portion() as one, room.portion() as other:
        assert one.take(50, 0)
        assert other.take(50, 0)
        assert room.held == LIMIT
    assert room.held == 0


def test_one_answer_may_be_larger_and_only_one() -> None:
    room = Runs().room()
    with room.portion() as large:
        assert large.take(1000, 0)
        assert large.take(1000, 0)
        with room.portion() as other:
            assert not other.take(1, 0)
    with room.portion() as other:
        assert other.take(1000, 0)


def test_of_answers_that_come_in_pieces_one_always_comes_to_its_end() -> None:
    room = Runs().room()
    with room.portion() as one, room.portion() as other:
        assert one.take(50, 0)
        assert other.take(50, 0)
        assert one.take(50, 0)
        assert not other.take(50, 0)
        assert one.take(50, 0)


def test_results_that_are_not_written_yet_take_room() -> None:
    runs = Runs()
    room = runs.room()
    runs.unwritten = LIMIT + 1
    with room.portion() as portion:
        assert not portion.take(1, 0)
        runs.unwritten = 0
        assert portion.take(1, 0)


def test_who_waits_is_woken() -> None:
    room = Runs().room()
    granted = threading.Event()

    def wait() -> None:
        with room.portion() as other:
            if other.take(200, 20):
                granted.set()

    with room.portion() as large:
        assert large.take(200, 0)
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not granted.is_set()
    waiting.join(20)
    assert granted.is_set()


def test_never_more_than_the_limit_and_one_answer_whatever_comes() -> None:
    room = Runs().room()
    most = []

    def read(sizes: list[int]) -> None:
        with room.portion() as portion:
            for size in sizes:
                assert portion.take(size, 60)
                most.append(room.held)

    threads = [threading.Thread(target=read, args=([10, 20 + n, 40, 30],)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 24 * 4
    assert max(most) <= LIMIT + (10 + 44 + 40 + 30) * COPIES
    assert room.held == 0


def test_requests_borrow_beside_the_answers_and_one_may_take_more() -> None:
    room = Room(limit_bytes=300, unwritten=lambda: 0)
    with room.portion() as first, room.portion() as second, room.portion() as third:
        assert first.take(50, 0) and first.borrow(90)
        assert second.borrow(500)  # the one that may
        assert not third.borrow(20)
        assert room.held == 150 + 270 + 1500
        assert third.take(40, 0)  # answers have room of their own
    assert room.held == 0
    with room.portion() as last:
        assert last.borrow(600)
