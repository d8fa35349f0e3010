"""`batchgate prices`: sets, imports and lists prices."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from app.cli.shared import context
from app.errors import InvalidRequestError
from app.lib import hours, json
from app.services.accounts import off_peak
from app.services.accounts.add import DEFAULT_NAME
from app.services.money import price_book, price_import
from app.services.money.price_book import ListedPrice

PAGE = 1000


@click.group()
def prices() -> None:
    """Set, import and list prices, in dollars for a million tokens.

    A batch is charged at the prices that were valid when it was created. A price is never changed: a new
    price ends the previous one. docs/prices.md names the sources of the prices that ship with the gateway.
    """


def _instant(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(
            "must be a date or an instant, such as 2026-12-01 or 2026-12-01T09:00+01:00."
        ) from error
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)


@prices.command("set")
@click.argument("provider")
@click.argument("model")
@click.option("--input", "input_rate", metavar="DOLLARS", help="Price of a million input tokens.")
@click.option(
    "--cached", metavar="DOLLARS", help="Price of a million cached input tokens. Default: the price of input."
)
@click.option("--output", "output_rate", metavar="DOLLARS", help="Price of a million output tokens.")
@click.option(
    "--batch-percent",
    default=100,
    show_default=True,
    help="Percentage to charge in the provider's own batches; 50 is half price.",
)
@click.option(
    "--cached-batch-percent",
    type=int,
    help="The same for cached input, where it differs; 100 where the two discounts do not stack.",
)
@click.option("--unknown", is_flag=True, help="The cost of the model is unknown from then on.")
@click.option(
    "--from", "begins", metavar="INSTANT", callback=_instant, help="When the price begins (UTC). Default: now."
)
def set_(
    provider: str,
    model: str,
    input_rate: str | None,
    cached: str | None,
    output_rate: str | None,
    batch_percent: int,
    cached_batch_percent: int | None,
    unknown: bool,
    begins: int | None,
) -> None:
    """Set the price of MODEL at PROVIDER. A MODEL that ends in * is a pattern; the longest match applies.

    \b
    Examples:
      batchgate prices set openai gpt-5-mini --input 0.25 --cached 0.025 --output 2 --batch-percent 50
      batchgate prices set mycorp '*' --input 0 --output 0
      batchgate prices set openai 'gpt-5*' --input 1 --output 8 --from 2027-01-01
    """
    if unknown is (input_rate is not None) or (unknown and (cached or output_rate)):
        raise click.UsageError("Give either --input (with --cached and --output as needed) or --unknown.")
    fields = {"provider": provider, "model": model, "input": input_rate, "cached": cached, "output": output_rate}
    with context.gateway() as gateway:
        percents = {"batch_percent": batch_percent, "cached_batch_percent": cached_batch_percent}
        new = price_import.of({**fields, **percents})
        price = price_book.set_(gateway, new, valid_from=begins)
    click.echo(f"Batches at {provider} with {model} cost {_cost(price)} from {_day(price.valid_from)} on.")


@prices.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def import_(file: Path) -> None:
    """Set all prices in FILE, or none if one is invalid. Prices that are already the same stay.

    FILE is a JSON array of objects with provider, model, input, and optionally cached, output,
    batch_percent and cached_batch_percent. Rates are dollars for a million tokens, as text or numbers.

    \b
    Example:
      batchgate prices import contract.json
    """
    try:
        new = price_import.read(file.read_bytes())
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}.") from error
    except InvalidRequestError as error:
        raise context.Refused(f"{file}:\n{error.message}") from error
    with context.gateway() as gateway:
        put = price_book.import_(gateway, new, source=f"file {file.name}"[: price_book.SOURCE_LENGTH])
    click.echo(f"{len(put)} of {len(new)} prices are new.")


@prices.command("list")
@click.option("--provider", help="Only prices of this provider.")
@click.option("--model", help="Only prices of exactly this name or pattern.")
@click.option("--all", "ended", is_flag=True, help="Include prices that have ended.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(provider: str | None, model: str | None, ended: bool, as_json: bool) -> None:
    """List current and future prices.

    \b
    Example:
      batchgate prices list --provider openai
    """
    listed: list[ListedPrice] = []
    with context.gateway() as gateway:
        while True:
            after = listed[-1].id if listed else 0
            page = price_book.list_(gateway, provider=provider, model=model, ended=ended, after=after, limit=PAGE)
            listed += page
            if len(page) < PAGE:
                break
    listed.sort(key=lambda price: (price.provider, price.model, price.valid_from))
    if as_json:
        click.echo(json.dumps([_as_dict(price) for price in listed]))
        return
    heads = ("PROVIDER", "MODEL", "INPUT", "CACHED", "OUTPUT", "BATCH", "FROM", "UNTIL", "SOURCE")
    rows = [
        (
            price.provider,
            price.model,
            _rate(price.input),
            _rate(price.cached if price.cached is not None else price.input),
            _rate(price.output),
            _percents(price),
            _day(price.valid_from) if price.valid_from else "",
            _day(price.valid_until) if price.valid_until else "",
            price.source,
        )
        for price in listed
    ]
    click.echo(context.columns(heads, rows))


def _as_dict(price: ListedPrice) -> dict[str, Any]:
    """A price as JSON: dollars for a million tokens as text, instants as Unix seconds."""
    return {
        "id": price.id,
        "provider": price.provider,
        "model": price.model,
        **{name: price_import.dollars(getattr(price, name)) for name in price_import.RATES},
        "batch_percent": price.batch_percent,
        "cached_batch_percent": price.cached_batch_percent,
        "valid_from": price.valid_from // 1000,
        "valid_until": None if price.valid_until is None else price.valid_until // 1000,
        "source": price.source,
    }


def _cost(price: ListedPrice) -> str:
    if price.input is None:
        return "nobody knows what"
    cached = price.input if price.cached is None else price.cached
    parts = {"in": price.input, "cached": cached, "out": price.output}
    rates = ", ".join(f"${_rate(rate)} {name}" for name, rate in parts.items() if rate is not None)
    less = "" if price.batch_percent == 100 else f" ({price.batch_percent}% of it in its own batches)"
    return f"{rates} for a million tokens{less}"


def _percents(price: ListedPrice) -> str:
    """The percentage charged in batches, and that of cached input if it is another."""
    if price.cached_batch_percent in (None, price.batch_percent):
        return f"{price.batch_percent}%"
    return f"{price.batch_percent}%, cached {price.cached_batch_percent}%"


def _rate(picodollars: int | None) -> str:
    return price_import.dollars(picodollars) or "?"


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@prices.command("off-peak")
@click.argument("provider")
@click.argument("name", default=DEFAULT_NAME)
@click.option("--hours", "spans", multiple=True, metavar="HH:MM-HH:MM", help="Hours that are off-peak; repeatable.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of the hours, such as Asia/Shanghai.")
@click.option("--days", default=hours.DAILY, help="Days on which the hours begin. Default: all.")
@click.option("--percent", default=100, type=click.IntRange(0, 100), help="What is paid then, in percent of the price.")
@click.option("--model", help="Only for this model. Default: all of the account's.")
@click.option("--clear", is_flag=True, help="Take all off-peak hours away.")
def off_peak_(
    provider: str, name: str, spans: tuple[str, ...], zone: str, days: str, percent: int, model: str | None, clear: bool
) -> None:
    """Show the off-peak hours of an account, or give it these and no others.

    Batches can ask for them: `not_before: "off_peak"`. Lines that end in them cost `--percent` of the price.

    \b
    Examples:
      batchgate prices off-peak deepseek --hours 16:30-00:30 --percent 50
      batchgate prices off-peak deepseek --clear
    """
    with context.gateway() as gateway, context.plain_errors():
        if spans or clear:
            more = {"zone": zone, "days": days, "percent": percent}
            pairs = [span.partition("-") for span in spans]
            given = [off_peak.read(model=model, begins=begins, ends=ends, **more) for begins, _, ends in pairs]
            shown = off_peak.set_(gateway, given, provider=provider.lower(), name=name)
        else:
            shown = off_peak.list_(gateway, provider=provider.lower(), name=name)
    for window in shown:
        click.echo(off_peak.text(window))
    if not shown:
        click.echo(f"{provider}/{name} has no off-peak hours.")
