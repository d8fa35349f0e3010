"""Follows a batch until it ends, with a progress bar on a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from app.cli.batch_run.http import AwayError, Gateway
from app.lib.states import TERMINAL

FIRST_POLL_S, POLL_GROWTH, MAX_POLL_S = 0.3, 1.3, 5.0
# How long the gateway may be unreachable: longer than a deployment takes.
MAX_AWAY_S = 120.0
# After so many polls without progress (a few seconds) it is asked whether a worker runs.
STILL_POLLS = 6
NO_WORKER_S = 60.0
SMALL_UPLOAD_BYTES = 2**20

Sleep = Callable[[float], None]


class Progress:
    """Progress bars on standard error."""

    def __init__(self, *, enabled: bool) -> None:
        self._console = Console(stderr=True)
        self._enabled = enabled and self._console.is_terminal
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    @contextmanager
    def upload(self, size_bytes: int) -> Iterator[Callable[[int], None]]:
        """Yields a function to call with the number of bytes sent. Small files get no bar."""
        if not self._enabled or size_bytes < SMALL_UPLOAD_BYTES:
            yield lambda _count: None
            return
        columns = (TextColumn("uploading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Bar(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task("upload", total=size_bytes)
            yield lambda count: bar.advance(task, count)

    def show(self, batch: dict[str, Any]) -> None:
        """Shows the current state of the batch."""
        if not self._enabled:
            return
        if self._bar is None:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            failed = TextColumn("[red]{task.fields[failed]}")
            self._bar = Bar(*columns, failed, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
            self._task = self._bar.add_task(batch["status"], total=None, failed="")
            self._bar.start()
        counts = batch["request_counts"]
        total, failed_lines = counts["total"], counts["failed"]
        if self._task is not None:
            self._bar.update(
                self._task,
                description=batch["status"],
                completed=counts["completed"] + failed_lines,
                total=total or None,
                failed=f"{failed_lines} failed" if failed_lines else "",
            )

    def close(self) -> None:
        """Stops the bar, leaving its last state on the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _Waits:
    """Says on standard error why a batch does not move, once for each reason."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._seen: object = None
        self._still = 0
        self._said: set[str] = set()

    def look(self, batch: dict[str, Any]) -> None:
        counts = batch["request_counts"]
        seen = (batch["status"], counts["completed"], counts["failed"])
        self._still = self._still + 1 if seen == self._seen else 0
        self._seen = seen
        waiting_on = batch.get("waiting_on")
        if isinstance(waiting_on, dict) and waiting_on.get("message"):
            self._say(str(waiting_on["message"]))
        elif self._still == STILL_POLLS and batch["status"] not in TERMINAL:
            seconds = self._gateway.seconds_without_worker()
            if seconds is not None and seconds > NO_WORKER_S:
                self._say("No worker is running, so the batch waits. Start one with `batchgate worker`.")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            click.echo(text, err=True)


def watch(gateway: Gateway, batch_id: str, *, progress: Progress, sleep: Sleep = time.sleep) -> dict[str, Any]:
    """Waits until the batch ends and returns it. Raises Refused, or AwayError when the gateway stays unreachable."""
    wait_s, away_since, waits = FIRST_POLL_S, None, _Waits(gateway)
    done = -1
    try:
        while True:
            try:
                batch = gateway.batch(batch_id)
            except AwayError as error:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > MAX_AWAY_S:
                    raise
                sleep(max(error.retry_after_s, MAX_POLL_S))
                continue
            away_since = None
            progress.show(batch)
            waits.look(batch)
            if batch["status"] in TERMINAL:
                return batch
            counts = batch["request_counts"]
            now_done = counts["completed"] + counts["failed"]
            # Polls grow rarer, so short batches are reported soon and long ones cause few requests.
            wait_s = min(wait_s * POLL_GROWTH, MAX_POLL_S if now_done == done else MAX_POLL_S / 2)
            done = now_done
            sleep(wait_s)
    finally:
        progress.close()
