"""Prints lists of the gateway page by page, following their cursors, with no more than a page in memory."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click

from app.cli.client.http import Gateway, patiently
from app.cli.client.options import as_json
from app.cli.shared.table import columns
from app.cli.shared.text import plain, plain_json
from app.lib import json

Command = TypeVar("Command", bound=Callable[..., object])
Item = dict[str, Any]
# Head of a column -> what it shows of an item.
Shown = Mapping[str, Callable[[Item], object]]
DEFAULT_LIMIT = 20


def list_options(command: Command) -> Command:
    """Adds --limit, --all, --after and --json."""
    options = (
        click.option("--limit", type=click.IntRange(1), default=DEFAULT_LIMIT, show_default=True, help="Rows to show."),
        click.option("--all", "all_", is_flag=True, help="Show all of them, page by page."),
        click.option("--after", metavar="ID", help="Begin after this one."),
        as_json,
    )
    for option in reversed(options):
        command = option(command)
    return command


def items(
    gateway: Gateway, path: str, query: Mapping[str, object], *, page: int, after: str | None = None
) -> Iterator[Item]:
    """Yields what a list has, in pages of `page`, each when it is needed."""
    given = {name: value for name, value in query.items() if value is not None} | {"limit": page}
    body = gateway.call("GET", path, params=given | ({"after": after} if after else {}))
    while True:
        data: list[Item] = body["data"]
        yield from data
        if not body.get("has_more") or not data:
            return
        params = given | {"after": str(data[-1]["id"])}
        body = patiently(lambda params=params: gateway.call("GET", path, params=params))  # type: ignore[misc]


def show(
    gateway: Gateway,
    path: str,
    shown: Shown,
    *,
    query: Mapping[str, object],
    limit: int,
    all_: bool,
    after: str | None,
    as_json: bool,
    max_page: int = 100,
) -> None:
    """Prints a list as a table or a JSON array, and how to go on when there is more."""
    page = max_page if all_ else min(limit, max_page)
    found = items(gateway, path, query, page=page, after=after)
    last = _array(found, None if all_ else limit) if as_json else _table(found, shown, page, None if all_ else limit)
    if last is not None and next(found, None) is not None:
        click.echo(f"There are more: add --after {plain(last['id'])}, or --all.", err=True)


def _array(found: Iterator[Item], limit: int | None) -> Item | None:
    """Prints a JSON array, an item a line; returns the last item if the list may go on."""
    click.echo("[", nl=False)
    last, count = None, 0
    for item in found:
        click.echo(("," if count else "") + "\n" + plain_json(json.dumps(item)), nl=False)
        last, count = item, count + 1
        if count == limit:
            break
    click.echo("\n]" if count else "]")
    return last if count == limit else None


def _table(found: Iterator[Item], shown: Shown, page: int, limit: int | None) -> Item | None:
    """Prints tables of a page each, with one head; returns the last item if the list may go on."""
    count, rows, last = 0, [], None
    is_first = True
    for item in found:
        rows.append([cell(item) for cell in shown.values()])
        last, count = item, count + 1
        if len(rows) == page or count == limit:
            _print(tuple(shown), rows, is_first)
            rows, is_first = [], False
        if count == limit:
            return last
    if rows or is_first:
        _print(tuple(shown), rows, is_first)
    return None


def _print(heads: tuple[str, ...], rows: list[list[object]], is_first: bool) -> None:
    table = columns(heads, rows)
    click.echo(table if is_first else table.partition("\n")[2])
