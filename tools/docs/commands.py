"""Generate docs/cli.md: the commands, as the command line itself describes them."""

from collections.abc import Iterator

import click

from app.cli import COMMANDS, batchgate
from app.cli.groups import CLIENT
from app.cli.shared.lazy import Lazy

HEAD = """# The command line

`batchgate COMMAND --help` explains each command, with examples. Generated from the code by `make docs`.

## Which commands work where

**With a key, from any machine.** `batch`, and most commands of `batches`, `files` and `containers`, are clients: they
speak HTTP to the gateway at `--base-url` with `--api-key`, else with `BATCHGATE_BASE_URL` and `BATCHGATE_API_KEY`,
else with the gateway and key that `make run` wrote to `client.json` under `BATCHGATE_HOME`. They see the project of
the key, and need no access to the store.

**On the operator's machine.** All others read and write the store that `DATABASE_URL` names, with the settings of
[settings.md](settings.md), and see all projects. That never depends on what is configured: each command is of one
kind, and the help texts of `batches`, `files` and `containers` list both kinds apart.

## Follow and steer batches

    batchgate files upload questions.jsonl
    batchgate batches list --status in_progress
    batchgate batches show batch_00061f...
    batchgate batches watch batch_00061f...
    batchgate batches lines batch_00061f... --state failed
    batchgate batches errors batch_00061f...
    batchgate batches results batch_00061f... --output answers.jsonl
    batchgate batches pause batch_00061f...
    batchgate batches resume batch_00061f...
    batchgate batches set batch_00061f... --priority 5 --finish-by 8h
    batchgate batches retry batch_00061f... --model gpt-5-mini
    batchgate batches clone batch_00061f... --provider anthropic --model claude-sonnet-4-5

`watch` says how fast a batch runs, how long it will take, and why it waits. On a terminal one line changes in place;
in a pipe a line is printed when something is new. Ctrl-C leaves the batch alone, and the command says how to go on.

Lists show 20 rows and say how to go on; `--all` follows them to their end, a page in memory at a time. `--json`
prints what the gateway answers: an array for lists, else an object, and for `watch` and `top` an object a line.

## Files

    batchgate files upload manual.pdf --purpose user_data
    batchgate files list
    batchgate files download file-00061f... --output answers.jsonl --force
    batchgate files delete file-00061f...

Files over 64 MiB go up in parts. When the connection or the command ends, run the same command again within an hour:
parts that are there are not sent again, and the whole is checked. What is under way is remembered in
`~/.local/state/batchgate` (`$XDG_STATE_HOME`).

Downloads go on, too, from a file `.ID.part` beside their target, which appears when it is complete and its SHA-256 is
right. Nothing is replaced without `--force`. A name that the gateway gives becomes a plain name in the folder: never
a path, a hidden file or an option.

No command writes control characters of names, messages or answers to a terminal: they are shown as `\\x1b`, and in
JSON as `\\u001b`.

## See what goes on

    batchgate top
    batchgate top --once --json
    batchgate doctor
    batchgate doctor --url https://batchgate.example.com

`top` shows accounts and models (lines that wait, that are in flight, ceilings, pauses with the provider's words),
workers, and the batches whose deadlines come first.

`doctor` looks at settings, permissions, migrations, store, key ring, blobs, disk, clock, workers and accounts, and
says what to do. With `--url` it also asks a running gateway through nginx: headers, the size of bodies, downloads by
`X-Accel-Redirect`, the address that the gateway sees of its clients, and clocks. It takes a key for downloads and
addresses. How long nginx waits cannot be seen from outside.

## Exit status

Errors go to standard error; standard output has only what was asked for.

| status | means |
|---|---|
| 0 | Done. `batch run`, `batches watch`: every line has a response. `doctor`: all is well. |
| 1 | Done, and the answer is no. `batch run`: the batch ended otherwise. `batches watch`: it is completed, and \
lines failed. `doctor`: there are warnings. `db check`: the store is not up to date. `accounts test`: one does not \
work. `secrets status`: no key opens a value. |
| 2 | Not done: wrong usage, something is refused, or gateway or store do not answer. `doctor`: something is broken. |
| 3, 4, 5 | `batches watch`: the batch failed, expired, or was cancelled. |
| 130 | Ctrl-C while a batch is followed, or a file is on its way. Both go on later. |

## Completion

    batchgate completion bash > ~/.local/share/bash-completion/completions/batchgate
    batchgate completion zsh > ~/.zfunc/_batchgate
    batchgate completion fish > ~/.config/fish/completions/batchgate.fish

## All commands

| command | what it does | where |
|---|---|---|
"""
OF_CLIENTS = ("batch",)
HTTP, STORE, ANYWHERE = "HTTP", "store", "-"
NEED_NOTHING = ("completion", "demo-model")


def render() -> str:
    """Render the page as Markdown."""
    rows = []
    for name in COMMANDS:
        command = batchgate.get_command(click.Context(batchgate), name)
        assert command is not None  # noqa: S101 - it is listed
        where = HTTP if name in OF_CLIENTS else ANYWHERE if name in NEED_NOTHING else STORE
        rows += [f"| `batchgate {words}` | {text} | {place} |\n" for words, text, place in _below(name, command, where)]
    return "".join([HEAD, *rows])


def _below(words: str, command: click.Command, where: str) -> Iterator[tuple[str, str, str]]:
    """Yields the commands of a group, or the command itself."""
    if not isinstance(command, click.Group):
        yield words, command.get_short_help_str(limit=200), where
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None  # noqa: S101 - it is listed
        place = where
        if isinstance(command, Lazy):
            place = HTTP if name in command.sections.get(CLIENT, {}) else STORE
        yield from _below(f"{words} {name}", inner, place)
