"""`batchgate usage`: what was used and what it cost."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from app.cli.shared import context, instants
from app.lib import json, money
from app.services.gateway import Gateway
from app.services.money import usage as service
from app.services.money.usage import Usage

HEADS = ("LINES", "INPUT TOKENS", "CACHED", "OUTPUT TOKENS", "DOLLARS", "COST UNKNOWN")
PAGE = 1000


@click.command()
@click.option("--by", "group_by", type=click.Choice(service.GROUPS), default="project", show_default=True)
@click.option(
    "--from", "begins", metavar="WHEN", callback=instants.past, help="A date (UTC) or a time ago; 30d if not given."
)
@click.option("--to", "ends", metavar="WHEN", callback=instants.past, help="The first moment that does not count.")
@click.option("--project", help="Only of this project.")
@click.option("--key", metavar="ID", help="Only of this key.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array; money is text there.")
def usage(
    group_by: str, begins: int | None, ends: int | None, project: str | None, key: str | None, as_json: bool
) -> None:
    """Sum up the ledger: lines, tokens and dollars by key, project, provider, model or day.

    Lines and attempts whose cost nobody knows are counted beside the sum, never as zero.

    \b
    Examples:
      batchgate usage --by model --from 7d
      batchgate usage --by day --project reports --from 2026-11-01 --to 2026-12-01
    """
    with context.gateway() as gateway:
        found = list(_all(gateway, group_by, begins=begins, ends=ends, project=project, key=key))
    if as_json:
        click.echo(json.dumps([{**asdict(item), "cost": money.dollars(item.cost)} for item in found]))
        return
    rows = [
        (
            item.id,
            item.lines,
            item.input_tokens,
            item.cached_tokens,
            item.output_tokens,
            money.dollars(item.cost),
            item.unknown or None,
        )
        for item in found
    ]
    click.echo(context.columns((group_by.upper(), *HEADS), rows))


def _all(gateway: Gateway, group_by: str, **scope: Any) -> Iterator[Usage]:
    # One period for all pages.
    scope["ends"] = scope["ends"] or gateway.clock.now_ms() + 1
    after, more = None, True
    while more:
        page = service.by(gateway, group_by, after=after, limit=PAGE, **scope)
        yield from page.items
        after, more = page.items[-1].id if page.items else None, page.has_more
