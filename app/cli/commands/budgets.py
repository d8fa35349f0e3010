"""`batchgate budgets`: limits what the batches of projects and keys may cost."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click

from app.cli.shared import context
from app.lib import json, money
from app.services.access import keys
from app.services.gateway import Gateway
from app.services.money import budgets as service
from app.services.money.budgets import Budget

HEADS = ("ID", "PROJECT", "KEY", "PERIOD", "SINCE", "LIMIT", "SPENT", "RESERVED", "LEFT")


@click.group()
def budgets() -> None:
    """Limit what batches may cost. Amounts are dollars, such as 12.50.

    A new batch reserves its estimated cost, and is rejected if a budget has less left. See docs/money.md.
    """


def _key_id(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Removes the secret from a whole key, so that no message repeats it."""
    return None if value is None else value.removeprefix(keys.PREFIX).partition("-")[0]


def _amount(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    try:
        return money.picodollars(value.removeprefix("$"))
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def _whose(command: Callable[..., Any]) -> Callable[..., Any]:
    period = click.option(
        "--period",
        type=click.Choice(service.PERIODS),
        default="month",
        show_default=True,
        help="Each day or month (UTC), or all time.",
    )
    key = click.option("--key", callback=_key_id, metavar="ID", help="Only for this key of the project.")
    return click.option("--project", required=True, help="Project whose batches the budget limits.")(
        key(period(command))
    )


@budgets.command("set")
@_whose
@click.argument("dollars", callback=_amount)
def set_(project: str, key: str | None, period: str, dollars: int) -> None:
    """Limit the batches of a project, or of one key, to DOLLARS in each period.

    If both have a budget, both apply. A new limit applies at once; amounts spent and reserved stay.

    \b
    Examples:
      batchgate budgets set --project reports 500
      batchgate budgets set --project reports --key 0f3c9a1b2d4e5f60 --period day 12.50
    """
    with context.gateway() as gateway:
        budget = service.set_(gateway, project=project, key=key, period=period, limit_picodollars=dollars)
    click.echo(f"{budget.name[0].upper()}{budget.name[1:]} is ${money.dollars(budget.limit)}.")


@budgets.command("list")
@click.option("--project", help="Only budgets of this project and its keys.")
@click.option("--key", callback=_key_id, metavar="ID", help="Only budgets of this key.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, with amounts as text.")
def list_(project: str | None, key: str | None, as_json: bool) -> None:
    """List budgets with what is spent, reserved by running batches, and left.

    \b
    Example:
      batchgate budgets list --project reports
    """
    with context.gateway() as gateway:
        listed = list(_all(gateway, project=project, key=key))
        if as_json:
            click.echo(json.dumps([_as_dict(budget) for budget in listed]))
            return
        click.echo(context.columns(HEADS, [tuple(_as_dict(budget).values()) for budget in listed]))


@budgets.command()
@_whose
def remove(project: str, key: str | None, period: str) -> None:
    """Remove a budget. Running batches continue, and the ledger keeps what they cost.

    \b
    Example:
      batchgate budgets remove --project reports --period day
    """
    with context.gateway() as gateway:
        service.remove(gateway, project=project, key=key, period=period)
    click.echo("The budget is removed.")


def _all(gateway: Gateway, *, project: str | None, key: str | None) -> Iterator[Budget]:
    after = 0
    while page := service.list_(gateway, project=project, key=key, after=after):
        yield from page
        after = page[-1].id


def _as_dict(budget: Budget) -> dict[str, Any]:
    since = (
        datetime.fromtimestamp(budget.period_start / 1000, UTC).strftime("%Y-%m-%d") if budget.period_start else None
    )
    amounts = {name: money.dollars(getattr(budget, name)) for name in ("limit", "spent", "reserved", "left")}
    return {
        "id": budget.id,
        "project": budget.project,
        "key": budget.key,
        "period": budget.period,
        "since": since,
        **amounts,
    }
