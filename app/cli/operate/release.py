"""`batchgate release`: the `release` process of the Procfile."""

import os
import signal

import click

from app.cli.shared import context

STOP = {signal.SIGTERM, signal.SIGINT}


@click.command()
def release() -> None:
    """Migrate the store before a release starts.

    This is the `release` process of the Procfile. Heroku waits until it ends. honcho instead runs it beside the
    other processes and stops them all when one ends, so under honcho (which sets HONCHO_PROCESS_NAME) the command
    waits until it is stopped.
    """
    settings = context.settings(quiet=True)
    with context.plain_errors():
        context.upgrade(settings)
    click.echo("The store is up to date.", err=True)
    if "HONCHO_PROCESS_NAME" in os.environ:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        signal.sigwait(STOP)
