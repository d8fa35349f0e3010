"""The error that ends a command with words; apart from `context`, so that client commands start without the store."""

import click


class Refused(click.ClickException):
    """An error that ends the command with exit status 2. The message says what is wrong and what to do."""

    exit_code = 2
