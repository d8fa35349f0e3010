"""The command line, `batchgate COMMAND`: this module finds commands, and imports only the one that runs."""

import click

from app.cli.shared import dotenv
from app.cli.shared.lazy import Lazy
from app.version import VERSION

# What a command is, and what it does: the list of commands is shown without importing any of them.
COMMANDS = {
    "accounts": ("app.cli.commands.accounts:accounts", "Manage accounts: credentials at providers."),
    "backup": ("app.cli.operate.copies:backup", "Back up the store and its blobs into FOLDER, while the gateway runs."),
    "batch": ("app.cli.batch_run.command:batch", "Run batches from the command line."),
    "batches": ("app.cli.groups:batches", "Follow, read and steer batches, and their jobs at providers."),
    "blobs": ("app.cli.commands.blobs:blobs", "Show where file contents are, and move them."),
    "budgets": ("app.cli.commands.budgets:budgets", "Limit what batches may cost."),
    "completion": (
        "app.cli.commands.completion:completion",
        "Print the script that makes SHELL complete commands, options and their values.",
    ),
    "containers": ("app.cli.groups:containers", "Manage containers and the files in them."),
    "db": ("app.cli.operate.db:db", "Migrate, copy or fence the store, or query it with SQL."),
    "demo": ("app.cli.demo.command:demo", "Run a gateway with a small real model here."),
    "demo-model": ("app.cli.demo.model:demo_model", "Serve a small language model with llama.cpp."),
    "doctor": ("app.cli.operate.doctor:doctor", "Check everything that an operator would, and say what to do."),
    "events": ("app.cli.commands.events:events", "Read events: who wrote what, and what was rejected."),
    "files": ("app.cli.groups:files", "Upload, download and manage files."),
    "keys": ("app.cli.commands.keys:keys", "Create, list, change and end virtual keys."),
    "prices": ("app.cli.commands.prices:prices", "Set, import and list prices, in dollars for a million tokens."),
    "projects": ("app.cli.commands.projects:projects", "Create, list, change and archive projects."),
    "providers": ("app.cli.commands.providers:providers", "Show what each provider supports."),
    "release": (
        "app.cli.operate.release:release",
        "Migrate the store, and check all that web and worker will need.",
    ),
    "restore": (
        "app.cli.operate.copies:restore",
        "Restore the backup in FOLDER into DATABASE_URL and BATCHGATE_BLOB_URL.",
    ),
    "secrets": ("app.cli.commands.secrets:secrets", "Show and rotate the keys that encrypt secrets in the store."),
    "sweep": ("app.cli.operate.sweep:sweep", "Delete expired objects and leftovers now."),
    "takeover": (
        "app.cli.operate.copies:takeover",
        "Open a store that is fenced or was moved, so that it sends lines and reaches providers again.",
    ),
    "top": (
        "app.cli.operate.top:top",
        "Show what the gateway does: accounts and models, workers, and the batches whose deadlines come first.",
    ),
    "usage": ("app.cli.commands.usage:usage", "Sum up usage and cost."),
    "webhooks": ("app.cli.groups:webhooks", "Look after webhooks, and bring them to a developer's machine."),
    "worker": ("app.cli.operate.worker:worker", "Run batches until SIGTERM or Ctrl-C."),
}


@click.group(
    cls=Lazy,
    sections={"Commands": COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
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
