"""`batchgate worker`: runs batches."""

import signal
import time
from types import FrameType
from typing import NoReturn

import click

from app import logs, migrate
from app.cli.shared import context
from app.settings import Settings

POLL_S = 1.0


@click.command()
def worker() -> None:
    """Run batches until SIGTERM or Ctrl-C. Start as many workers as you need.

    At the first signal the worker sends no new lines and waits for those in flight. A second signal ends it
    at once. Nothing is lost either way: other workers repeat what was not saved.

    \b
    Example:
      BATCHGATE_WORKER_CONCURRENCY=128 batchgate worker
    """
    settings = context.settings()
    if settings.engine == "celery":
        raise context.Refused("BATCHGATE_ENGINE is celery: start `celery -A app.celery_worker worker` instead.")
    with context.plain_errors():
        _wait_for_store(settings)
        from app.worker import run

        try:
            status = run(settings)
        except ValueError as error:
            raise context.Refused(str(error)) from error
    raise SystemExit(status)


def _wait_for_store(settings: Settings) -> None:
    """Waits until another process has migrated the store, as at a deployment or under honcho."""
    # The engine sets its own handlers later; until then a signal simply ends the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    logs.configure(settings)
    is_logged = False
    while context.is_absent(settings) or migrate.pending(settings):
        if not is_logged:
            logs.get_logger().warning("worker.waiting", reason="The store is not up to date: `batchgate db upgrade`.")
            is_logged = True
        time.sleep(POLL_S)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
