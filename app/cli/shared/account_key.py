"""Reads the key of a new account: never from the command line, which other users of the machine can see."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from app.services.accounts.add import checked_credential

Command = TypeVar("Command", bound=Callable[..., object])

HOW = "--key-stdin, --key-file PATH or --key-env VARIABLE"


def options(command: Command) -> Command:
    """Adds the options that say where the key comes from."""
    options = (
        click.option("--key-stdin", is_flag=True, help="Read the key from standard input."),
        click.option(
            "--key-file",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="PATH",
            help="Read the key from a file.",
        ),
        click.option("--key-env", metavar="VARIABLE", help="Read the key from this variable."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def is_given(*, from_stdin: bool, path: Path | None, variable: str | None) -> bool:
    """Returns True when an option says where the key comes from."""
    return from_stdin or path is not None or variable is not None


def read(*, from_stdin: bool, path: Path | None, variable: str | None, optional: bool) -> str:
    """Returns the validated key, or an empty one if it is `optional` and not given.

    Raises UsageError, InvalidRequestError.
    """
    given = [from_stdin, path is not None, variable is not None]
    if sum(given) > 1:
        raise click.UsageError(f"Give the key in one way only: {HOW}.")
    if from_stdin:
        return checked_credential(sys.stdin.read())
    if path is not None:
        return checked_credential(_file(path))
    if variable is not None:
        if variable not in os.environ:
            raise click.UsageError(f"--key-env: {variable} is not set.")
        return checked_credential(os.environ[variable])
    if optional:
        return ""
    if not sys.stdin.isatty():
        raise click.UsageError(f"Give the key with {HOW}.")
    return checked_credential(str(click.prompt("Key (not shown)", hide_input=True, default="", show_default=False)))


def _file(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--key-file: {path} cannot be read ({type(error).__name__}).") from error
