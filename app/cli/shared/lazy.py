"""Groups of commands that import only the one that runs: who asks for a list must not wait for all of them."""

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

# Name of a command -> ("module:attribute", what it does).
Commands = Mapping[str, tuple[str, str]]


class Lazy(click.Group):
    """A group whose commands are named by module, in sections with titles."""

    def __init__(self, *arguments: Any, sections: Mapping[str, Commands], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sections = sections
        self._named = {name: entry for section in sections.values() for name, entry in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names, in their order."""
        return list(self._named)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command."""
        if cmd_name not in self._named:
            return None
        module, _, attribute = self._named[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands of each section, without importing any."""
        for title, section in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in section.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes names of commands, without importing any."""
        named = [
            CompletionItem(name, help=text) for name, (_, text) in self._named.items() if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]
