"""The error that ends a command with words; apart from `context`, so that client commands start without the store."""

import click

from app.cli.shared.text import plain


class Refused(click.ClickException):
    """An error that ends the command with exit status 2. The message says what is wrong and what to do."""

    exit_code = 2

    def format_message(self) -> str:
        """Returns the message as a terminal may get it: providers and callers wrote parts of some."""
        return "\n".join(plain(line) for line in self.message.split("\n"))
