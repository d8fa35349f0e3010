"""`batchgate files`: what a provider has, and the gateway does not know yet."""

from dataclasses import asdict
from typing import Any

import click

from app.cli.shared import context
from app.lib import json
from app.services.files import adoption
from app.services.files.adoption import Candidate, Selection


@click.group()
def files() -> None:
    """Bring a provider's files into a project."""


@files.command()
@click.option("--project", required=True, help="The project that gets the files; made if it is new.")
@click.option("--provider", required=True, help="The provider that has them.")
@click.option("--account", help="The name of the account that has them. Left out: the one that gets new work.")
@click.option("--purpose", help="Only files of this purpose, in the provider's words.")
@click.option("--id", "native_ids", multiple=True, help="Only the file with this native id; may be repeated.")
@click.option("--yes", is_flag=True, help="Do it. Without this option it is only told what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each file.")
def adopt(
    project: str,
    provider: str,
    account: str | None,
    purpose: str | None,
    native_ids: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Make files of a project from files that an account has. Their bytes stay there; known ones are skipped.

    \b
    Examples:
      batchgate files adopt --project reports --provider openai --purpose batch
      batchgate files adopt --project reports --provider openai --id file-abc123 --yes
    """
    selection = Selection(project, provider.lower(), account, purpose, native_ids)
    counts: dict[str, int] = {}
    with context.gateway() as gateway, context.told():
        for found in adoption.candidates(gateway, selection):
            shown = adoption.adopt(gateway, selection, found) if yes and found.state == adoption.NEW else found
            counts[shown.state] = counts.get(shown.state, 0) + 1
            click.echo(json.dumps(_body(shown)) if as_json else _line(shown))
    if not as_json:
        told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no files"
        click.echo(f"{told}." + ("" if yes else " Nothing was changed: add --yes to adopt the new ones."))


def _body(found: Candidate) -> dict[str, Any]:
    return {"state": found.state, "file": found.file_id, "account": found.account, "native": asdict(found.native)}


def _line(found: Candidate) -> str:
    size = "" if found.native.bytes is None else f"{found.native.bytes} bytes"
    cells = (found.state, found.file_id, found.native.id, found.native.purpose, size, found.native.filename)
    return "  ".join(cell for cell in cells if cell)
