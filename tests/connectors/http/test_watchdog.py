"""Deadlines of calls: each passes in its turn, none after it was cancelled, and a child process has its own."""

import os
import signal
import threading
import time

from app.connectors.http.watchdog import MIN_STALE, Watchdog
from tests.support.waiting import until


def test_deadlines_pass_in_their_order_whatever_the_order_they_came_in():
    watchdog, passed = Watchdog(), []
    now = time.monotonic()
    for number in (3, 1, 2):
        watchdog.start(now + number / 50, lambda number=number: passed.append(number))

    until(lambda: len(passed) == 3)
    assert passed == [1, 2, 3]


def test_one_that_was_cancelled_never_passes():
    watchdog, passed = Watchdog(), []
    now = time.monotonic()
    cancelled = watchdog.start(now + 0.02, lambda: passed.append("cancelled"))
    watchdog.start(now + 0.05, lambda: passed.append("kept"))
    watchdog.cancel(cancelled)
    watchdog.cancel(cancelled)

    until(lambda: passed)
    assert passed == ["kept"]


def test_calls_that_end_in_time_leave_nothing_behind():
    watchdog = Watchdog()
    for _ in range(20 * MIN_STALE):
        watchdog.cancel(watchdog.start(time.monotonic() + 60, lambda: None))

    assert len(watchdog._heap) <= 2 * MIN_STALE


def test_one_thread_serves_all_and_starts_with_the_first():
    watchdog = Watchdog()
    assert watchdog._thread is None
    before = threading.active_count()
    for _ in range(100):
        watchdog.start(time.monotonic() + 60, lambda: None)

    assert threading.active_count() == before + 1


def test_a_child_process_has_a_thread_of_its_own():
    watchdog = Watchdog()
    watchdog.start(time.monotonic() + 60, lambda: None)
    child = os.fork()
    if not child:
        signal.alarm(20)
        watchdog.reset()  # as `os.register_at_fork` does for the one of the process
        passed = threading.Event()
        watchdog.start(time.monotonic() + 0.01, passed.set)
        os._exit(0 if passed.wait(10) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
