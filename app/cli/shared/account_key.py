"""Where the key of a new account comes from; never from the command line itself, which other users can see."""

import os
import sys
from pathlib import Path

import click

from app.services.accounts.add import checked_credential

HOW = "--key-stdin, --key-file PATH or --key-env VARIABLE"


def read(*, from_stdin: bool, path: Path | None, variable: str | None, optional: bool) -> str:
    """The key, checked; empty when it is `optional` and none was given. Raises UsageError, InvalidRequestError."""
    given = [from_stdin, path is not None, variable is not None]
    if sum(given) > 1:
        raise click.UsageError(f"Give the key one way: {HOW}.")
    if from_stdin:
        return checked_credential(sys.stdin.read())
    if path is not None:
        return checked_credential(_file(path))
    if variable is not None:
        if variable not in os.environ:
            raise click.UsageError(f"--key-env: the environment has no {variable}.")
        return checked_credential(os.environ[variable])
    if optional:
        return ""
    if not sys.stdin.isatty():
        raise click.UsageError(f"Give the key: {HOW}.")
    return checked_credential(str(click.prompt("Key (not shown)", hide_input=True, default="", show_default=False)))


def _file(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--key-file: {path} cannot be read ({type(error).__name__}).") from error
