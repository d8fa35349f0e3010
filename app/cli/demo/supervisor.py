"""Runs a few processes together and relays their output."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import click

PR_SET_PDEATHSIG = 1
COLOURS = ("cyan", "magenta", "green", "yellow")


@dataclass(frozen=True, slots=True)
class Child:
    """A process to run. Processes of a higher `rank` are stopped later."""

    name: str
    command: Sequence[str]
    rank: int = 0


@dataclass(slots=True)
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    reader: threading.Thread | None = field(default=None)


class Supervisor:
    """Starts its children, prints their output, and stops them in order of rank."""

    def __init__(self, children: Sequence[Child], *, environment: Mapping[str, str]) -> None:
        # All children start before the first thread: code between fork and exec is only safe without threads.
        self._running = [_Running(child, _start(child, environment)) for child in children]
        width = max(len(child.name) for child in children)
        for running, colour in zip(self._running, COLOURS, strict=False):
            prefix = click.style(f"{running.child.name:<{width}} | ", fg=colour)
            running.reader = threading.Thread(target=_relay, args=(running.process, prefix), daemon=True)
            running.reader.start()

    def ended(self) -> tuple[str, int] | None:
        """Returns name and status of a child that has ended, or None while all run."""
        for running in self._running:
            if (status := running.process.poll()) is not None:
                return running.child.name, status
        return None

    def stop(self, *, grace_s: float, hurry: threading.Event) -> None:
        """Sends SIGTERM in order of rank, and SIGKILL to what is left after `grace_s` or once `hurry` is set."""
        for rank in sorted({running.child.rank for running in self._running}):
            group = [running for running in self._running if running.child.rank == rank]
            for running in group:
                if running.process.poll() is None:
                    running.process.terminate()
            deadline = time.monotonic() + grace_s
            while any(running.process.poll() is None for running in group):
                if time.monotonic() > deadline or hurry.is_set():
                    break
                time.sleep(0.05)
            for running in group:
                _end(running)


def _start(child: Child, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    # In a session of its own it gets no Ctrl-C from the terminal: the supervisor stops it, in order.
    return subprocess.Popen(
        child.command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """Makes the kernel stop this process when the supervisor is killed."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _relay(process: "subprocess.Popen[bytes]", prefix: str) -> None:
    if process.stdout is None:
        return
    for line in process.stdout:
        click.echo(prefix + line.decode("utf-8", "replace").rstrip("\n"))


def _end(running: _Running) -> None:
    """Kills a child that still runs, with all its descendants, and prints the rest of its output."""
    if running.process.poll() is None:
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
    if running.reader:
        running.reader.join(timeout=1)
