"""The options of keys that `create` and `update` share, and what they say as fields of a key."""

import time
from collections.abc import Callable
from typing import Any, cast

import click

from app.cli.shared import instants
from app.services.access.key_fields import ROLES, KeyChanges

Command = Callable[..., None]

# Option -> field; each may be repeated.
LISTS = {
    "accounts": ("--account", "NAME", "An account that the key may use, as NAME or PROVIDER/NAME."),
    "providers": ("--provider", "NAME", "A provider that it may use."),
    "models": ("--model", "PATTERN", "A model that it may use, such as gpt-5* or openai/*."),
    "endpoints": ("--endpoint", "PATH", "An endpoint of batches that it may use, such as /v1/chat/completions."),
    "networks": ("--network", "CIDR", "A network that it may be used from, such as 10.0.0.0/8."),
}
CLEARABLE = (*LISTS, "limits", "expires", "description")


def key_options(command: Command) -> Command:
    """Adds the options."""
    options = [
        click.option("--role", type=click.Choice(ROLES), help="What it may do: viewers only read. Default: member."),
        click.option("--description", help="A sentence about it."),
        *(
            click.option(option, field, multiple=True, metavar=metavar, help=f"{text} May be repeated. None: all.")
            for field, (option, metavar, text) in LISTS.items()
        ),
        click.option(
            "--limit",
            "limits",
            multiple=True,
            metavar="NAME=N",
            callback=parse_limits,
            help="A limit, such as open_batches=20.",
        ),
        click.option(
            "--expires",
            metavar="WHEN",
            callback=_instant,
            help="When it ends: a date, or a time from now such as 12h or 90d.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def fields(asked: dict[str, Any], *, clear: tuple[str, ...] = ()) -> KeyChanges:
    """What was asked for as fields of a key; those in `clear` are emptied."""
    found: dict[str, Any] = {name: list(asked[name]) for name in LISTS if asked[name]}
    found |= {name: asked[name] for name in ("role", "description", "limits") if asked[name]}
    if asked["expires"]:
        found["expires_at"] = asked["expires"]
    for name in clear:
        field = "expires_at" if name == "expires" else name
        if field in found:
            raise click.UsageError(f"{name} is both set and cleared.")
        found[field] = None
    return cast(KeyChanges, found)


def parse_limits(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        name, _, number = value.partition("=")
        if not name.strip() or not number.strip().isdecimal() or len(number) > 18:
            raise click.BadParameter(f"{value!r:.80} must be NAME=N, such as open_batches=20.")
        if found.setdefault(name.strip(), int(number)) != int(number):
            raise click.BadParameter(f"{name.strip()} is given twice.")
    return found


def _instant(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = instants.instant_ms(value, now_ms=time.time_ns() // 1_000_000)
    if found is None:
        raise click.BadParameter(f"{value!r:.40} is neither a date such as 2027-01-31 nor a time such as 90d.")
    return found
