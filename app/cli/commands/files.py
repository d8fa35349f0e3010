"""The operator's `batchgate files adopt`: adopts files that exist only at a provider."""

from dataclasses import asdict
from typing import Any

import click

from app.cli.shared import context
from app.cli.shared.text import plain, plain_json
from app.lib import json
from app.services.files import adoption
from app.services.files.adoption import Candidate, Selection


@click.command()
@click.option("--project", required=True, help="Project for the files; created if it is new.")
@click.option("--provider", required=True, help="Provider that has them.")
@click.option("--account", help="Name of the account that has them. Default: the account for new work.")
@click.option("--purpose", help="Only files with this purpose, as the provider names it.")
@click.option("--id", "native_ids", multiple=True, help="Only the file with this native id; repeatable.")
@click.option("--yes", is_flag=True, help="Adopt them. Without this option the command only shows what it would do.")
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
    """Adopt files at a provider into a project. Their bytes stay there; files already known are skipped.

    \b
    Examples:
      batchgate files adopt --project reports --provider openai --purpose batch
      batchgate files adopt --project reports --provider openai --id file-abc123 --yes
    """
    selection = Selection(project, provider.lower(), account, purpose, native_ids)
    counts: dict[str, int] = {}
    with context.gateway() as gateway, context.plain_errors():
        for found in adoption.candidates(gateway, selection):
            shown = adoption.adopt(gateway, selection, found) if yes and found.state == adoption.NEW else found
            counts[shown.state] = counts.get(shown.state, 0) + 1
            click.echo(plain_json(json.dumps(_body(shown))) if as_json else _line(shown))
    if not as_json:
        summary = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no files"
        click.echo(f"{summary}." + ("" if yes else " Nothing was changed: add --yes to adopt the new ones."))


def _body(candidate: Candidate) -> dict[str, Any]:
    return {
        "state": candidate.state,
        "file": candidate.file_id,
        "account": candidate.account,
        "native": asdict(candidate.native),
    }


def _line(candidate: Candidate) -> str:
    native = candidate.native
    size = "" if native.bytes is None else f"{native.bytes} bytes"
    cells = (candidate.state, candidate.file_id, native.id, native.purpose, size, native.filename)
    return "  ".join(plain(cell) for cell in cells if cell)
