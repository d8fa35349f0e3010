"""The command line: `batchgate COMMAND`. Commands are imported when they are asked for."""

import importlib

import click

from app.cli import dotenv
from app.version import VERSION

COMMANDS = {
    "accounts": "app.cli.accounts:accounts",
    "batch": "app.cli.batch:batch",
    "batches": "app.cli.batches:batches",
    "budgets": "app.cli.budgets:budgets",
    "containers": "app.cli.containers:containers",
    "db": "app.cli.db:db",
    "demo": "app.cli.demo:demo",
    "demo-model": "app.cli.demo_model:demo_model",
    "docs": "app.cli.docs:docs",
    "events": "app.cli.events:events",
    "files": "app.cli.files:files",
    "keys": "app.cli.keys:keys",
    "prices": "app.cli.prices:prices",
    "projects": "app.cli.projects:projects",
    "providers": "app.cli.providers:providers",
    "release": "app.cli.release:release",
    "secrets": "app.cli.secrets:secrets",
    "sweep": "app.cli.sweep:sweep",
    "usage": "app.cli.usage:usage",
    "worker": "app.cli.worker:worker",
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

    Settings come from the environment, and from a file `.env` in the current folder for variables
    that the environment does not have. docs/settings.md lists them all.
    """


def main() -> None:
    """The console script `batchgate`."""
    dotenv.load()
    batchgate()
