"""The options that all commands of a client share, and how they print what the gateway answers."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from app.cli.client.http import AwayError, Gateway
from app.cli.shared import profile
from app.cli.shared.refusal import Refused
from app.cli.shared.text import plain, plain_json
from app.lib import json

Command = TypeVar("Command", bound=Callable[..., object])

as_json = click.option("--json", "as_json", is_flag=True, help="Print the gateway's own JSON.")


_OPTIONS = {
    "--base-url": "URL of the gateway.  [default: $BATCHGATE_BASE_URL, or the one of `make run`]",
    "--api-key": "Virtual key.  [default: $BATCHGATE_API_KEY, or the one of `make run`]",
}


def client_options(command: Command) -> Command:
    """Adds the options that say which gateway to use, as `base_url` and `api_key`."""
    for name, text in reversed(_OPTIONS.items()):
        command = click.option(name, help=text)(command)
    return command


class Client(click.Command):
    """A command that is called with a `gateway` instead of its URL and key; one that is away ends it with words."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += [click.Option([name], help=text) for name, text in _OPTIONS.items()]

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        found = profile.find(base_url=ctx.params.pop("base_url"), api_key=ctx.params.pop("api_key"))
        ctx.params["gateway"] = Gateway(found)
        try:
            return super().invoke(ctx)
        except AwayError as error:
            raise Refused(str(error)) from error


def show_json(value: object) -> None:
    """Prints one JSON value on a line of its own."""
    click.echo(plain_json(json.dumps(value)))


def show_fields(fields: Mapping[str, object]) -> None:
    """Prints names and values, one a line, without those that are empty."""
    shown = {name: plain(value) for name, value in fields.items() if value not in (None, "", {}, [])}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"{name:<{width}}  {value}")


def instant(at_s: object) -> str:
    """Formats an instant of the wire, in UTC; empty for none."""
    if not isinstance(at_s, int | float):
        return ""
    try:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(at_s)


def size(count: object) -> str:
    """Formats a number of bytes."""
    if not isinstance(count, int):
        return ""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"
