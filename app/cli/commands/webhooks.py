"""The operator's `batchgate webhooks`: endpoints and deliveries of all projects, in the store."""

from collections.abc import Callable

import click

from app.cli.shared import context, instants
from app.cli.shared.text import plain_json
from app.lib import json
from app.services.webhooks import operators
from app.services.webhooks.operators import ShownDelivery, ShownEndpoint

STATES = ("pending", "delivered", "failed", "dropped")


@click.command("list")
@click.option("--project", help="Only endpoints of this project.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(project: str | None, as_json: bool) -> None:
    """List webhook endpoints, also those that batches brought along, with what waits for them.

    \b
    Example:
      batchgate webhooks list --project reports
    """
    with context.gateway() as gateway:
        shown = operators.endpoints_of(gateway, project=project)
    columns: dict[str, Callable[[ShownEndpoint], object]] = {
        "ENDPOINT": lambda row: row.endpoint,
        "PROJECT": lambda row: row.project,
        "NAME": lambda row: row.name or "(of a batch)",
        "URL": lambda row: row.url,
        "PENDING": lambda row: row.pending or None,
        "FAILURES": lambda row: row.failures or None,
        "PAUSED UNTIL": lambda row: instants.shown(row.paused_until),
    }
    click.echo(context.listed(shown, columns, as_json=as_json))


@click.command()
@click.option("--project", help="Only deliveries of this project.")
@click.option("--state", type=click.Choice(STATES), help="Only deliveries in this state.")
@click.option(
    "-n", "--lines", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many, newest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def deliveries(project: str | None, state: str | None, lines: int, as_json: bool) -> None:
    """List deliveries, newest first.

    \b
    Example:
      batchgate webhooks deliveries --state failed -n 100
    """
    with context.gateway() as gateway:
        shown = operators.deliveries_of(gateway, project=project, state=state, limit=lines)
    columns: dict[str, Callable[[ShownDelivery], object]] = {
        "DELIVERY": lambda row: row.delivery,
        "PROJECT": lambda row: row.project,
        "EVENT": lambda row: row.event_type,
        "BATCH": lambda row: row.batch,
        "ENDPOINT": lambda row: row.endpoint,
        "STATE": lambda row: row.state,
        "ATTEMPTS": lambda row: row.attempts,
        "STATUS": lambda row: row.status_code,
        "NEXT": lambda row: instants.shown(row.next_at),
        "ERROR": lambda row: row.error,
    }
    click.echo(context.listed(shown, columns, as_json=as_json))


@click.command()
@click.argument("delivery")
def replay(delivery: str) -> None:
    """Deliver the event of DELIVERY again.

    \b
    Example:
      batchgate webhooks replay whd_00061f...
    """
    with context.gateway() as gateway:
        made = operators.replay(gateway, delivery)
    click.echo(f"Delivery {made} is due; a worker sends it.")


@click.command()
@click.argument("endpoint")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def test(endpoint: str, as_json: bool) -> None:
    """Send a sample to ENDPOINT now. The exit status is 1 unless it answers 2xx.

    \b
    Example:
      batchgate webhooks test we_00061f...
    """
    with context.gateway() as gateway:
        tried = operators.try_out(gateway, endpoint)
    if as_json:
        click.echo(plain_json(json.dumps({"endpoint": endpoint, "status_code": tried})))
    else:
        click.echo(f"{endpoint} answered {tried}.")
    if not 200 <= tried < 300:
        raise SystemExit(1)
