"""`batchgate worker`: a process that runs batches."""

import signal
import time
from types import FrameType
from typing import NoReturn

import click

from app import logs, migrate
from app.cli.shared import context
from app.settings import Settings

LOOK_AGAIN_S = 1.0


@click.command()
def worker() -> None:
    """Run batches until SIGTERM or Ctrl-C; start as many as you like.

    At the first signal it takes no new lines and waits for those in flight; a second one ends it at
    once. Nothing is lost either way: other workers take over what was not written down.

    \b
    Example:
      BATCHGATE_WORKER_CONCURRENCY=128 batchgate worker
    """
    settings = context.settings()
    with context.told():
        _wait_for_store(settings)
        from app.worker import run

        try:
            status = run(settings)
        except ValueError as error:
            raise context.Refused(str(error)) from error
    raise SystemExit(status)


def _wait_for_store(settings: Settings) -> None:
    """Wait while another process migrates the store, as at a deployment or under honcho."""
    # Before the engine sets its own handlers, a signal simply ends the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    logs.configure(settings)
    told = False
    while context.is_absent(settings) or migrate.pending(settings):
        if not told:
            logs.get_logger().warning("worker.waiting", reason="The store is not up to date: `batchgate db upgrade`.")
            told = True
        time.sleep(LOOK_AGAIN_S)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
