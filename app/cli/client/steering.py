"""`batchgate batches pause|resume|set|retry|clone`: what a project does to its batches, over HTTP."""

import time
from collections.abc import Callable

import click

from app.cli.client.batches import show_batch
from app.cli.client.http import Gateway, segment
from app.cli.client.options import Client, as_json, show_json
from app.cli.shared import instants
from app.cli.shared.text import plain

NONE = "none"
MAX_CONCURRENCY = 1_000_000


def _instant(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | str | None:
    """A click callback that converts a date, an ISO instant or a duration from now to Unix seconds; or `none`."""
    if value is None or value == NONE:
        return value
    at_ms = instants.instant_ms(value, now_ms=time.time_ns() // 1_000_000)
    if at_ms is None:
        text = f"{value!r:.40} is neither an instant such as 2027-01-31T18:00:00Z, nor a duration such as 8h, nor none."
        raise click.BadParameter(text)
    return at_ms // 1000


def _count(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == NONE:
        return value
    if not value.isdecimal() or not 1 <= int(value) <= MAX_CONCURRENCY:
        raise click.BadParameter(f"{value!r:.40} is neither a number from 1 to {MAX_CONCURRENCY}, nor none.")
    return int(value)


def instant_option(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option that takes an instant."""
    return click.option(name, metavar="WHEN", callback=_instant, help=text)


@click.command(cls=Client)
@click.argument("batch")
@as_json
def pause(batch: str, as_json: bool, gateway: Gateway) -> None:
    """Pause BATCH: no more lines are sent until it is resumed. Its window runs on.

    \b
    Example:
      batchgate batches pause batch_00061f...
    """
    show_batch(gateway.call("POST", f"/batches/{segment(batch)}/pause", json={}), as_json=as_json)


@click.command(cls=Client)
@click.argument("batch")
@as_json
def resume(batch: str, as_json: bool, gateway: Gateway) -> None:
    """Go on with BATCH, which is paused.

    \b
    Example:
      batchgate batches resume batch_00061f...
    """
    show_batch(gateway.call("POST", f"/batches/{segment(batch)}/resume", json={}), as_json=as_json)


@click.command("set", cls=Client)
@click.argument("batch")
@click.option("--priority", type=click.IntRange(-10, 10), help="The highest of the project goes first.")
@click.option("--concurrency", metavar="N", callback=_count, help="Lines at the provider at once; or none.")
@instant_option("--finish-by", "When it has to be over: a date, an instant, a time from now such as 8h; or none.")
@instant_option("--not-before", "When it may begin, likewise.")
@as_json
def set_(
    batch: str,
    priority: int | None,
    concurrency: int | str | None,
    finish_by: int | str | None,
    not_before: int | str | None,
    as_json: bool,
    gateway: Gateway,
) -> None:
    """Change the priority, limit and times of BATCH, which is not over. `none` takes a limit or a time away.

    \b
    Examples:
      batchgate batches set batch_00061f... --priority 5 --finish-by 8h
      batchgate batches set batch_00061f... --concurrency none
    """
    given = {
        "priority": priority,
        "concurrency": concurrency,
        "finish_by": finish_by,
        "not_before": not_before,
    }
    body = {name: None if value == NONE else value for name, value in given.items() if value is not None}
    if not body:
        raise click.UsageError("Nothing to change: give at least one option.")
    show_batch(gateway.call("POST", f"/batches/{segment(batch)}", json=body), as_json=as_json)


def _anew(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of a batch that is made of another one's lines."""
    options = (
        click.option("--model", help="Model for every line.  [default: the first batch's]"),
        click.option("--provider", help="Provider that runs them; lines are translated.  [default: the first batch's]"),
        click.option("--completion-window", help="Time within which the new batch must finish, such as 24h."),
        click.option("--priority", type=click.IntRange(-10, 10), help="The highest of the project goes first."),
        instant_option("--finish-by", "When it has to be over: a date, an instant, or a time from now such as 8h."),
        instant_option("--not-before", "When it may begin, likewise."),
        as_json,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=Client)
@click.argument("batch")
@click.option("--error-code", metavar="CODE", help="Only lines that failed with this code (`batches errors`).")
@_anew
def retry(batch: str, as_json: bool, gateway: Gateway, **given: object) -> None:
    """Make a new batch of the lines of BATCH that failed, expired or were cancelled, and print its id.

    With --model or --provider they run elsewhere, translated; with --error-code only those that failed with it.

    \b
    Examples:
      NEW=$(batchgate batches retry batch_00061f...) && batchgate batches watch $NEW
      batchgate batches retry batch_00061f... --provider anthropic --model claude-sonnet-4-5
    """
    _make(gateway, f"/batches/{segment(batch)}/retry", given, as_json=as_json)


@click.command(cls=Client)
@click.argument("batch")
@_anew
def clone(batch: str, as_json: bool, gateway: Gateway, **given: object) -> None:
    """Make a new batch of all lines of BATCH, whatever became of them, and print its id.

    \b
    Example:
      batchgate batches clone batch_00061f... --model gpt-5-mini
    """
    _make(gateway, f"/batches/{segment(batch)}/clone", given, as_json=as_json)


def _make(gateway: Gateway, path: str, given: dict[str, object], *, as_json: bool) -> None:
    made = gateway.post_once(path, {name: value for name, value in given.items() if value not in (None, NONE)})
    if as_json:
        show_json(made)
    else:
        click.echo(plain(made["id"]))
