"""`batchgate prices`: what a million tokens cost at each provider."""

from datetime import UTC, datetime
from pathlib import Path

import click

from app.cli.shared import context
from app.errors import InvalidRequestError
from app.lib import json
from app.services.money import price_book, price_import
from app.services.money.price_book import ListedPrice

PAGE = 1000


@click.group()
def prices() -> None:
    """Set, import and list prices: decimal dollars for a million tokens.

    A batch is charged at the prices of the instant when it was created. No price is ever changed: a new one
    ends the one before. docs/prices.md tells where those that are shipped are from.
    """


def _instant(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter("must be a day or an instant such as 2026-12-01 or 2026-12-01T09:00+01:00.") from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


@prices.command("set")
@click.argument("provider")
@click.argument("model")
@click.option("--input", "given", metavar="DOLLARS", help="What a million tokens of input cost.")
@click.option("--cached", metavar="DOLLARS", help="Of input that was cached; the same as other input if not given.")
@click.option("--output", "made", metavar="DOLLARS", help="Of output.")
@click.option("--batch-percent", default=100, show_default=True, help="In batches of the provider's own: 50 is half.")
@click.option("--unknown", is_flag=True, help="Instead: from then on nobody knows what the model costs.")
@click.option("--from", "begins", metavar="INSTANT", callback=_instant, help="When it begins, UTC; now if not given.")
def set_(
    provider: str,
    model: str,
    given: str | None,
    cached: str | None,
    made: str | None,
    batch_percent: int,
    unknown: bool,
    begins: int | None,
) -> None:
    """Set what MODEL costs at PROVIDER. A MODEL that ends in * is a pattern: the longest that fits counts.

    \b
    Examples:
      batchgate prices set openai gpt-5-mini --input 0.25 --cached 0.025 --output 2 --batch-percent 50
      batchgate prices set mycorp '*' --input 0 --output 0
      batchgate prices set openai 'gpt-5*' --input 1 --output 8 --from 2027-01-01
    """
    if unknown is (given is not None) or (unknown and (cached or made)):
        raise click.UsageError("Say either --input (and what else costs something) or --unknown.")
    fields = {"provider": provider, "model": model, "input": given, "cached": cached, "output": made}
    with context.gateway() as gateway:
        new = price_import.of({**fields, "batch_percent": batch_percent})
        price = price_book.set_(gateway, new, valid_from=begins)
    click.echo(f"Batches at {provider} with {model} cost {_told(price)} from {_day(price.valid_from)} on.")


@prices.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def import_(file: Path) -> None:
    """Set all prices of FILE, or none of them when one is wrong. Those that are so already stay as they are.

    FILE is a JSON array of objects with provider, model, input, and where it matters cached, output and
    batch_percent; rates are dollars for a million tokens, as text or numbers.

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
@click.option("--provider", help="Only those of this provider.")
@click.option("--model", help="Only those of exactly this name or pattern.")
@click.option("--all", "ended", is_flag=True, help="Those that have ended, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(provider: str | None, model: str | None, ended: bool, as_json: bool) -> None:
    """List prices that are valid, or will be.

    \b
    Example:
      batchgate prices list --provider openai
    """
    found: list[ListedPrice] = []
    with context.gateway() as gateway:
        while True:
            after = found[-1].id if found else 0
            page = price_book.list_(gateway, provider=provider, model=model, ended=ended, after=after, limit=PAGE)
            found += page
            if len(page) < PAGE:
                break
    found.sort(key=lambda price: (price.provider, price.model, price.valid_from))
    if as_json:
        click.echo(json.dumps([price_import.as_dict(price) for price in found]))
        return
    heads = ("PROVIDER", "MODEL", "INPUT", "CACHED", "OUTPUT", "BATCH", "FROM", "UNTIL", "SOURCE")
    rows = [
        (
            price.provider,
            price.model,
            _rate(price.input),
            _rate(price.cached if price.cached is not None else price.input),
            _rate(price.output),
            f"{price.batch_percent}%",
            _day(price.valid_from) if price.valid_from else "",
            _day(price.valid_until) if price.valid_until else "",
            price.source,
        )
        for price in found
    ]
    click.echo(context.columns(heads, rows))


def _told(price: ListedPrice) -> str:
    if price.input is None:
        return "nobody knows what"
    cached = price.input if price.cached is None else price.cached
    parts = {"in": price.input, "cached": cached, "out": price.output}
    rates = ", ".join(f"${_rate(rate)} {name}" for name, rate in parts.items() if rate is not None)
    less = "" if price.batch_percent == 100 else f" ({price.batch_percent}% of it in its own batches)"
    return f"{rates} for a million tokens{less}"


def _rate(picodollars: int | None) -> str:
    return price_import.dollars(picodollars) or "?"


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
