"""`batchgate release`: the Procfile's `release` process."""

import os
import signal

import click

from app.cli.shared import context

STOP = {signal.SIGTERM, signal.SIGINT}


@click.command()
def release() -> None:
    """Migrate the store, as `db upgrade` does; what a Procfile runs before the new code.

    Heroku waits for it to end. honcho starts it beside the others and ends them all when one ends, so
    under honcho (which sets HONCHO_PROCESS_NAME) it then waits to be stopped.
    """
    settings = context.settings(quiet=True)
    with context.told():
        context.upgrade(settings)
    click.echo("The store is up to date.", err=True)
    if "HONCHO_PROCESS_NAME" in os.environ:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        signal.sigwait(STOP)
