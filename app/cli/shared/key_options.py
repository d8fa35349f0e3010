"""The options that `keys create` and `keys update` share, and the fields of a key that they set."""

import time
from collections.abc import Callable
from typing import Any, TypedDict, cast

import click

from app.cli.shared import instants
from app.services.access.key_fields import ROLES, KeyChanges

Command = Callable[..., None]

# Field of a key -> (option, metavar, help). Each option is repeatable.
LISTS = {
    "accounts": ("--account", "NAME", "Account that the key may use, as NAME or PROVIDER/NAME."),
    "providers": ("--provider", "NAME", "Provider that the key may use."),
    "models": ("--model", "PATTERN", "Model that the key may use, such as gpt-5* or openai/*."),
    "endpoints": ("--endpoint", "PATH", "Batch endpoint that the key may use, such as /v1/chat/completions."),
    "networks": ("--network", "CIDR", "Network that requests may come from, such as 10.0.0.0/8."),
}
CLEARABLE = (*LISTS, "limits", "expires", "description")


class KeyOptions(TypedDict):
    """The values of the options, as click passes them."""

    role: str | None
    description: str | None
    accounts: tuple[str, ...]
    providers: tuple[str, ...]
    models: tuple[str, ...]
    endpoints: tuple[str, ...]
    networks: tuple[str, ...]
    limits: dict[str, int]
    expires: int | None


def key_options(command: Command) -> Command:
    """Decorates a command with the options."""
    options = [
        click.option(
            "--role", type=click.Choice(ROLES), help="Role of the key; viewers may only read. Default: member."
        ),
        click.option("--description", help="Free text."),
        *(
            click.option(option, field, multiple=True, metavar=metavar, help=f"{text} Repeatable. Default: all.")
            for field, (option, metavar, text) in LISTS.items()
        ),
        click.option(
            "--limit",
            "limits",
            multiple=True,
            metavar="NAME=N",
            callback=parse_limits,
            help="A limit, such as open_batches=20. Repeatable.",
        ),
        click.option(
            "--expires",
            metavar="WHEN",
            callback=_instant,
            help="When the key expires: a date, or a time from now such as 12h or 90d.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def fields(options: KeyOptions, *, clear: tuple[str, ...] = ()) -> KeyChanges:
    """Returns the fields of a key that the options set; those in `clear` are removed."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value}
    values = {name: list(value) if name in LISTS else value for name, value in given.items()}
    if "expires" in values:
        values["expires_at"] = values.pop("expires")
    for name in clear:
        field = "expires_at" if name == "expires" else name
        if field in values:
            raise click.UsageError(f"{name} is both set and cleared.")
        values[field] = None
    return cast(KeyChanges, values)


def parse_limits(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """A click callback that parses NAME=N."""
    limits: dict[str, int] = {}
    for value in values:
        name, _, number = value.partition("=")
        if not name.strip() or not number.strip().isdecimal() or len(number) > 18:
            raise click.BadParameter(f"{value!r:.80} must be NAME=N, such as open_batches=20.")
        if limits.setdefault(name.strip(), int(number)) != int(number):
            raise click.BadParameter(f"{name.strip()} is given twice.")
    return limits


def _instant(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    at_ms = instants.instant_ms(value, now_ms=time.time_ns() // 1_000_000)
    if at_ms is None:
        raise click.BadParameter(f"{value!r:.40} is neither a date such as 2027-01-31 nor a duration such as 90d.")
    return at_ms
