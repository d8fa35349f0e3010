"""Follows a batch until it ends."""

import time
from collections.abc import Callable
from typing import Any

import click

from app.cli.client.http import AwayError, Gateway, Sleep, segment
from app.cli.client.options import Client, as_json, show_json
from app.cli.shared.progress import Progress, Rate, time_left
from app.cli.shared.text import plain
from app.lib.states import TERMINAL

INTERRUPTED = 130
FIRST_POLL_S, POLL_GROWTH, MAX_POLL_S = 0.3, 1.3, 5.0
# How long the gateway may be unreachable: longer than a deployment takes.
MAX_AWAY_S = 120.0
# So many polls without progress are a few seconds.
STILL_POLLS = 6
# What a batch goes through that is well: said of one that does not move for a while.
USUAL = ("planning", "queue", "permits", "concurrency", "provider", "finalizing")
# How the command ends, by how the batch did: docs/cli.md lists them.
INCOMPLETE = 1
STATUSES = {"completed": 0, "failed": 3, "expired": 4, "cancelled": 5}

Look = Callable[[dict[str, Any]], None]


@click.command(cls=Client)
@click.argument("batch")
@as_json
def follow(batch: str, as_json: bool, gateway: Gateway) -> None:
    """Follow BATCH until it ends: counts, rate, time left, and why it waits.

    On a terminal one line changes in place; elsewhere a line is printed when something is new. With --json each new
    state of the batch object is a line. Ctrl-C leaves the batch alone.

    Exit status: 0 if every line has a response, 1 if the batch is completed and lines failed, 3 if it failed, 4 if it
    expired, 5 if it was cancelled, 2 if it cannot be followed, 130 after Ctrl-C.

    \b
    Examples:
      batchgate batches watch batch_00061f...
      batchgate batches watch batch_00061f... && batchgate batches results batch_00061f... --output answers.jsonl
    """
    progress = Progress(is_shown=not as_json, err=False)
    try:
        ended = watch(gateway, batch, progress=progress, look=_each_new() if as_json else None)
    except KeyboardInterrupt:
        progress.end()
        click.echo(f"\nThe batch continues. Go on with:\n  batchgate batches watch {plain(batch)}", err=True)
        raise SystemExit(INTERRUPTED) from None
    if not as_json:
        click.echo(f"{plain(ended['id'])} {state(ended)}")
    raise SystemExit(exit_status(ended))


def exit_status(batch: dict[str, Any]) -> int:
    """How a command ends that followed this batch."""
    counts = batch["request_counts"]
    if batch["status"] == "completed" and counts["completed"] != counts["total"]:
        return INCOMPLETE
    return STATUSES[batch["status"]]


def state(batch: dict[str, Any], rate: Rate | None = None) -> str:
    """Status and counts in one line, with rate and time left while it runs."""
    counts = batch["request_counts"]
    total, failed = counts["total"], counts["failed"]
    done = counts["completed"] + failed
    waits = (batch.get("waiting_on") or {}).get("reason")
    if not total:
        return f"{batch['status']}{f', waits: {waits}' if waits else ''}"
    parts = [f"{batch['status']}: {done:,} of {total:,} lines ({100 * done // total}%)"]
    parts += [f"{failed:,} failed"] if failed else []
    per_second = _speed(batch, rate) if batch["status"] not in TERMINAL else None
    if per_second:
        parts.append(f"{per_second:,.1f} lines/s" if per_second >= 1 else f"{per_second * 60:,.1f} lines/min")
        parts.append(f"{time_left((total - done) / per_second)} left")
    parts += [f"waits: {waits}"] if waits and waits != "provider" else []
    return ", ".join(parts)


def _speed(batch: dict[str, Any], rate: Rate | None) -> float | None:
    """Lines a second: as the gateway says, or as it was seen here."""
    said = (batch.get("progress") or {}).get("lines_per_second")
    if isinstance(said, int | float) and said > 0:
        return float(said)
    return rate.per_second() if rate else None


class _Waits:
    """Says why a batch does not move, once for each reason."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seen: object = None
        self._still = 0
        self._said: set[str] = set()

    def look(self, batch: dict[str, Any]) -> None:
        counts = batch["request_counts"]
        seen = (batch["status"], counts["completed"], counts["failed"])
        self._still = self._still + 1 if seen == self._seen else 0
        self._seen = seen
        waiting_on = batch.get("waiting_on")
        waits = waiting_on if isinstance(waiting_on, dict) else {}
        if waits.get("message") and (waits.get("reason") not in USUAL or self._still >= STILL_POLLS):
            self._say(str(waits["message"]))

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._progress.note(text)


def watch(
    gateway: Gateway, batch_id: str, *, progress: Progress, sleep: Sleep = time.sleep, look: Look | None = None
) -> dict[str, Any]:
    """Waits until the batch ends and returns it; `look` gets each state of it.

    Raises Refused, or AwayError when the gateway stays unreachable.
    """
    wait_s, away_since = FIRST_POLL_S, None
    waits, rate, before = _Waits(progress), Rate(), ("", -1)
    path = f"/batches/{segment(batch_id)}"
    try:
        while True:
            try:
                batch = gateway.call("GET", path)
            except AwayError as error:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > MAX_AWAY_S:
                    raise
                sleep(max(error.retry_after_s, MAX_POLL_S))
                continue
            away_since, counts = None, batch["request_counts"]
            done = counts["completed"] + counts["failed"]
            rate.saw(done)
            progress.show(state(batch, rate), is_new=batch["status"] != before[0])
            (look or waits.look)(batch)
            if batch["status"] in TERMINAL:
                return batch
            # Polls grow rarer, so short batches are reported soon and long ones cause few requests.
            wait_s = min(wait_s * POLL_GROWTH, MAX_POLL_S if done == before[1] else MAX_POLL_S / 2)
            before = (batch["status"], done)
            sleep(wait_s)
    finally:
        progress.end()


def _each_new() -> Look:
    """Prints batch objects that differ from the one before."""
    printed: list[dict[str, Any]] = [{}]

    def look(batch: dict[str, Any]) -> None:
        if batch != printed[0]:
            printed[0] = batch
            show_json(batch)

    return look
