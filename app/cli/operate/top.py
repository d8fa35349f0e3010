"""`batchgate top`: a live view of what the gateway does."""

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

import click

from app.cli.shared import context
from app.cli.shared.progress import time_left
from app.cli.shared.table import columns
from app.cli.shared.text import plain_json, shortened
from app.lib import json
from app.services import now
from app.services.now import Lane, Now, Running, Worker

MAX_TEXT = 60
# To the top left, and what is below the cursor, or to its right, is erased.
HOME, ERASE_BELOW, ERASE_RIGHT = "\x1b[H", "\x1b[J", "\x1b[K"
CLEAR = "\x1b[2J"
LANES = ("ACCOUNT", "MODEL", "BATCHES", "WAITING", "IN FLIGHT", "LIMIT", "OLDEST", "PAUSED FOR", "REFUSAL")
BATCHES = ("BATCH", "PROJECT", "MODEL", "STATUS", "DONE", "FAILED", "LINES/S", "LEFT", "DEADLINE", "WAITS FOR")


@click.command()
@click.option("--once", is_flag=True, help="Print the state once, and end.")
@click.option("--interval", type=click.FloatRange(0.5, 3600), default=2.0, show_default=True, help="Seconds between.")
@click.option("--batches", type=click.IntRange(0, 1000), default=20, show_default=True, help="Batches to show.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, each time on a line of its own.")
def top(once: bool, interval: float, batches: int, as_json: bool) -> None:
    """Show what the gateway does: accounts and models, workers, and the batches whose deadlines come first.

    Waiting lines, those in flight, ceilings, and pauses with the provider's words; on a terminal the view changes in
    place until Ctrl-C. It reads the store, so it also works while web and workers do not.

    \b
    Examples:
      batchgate top
      batchgate top --once --json
    """
    with context.gateway() as gateway:
        in_place = sys.stdout.isatty() and not as_json and not once
        if in_place:
            click.echo(CLEAR, nl=False)
        try:
            while True:
                with context.plain_errors():
                    found = now.look(gateway, batches=batches)
                _show(found, as_json=as_json, in_place=in_place)
                if once:
                    return
                time.sleep(interval)
        except KeyboardInterrupt:
            if in_place:
                click.echo()


def _show(found: Now, *, as_json: bool, in_place: bool) -> None:
    if as_json:
        click.echo(plain_json(json.dumps(asdict(found))))
        return
    lines = list(_lines(found))
    if not in_place:
        click.echo("\n".join(lines) + "\n")
        return
    width, height = shutil.get_terminal_size()
    shown = [line[:width] + ERASE_RIGHT for line in lines[: max(1, height - 1)]]
    click.echo(HOME + "\n".join(shown) + ERASE_BELOW, nl=False)


def _lines(found: Now) -> Iterator[str]:
    alive = [worker for worker in found.workers if worker.is_alive]
    oldest = f", the oldest for {_ago(found, found.oldest_at)}" if found.oldest_at is not None else ""
    yield f"{found.running:,} batches, {found.waiting:,} lines wait{oldest}, {found.in_flight:,} in flight"
    yield f"{len(alive)} workers alive: {', '.join(_worker(worker) for worker in alive) or 'start `batchgate worker`'}"
    for worker in alive:
        if worker.fault:
            yield f"  {_worker(worker)} cannot work: {shortened(worker.fault, MAX_TEXT)}"
    if found.lanes:
        yield ""
        yield from columns(LANES, [_lane(found, lane) for lane in found.lanes]).splitlines()
    if found.batches:
        yield ""
        yield from columns(BATCHES, [_batch(found, batch) for batch in found.batches]).splitlines()


def _lane(found: Now, lane: Lane) -> list[object]:
    limit = f"{lane.learned_limit}/{lane.ceiling}" if lane.ceiling is not None else None
    paused = None
    if lane.paused_until is not None:
        left_ms = lane.paused_until - found.at
        paused = time_left(left_ms / 1000) if left_ms > 0 else "a probe"
    return [
        lane.account,
        lane.model,
        lane.batches,
        f"{lane.waiting:,}",
        lane.in_flight,
        limit,
        _ago(found, lane.oldest_at),
        paused,
        shortened(lane.pause, MAX_TEXT) if lane.pause else None,
    ]


def _batch(found: Now, batch: Running) -> list[object]:
    done = batch.lines_completed + batch.lines_failed
    return [
        batch.batch,
        batch.project,
        batch.model,
        batch.status,
        f"{done:,}/{batch.lines_total:,}",
        batch.lines_failed or None,
        f"{batch.lines_per_second:,.1f}" if batch.lines_per_second else None,
        time_left((batch.eta_ms - found.at) / 1000) if batch.eta_ms else None,
        time_left((batch.expires_at - found.at) / 1000) if batch.expires_at > found.at else "over",
        batch.waits_for,
    ]


def _ago(found: Now, at_ms: int | None) -> str | None:
    return None if at_ms is None else time_left((found.at - at_ms) / 1000)


def _worker(worker: Worker) -> str:
    return f"{worker.host}:{worker.pid}"
