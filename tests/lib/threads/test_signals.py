"""Signals reach a process whatever lock its main thread holds."""

import signal
import subprocess
import sys

SCRIPT = """
import os, signal, sys, threading, time
from app.lib.threads import signals

lock, first, second = threading.Lock(), threading.Event(), threading.Event()

def act(event):
    with lock:  # as an Event does, which the main thread may be waiting for
        event.set()

signals.handle((signal.SIGTERM, signal.SIGINT), lambda: act(first), lambda: act(second))
with lock:
    os.kill(os.getpid(), signal.SIGTERM)
    assert not first.wait(0.05)
assert first.wait(20) and not second.is_set()
os.kill(os.getpid(), signal.SIGINT)
assert second.wait(20)
print("both", flush=True)
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait(20)
"""


def test_acts_run_one_after_the_other_and_take_locks_that_the_main_thread_holds() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)

    assert (ran.stdout, ran.stderr) == ("both\n", "")
    assert ran.returncode == 128 + signal.SIGTERM  # one signal more than there are acts
