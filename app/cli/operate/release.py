"""`batchgate release`: the `release` process of the Procfile."""

import os
import signal

import click

from app.cli.shared import context
from app.services.upkeep import preflight

STOP = {signal.SIGTERM, signal.SIGINT}


@click.command()
def release() -> None:
    """Migrate the store, and check all that web and worker will need.

    The check covers the settings, the key ring, the blob store and the packages of configured accounts. The exit status
    is 2 if something is missing, so that the release stops before its processes fail.

    This is the `release` process of the Procfile. Heroku waits until it ends. honcho instead runs it beside the
    other processes and stops them all when one ends, so under honcho (which sets HONCHO_PROCESS_NAME) the command
    waits until it is stopped.
    """
    settings = context.settings(quiet=True)
    with context.plain_errors():
        context.upgrade(settings)
        with context.gateway() as gateway:
            problems, unusable = preflight.problems(gateway), preflight.unusable(gateway)
    if problems:
        raise context.Refused("\n".join(problems))
    for label in unusable:
        click.echo(f"Warning: account {label} cannot be used. Replace its key, or remove it.", err=True)
    click.echo("The store is up to date, and web and worker can start.", err=True)
    if "HONCHO_PROCESS_NAME" in os.environ:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        signal.sigwait(STOP)
