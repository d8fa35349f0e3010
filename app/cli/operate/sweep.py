"""`batchgate sweep`: runs the periodic cleanup once."""

import click

from app.cli.shared import context
from app.lib import json
from app.services.backups import fence
from app.services.upkeep import sweep as upkeep_sweep


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the counts as a JSON object.")
def sweep(as_json: bool) -> None:
    """Delete expired objects and leftovers now. Workers do the same every minute.

    \b
    Example:
      batchgate sweep --json
    """
    with context.gateway() as gateway, context.plain_errors():
        fence.check(gateway, is_write=True)
        swept = upkeep_sweep.sweep(gateway)
    if as_json:
        click.echo(json.dumps(swept))
    else:
        click.echo(context.columns(("WHAT", "SWEPT"), list(swept.items())))
