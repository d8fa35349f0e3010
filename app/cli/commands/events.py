"""`batchgate events`: shows what was written or rejected, and by whom."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime

import click

from app.cli.shared import context, instants
from app.cli.shared.text import plain, plain_json
from app.lib import json
from app.services.events.browse import Event, Filters, Tail


@click.group()
def events() -> None:
    """Read events: who wrote what, and what was rejected.

    Events record writes, rejected requests of known callers, and actions of admins. They are never edited.
    """


@events.command()
@click.option(
    "-n",
    "--lines",
    default=20,
    show_default=True,
    type=click.IntRange(0, 1000),
    help="Number of existing events to print.",
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events until interrupted.")
@click.option("--project", help="Only events of this project.")
@click.option("--operation", metavar="NAME", help="Only events of this operation, such as batch_create.")
@click.option("--outcome", type=click.Choice(("done", "refused", "failed")), help="Only events with this outcome.")
@click.option(
    "--since", metavar="WHEN", callback=instants.past, help="Only events since a date (UTC), or a time ago such as 24h."
)
@click.option(
    "--every", default=1.0, show_default=True, type=click.FloatRange(0.01, 3600), help="Seconds between polls."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object on each line.")
def tail(
    lines: int,
    follow: bool,
    project: str | None,
    operation: str | None,
    outcome: str | None,
    since: int | None,
    every: float,
    as_json: bool,
) -> None:
    """Print the newest events, oldest first. --follow then prints each new event once.

    \b
    Examples:
      batchgate events tail --follow --json
      batchgate events tail --outcome refused --since 24h -n 100
    """
    filters = Filters(project, operation, outcome, since)
    with context.gateway() as gateway:
        tailing = Tail(gateway, filters)
        _print(tailing.begin(lines), as_json=as_json)
        with suppress(KeyboardInterrupt):
            while follow:
                _print(tailing.poll(), as_json=as_json)
                time.sleep(every)


def _print(events: Sequence[Event], *, as_json: bool) -> None:
    for event in events:
        click.echo(plain_json(json.dumps(asdict(event))) if as_json else _text(event))


def _text(event: Event) -> str:
    at = datetime.fromtimestamp(event.created_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    who = event.actor or event.virtual_key or event.source
    words = (
        at,
        event.outcome,
        event.operation,
        event.object_id,
        f"by {who}",
        f"in {event.project}" if event.project else None,
        f"from {event.address}" if event.address else None,
        f"{event.status_code}" if event.status_code else None,
        event.request_id,
        (event.detail or {}).get("message"),
    )
    return "  ".join(plain(word) for word in words if word is not None)
