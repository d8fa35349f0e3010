"""The operator's `batchgate batches`: shows and resolves jobs at providers, adopts batches that exist only there."""

from collections.abc import Callable

import click

from app.cli.shared import context, instants
from app.cli.shared.text import plain, plain_json
from app.lib import json
from app.services.batches import adoption
from app.services.batches import batches as batch_lists
from app.services.batches.adoption import Selection
from app.services.batches.batches import WaitingBatch
from app.services.jobs import admin
from app.services.jobs.admin import Resolution, ShownJob

HEADS = ("JOB", "ACCOUNT", "STATE", "STATUS", "LINES", "DONE", "NATIVE ID", "FAULTS", "LAST ERROR")


@click.command()
@click.argument("batch")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def jobs(batch: str, as_json: bool) -> None:
    """List the jobs of BATCH with their states and progress.

    \b
    Example:
      batchgate batches jobs batch_00061f...
    """
    with context.gateway() as gateway:
        shown = admin.list_(gateway, batch)
    if as_json:
        click.echo(plain_json(json.dumps([_fields(row) for row in shown])))
        return
    rows = [
        (
            row.number,
            f"{row.provider}/{row.account}",
            row.state,
            row.status,
            row.lines,
            row.lines_completed + row.lines_failed,
            row.native_id,
            row.faults or None,
            row.last_error,
        )
        for row in shown
    ]
    click.echo(context.columns(HEADS, rows))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def waiting(as_json: bool) -> None:
    """List what running batches wait for: a pause, another try, an account, their provider.

    \b
    Example:
      batchgate batches waiting
    """
    with context.gateway() as gateway:
        shown = batch_lists.waiting(gateway)
    columns: dict[str, Callable[[WaitingBatch], object]] = {
        "BATCH": lambda row: row.batch,
        "PROJECT": lambda row: row.project,
        "WAITS FOR": lambda row: row.reason,
        "SINCE": lambda row: instants.shown(row.since_ms),
        "UNTIL": lambda row: instants.shown(row.until_ms),
        "LINES": lambda row: row.lines or None,
        "REASON": lambda row: row.message,
    }
    click.echo(context.listed(shown, columns, as_json=as_json))


@click.command()
@click.argument("batch")
@click.option("--job", "number", type=int, help="Number of the job, if several jobs of the batch are unknown.")
@click.option("--retry", is_flag=True, help="The provider does not have the job: submit it again.")
@click.option("--fail", is_flag=True, help="Give up on the job: its lines fail.")
@click.option("--native-id", metavar="ID", help="The provider has the job, under this id.")
def resolve(batch: str, number: int | None, retry: bool, fail: bool, native_id: str | None) -> None:
    """Resolve a job of BATCH that is `unknown`.

    The gateway lost the answer when it submitted the job, and cannot find out whether the provider created it. Check
    the provider's console first: a job that exists and is submitted again runs, and costs, twice.

    \b
    Examples:
      batchgate batches resolve batch_00061f... --native-id batch_abc123
      batchgate batches resolve batch_00061f... --job 2 --retry
    """
    if sum((retry, fail, native_id is not None)) != 1:
        raise click.UsageError("Give exactly one of --retry, --fail and --native-id.")
    with context.gateway() as gateway:
        row = admin.resolve(gateway, batch, Resolution(native_id=native_id, again=retry), number=number)
    click.echo(f"Job {row.number} of {batch} is {row.state}.")


@click.command()
@click.option("--project", required=True, help="Project for the batches; created if it is new.")
@click.option("--provider", required=True, help="Provider that has them.")
@click.option("--account", help="Name of the account that has them. Default: the account for new work.")
@click.option("--id", "native_ids", multiple=True, help="Only the batch with this native id; repeatable.")
@click.option("--yes", is_flag=True, help="Adopt them. Without this option the command only shows what it would do.")
def adopt(project: str, provider: str, account: str | None, native_ids: tuple[str, ...], yes: bool) -> None:
    """Adopt batches that exist at a provider into a project. Copies their inputs and results.

    
    Examples:
      batchgate batches adopt --project reports --provider openai
      batchgate batches adopt --project reports --provider openai --id batch_abc123 --yes
    """
    selection = Selection(project, provider.lower(), account, native_ids)
    counts: dict[str, int] = {}
    with context.gateway() as gateway, context.plain_errors():
        for found in adoption.candidates(gateway, selection):
            shown = adoption.adopt(gateway, selection, found) if yes and found.state == "new" else found
            counts[shown.state] = counts.get(shown.state, 0) + 1
            cells = (shown.state, shown.batch_id, shown.native.id, shown.native.status, shown.native.endpoint)
            click.echo("  ".join(plain(cell) for cell in cells if cell))
    summary = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no batches"
    click.echo(f"{summary}." + ("" if yes else " Nothing was changed: add --yes to adopt the new ones."))


def _fields(row: ShownJob) -> dict[str, object]:
    return {
        "number": row.number,
        "provider": row.provider,
        "account": row.account,
        "state": row.state,
        "status": row.status,
        "native_id": row.native_id,
        "native_status": row.native_status,
        "marker": row.marker,
        "attempt": row.attempt,
        "lines": row.lines,
        "lines_completed": row.lines_completed,
        "lines_failed": row.lines_failed,
        "faults": row.faults,
        "last_error": row.last_error,
        "errors": row.errors,
    }
