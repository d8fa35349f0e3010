"""The command line, `batchgate COMMAND`: this module finds commands, and imports only the one that runs."""

import importlib

import click

from app.cli.shared import dotenv
from app.version import VERSION

COMMANDS = {
    "accounts": "app.cli.commands.accounts:accounts",
    "batch": "app.cli.batch_run.command:batch",
    "batches": "app.cli.commands.batches:batches",
    "budgets": "app.cli.commands.budgets:budgets",
    "containers": "app.cli.commands.containers:containers",
    "db": "app.cli.operate.db:db",
    "demo": "app.cli.demo.command:demo",
    "demo-model": "app.cli.demo.model:demo_model",
    "events": "app.cli.commands.events:events",
    "files": "app.cli.commands.files:files",
    "keys": "app.cli.commands.keys:keys",
    "prices": "app.cli.commands.prices:prices",
    "projects": "app.cli.commands.projects:projects",
    "providers": "app.cli.commands.providers:providers",
    "release": "app.cli.operate.release:release",
    "secrets": "app.cli.commands.secrets:secrets",
    "sweep": "app.cli.operate.sweep:sweep",
    "usage": "app.cli.commands.usage:usage",
    "worker": "app.cli.operate.worker:worker",
}


class _Lazy(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="batchgate")
def batchgate() -> None:
    """Files, batches and containers of every model provider behind one URL.

    Settings are environment variables. A file `.env` in the current folder can set those that the
    environment does not. docs/settings.md lists all of them.
    """


def main() -> None:
    """The console script `batchgate`."""
    dotenv.load()
    batchgate()
