"""`batchgate providers`: shows what each provider supports."""

from collections import Counter
from typing import Any

import click

from app.cli.shared import context
from app.cli.shared.abilities import GROUPS, size, windows, word
from app.connectors.catalogue import registry
from app.connectors.contract.abilities import OPERATIONS, Abilities
from app.lib import json
from app.services.accounts import admin

MARKS = {"native": "N", "emulated": "E", "-": "-"}
LEGEND = "N native   E emulated by the gateway   - unsupported_operation"

Row = tuple[str, Abilities, int]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with all declared abilities.")
def providers(as_json: bool) -> None:
    """Show what each provider supports.

    The table lists operations on files, batches and containers, limits, and the number of accounts.

    \b
    Examples:
      batchgate providers
      batchgate providers --json | jq '.[] | select(.accounts > 0)'
    """
    rows = _rows()
    if as_json:
        click.echo(json.dumps([_object(*row) for row in rows]))
        return
    heads = ("PROVIDER", "FILES", "BATCHES", "CONTAINERS", "FILE", "BATCH", "LINES", "WINDOWS", "MODELS", "ACCOUNTS")
    click.echo(context.columns(heads, [_cells(*row) for row in rows]))
    click.echo(f"\n{LEGEND}")
    for title, operations, prefix in GROUPS:
        click.echo(f"{title.upper()}: {', '.join(name.removeprefix(prefix) for name in operations)}")


def _rows() -> list[Row]:
    """Returns each provider with its abilities and number of accounts. Without a store, only the catalogue is shown."""
    counts: Counter[str] = Counter()
    compatible: dict[str, Abilities] = {}
    if not context.is_absent(context.settings(quiet=True)):
        with context.gateway() as gateway:
            counts.update(account.provider for account in admin.list_(gateway) if account.state != "retired")
            others = [name for name in gateway.accounts.known() if not registry.is_known(name)]
            compatible = {name: gateway.accounts.abilities(name) for name in others}
    listed: list[Row] = [(entry.name, entry.abilities, counts[entry.name]) for entry in registry.providers()]
    return listed + [(name, abilities, counts[name]) for name, abilities in compatible.items()]


def _cells(name: str, abilities: Abilities, accounts: int) -> tuple[object, ...]:
    marks = ["".join(MARKS[word(abilities, op)] for op in operations) for _, operations, _ in GROUPS]
    if word(abilities, "batch_create") != "native":
        limits: tuple[object, ...] = (size(abilities.files.bytes), "", "", "", "")
    else:
        jobs = abilities.jobs
        models = "one" if jobs.single_model else "any"
        limits = (size(abilities.files.bytes), size(jobs.bytes), jobs.lines, windows(abilities), models)
    return (name, *marks, *limits, accounts or "")


def _object(name: str, abilities: Abilities, accounts: int) -> dict[str, Any]:
    files, jobs = abilities.files, abilities.jobs
    return {
        "provider": name,
        "accounts": accounts,
        "operations": {operation: word(abilities, operation) for operation in OPERATIONS},
        "line_endpoints": sorted(abilities.lines),
        "file_limits": {"bytes": files.bytes, "direct_purposes": sorted(files.direct)},
        "batch_limits": {
            "endpoints": sorted(jobs.endpoints),
            "windows": sorted(jobs.windows),
            "bytes": jobs.bytes,
            "lines": jobs.lines,
            "line_bytes": jobs.line_bytes,
            "single_model": jobs.single_model,
            "custom_id": jobs.custom_id,
            "inline": jobs.inline,
            "min_lines": jobs.min_lines,
        },
    }
