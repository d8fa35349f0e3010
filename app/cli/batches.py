"""`batchgate batches`: jobs that batches have at providers."""

import click

from app.cli import context
from app.data.database import AnyRow
from app.lib import json
from app.services import job_admin
from app.services.job_admin import Word

HEADS = ("JOB", "ACCOUNT", "STATE", "STATUS", "LINES", "DONE", "NATIVE ID", "FAULTS", "LAST ERROR")


@click.group()
def batches() -> None:
    """See the jobs of batches at providers, and settle those that the gateway can't."""


@batches.command()
@click.argument("batch")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def jobs(batch: str, as_json: bool) -> None:
    """List the jobs of BATCH: where each is, and how far.

    \b
    Example:
      batchgate batches jobs batch_00061f...
    """
    with context.gateway() as gateway:
        found = job_admin.listed(gateway, batch)
    if as_json:
        click.echo(json.dumps([_fields(row) for row in found]))
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
        for row in found
    ]
    click.echo(context.columns(HEADS, rows))


@batches.command()
@click.argument("batch")
@click.option("--job", "number", type=int, help="Its number, when several jobs of the batch are unknown.")
@click.option("--retry", is_flag=True, help="The provider does not have it: make it again.")
@click.option("--fail", is_flag=True, help="Give it up: its lines fail.")
@click.option("--native-id", metavar="ID", help="The provider has it, under this id.")
def resolve(batch: str, number: int | None, retry: bool, fail: bool, native_id: str | None) -> None:
    """Say what became of a job of BATCH that is `unknown`.

    The provider may have made it while nobody listened, and can't be asked. Look at its console first: a job that
    exists and is made again runs, and costs, twice.

    \b
    Examples:
      batchgate batches resolve batch_00061f... --native-id batch_abc123
      batchgate batches resolve batch_00061f... --job 2 --retry
    """
    if sum((retry, fail, native_id is not None)) != 1:
        raise click.UsageError("Give one of --retry, --fail and --native-id.")
    with context.gateway() as gateway:
        row = job_admin.resolve(gateway, batch, Word(native_id=native_id, again=retry), number=number)
    click.echo(f"Job {row.number} of {batch} is {row.state}.")


def _fields(row: AnyRow) -> dict[str, object]:
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
