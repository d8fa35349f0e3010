"""`batchgate usage`: sums up usage and cost."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TypedDict, Unpack

import click

from app.cli.shared import context, instants
from app.lib import json, money
from app.services.gateway import Gateway
from app.services.money import usage as service
from app.services.money.usage import Usage

HEADS = ("LINES", "INPUT TOKENS", "CACHED", "OUTPUT TOKENS", "DOLLARS", "COST UNKNOWN")
PAGE = 1000


class _Scope(TypedDict):
    begins: int | None
    ends: int | None
    project: str | None
    key: str | None


@click.command()
@click.option(
    "--by", "group_by", type=click.Choice(service.GROUPS), default="project", show_default=True, help="Group by this."
)
@click.option(
    "--from",
    "begins",
    metavar="WHEN",
    callback=instants.past,
    help="Beginning: a date (UTC) or a time ago. Default: 30d.",
)
@click.option(
    "--to",
    "ends",
    metavar="WHEN",
    callback=instants.past,
    help="End (exclusive): a date (UTC) or a time ago. Default: now.",
)
@click.option("--project", help="Only usage of this project.")
@click.option("--key", metavar="ID", help="Only usage of this key.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, with amounts as text.")
def usage(
    group_by: str, begins: int | None, ends: int | None, project: str | None, key: str | None, as_json: bool
) -> None:
    """Sum up usage and cost.

    Shows lines, tokens and dollars by key, project, provider, model or day. Lines and attempts of unknown cost are
    counted separately, never as zero.

    \b
    Examples:
      batchgate usage --by model --from 7d
      batchgate usage --by day --project reports --from 2026-11-01 --to 2026-12-01
    """
    with context.gateway() as gateway:
        groups = list(_all(gateway, group_by, begins=begins, ends=ends, project=project, key=key))
    if as_json:
        click.echo(json.dumps([{**asdict(item), "cost": money.dollars(item.cost)} for item in groups]))
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
        for item in groups
    ]
    click.echo(context.columns((group_by.upper(), *HEADS), rows))


def _all(gateway: Gateway, group_by: str, **scope: Unpack[_Scope]) -> Iterator[Usage]:
    # The same period for all pages.
    scope["ends"] = scope["ends"] or gateway.clock.now_ms() + 1
    after, more = None, True
    while more:
        page = service.by(gateway, group_by, after=after, limit=PAGE, **scope)
        yield from page.items
        after, more = page.items[-1].id if page.items else None, page.has_more
