"""The operator's `batchgate containers adopt`: adopts containers that exist only at a provider."""

import click

from app.cli.shared import context
from app.services.containers import adoption


@click.command()
@click.option("--project", required=True, help="Project for the container; created if it is new.")
@click.option("--provider", required=True, help="Provider that has it.")
@click.option("--account", help="Name of the account that has it. Default: the account for new work.")
@click.option("--id", "native_id", required=True, help="Native id of the container.")
@click.option("--yes", is_flag=True, help="Adopt it. Without this option the command only shows what it would do.")
def adopt(project: str, provider: str, account: str | None, native_id: str, yes: bool) -> None:
    """Adopt a container at a provider into a project, such as one that a model created.

    \b
    Example:
      batchgate containers adopt --project reports --provider openrouter --id cntr_abc123 --yes
    """
    with context.gateway() as gateway, context.plain_errors():
        candidate = adoption.look(gateway, provider=provider.lower(), account=account, native_id=native_id)
        if not yes:
            click.echo(
                f"{candidate.native.id} is {candidate.native.status}. Nothing was changed: add --yes to adopt it."
            )
            return
        click.echo(adoption.adopt(gateway, candidate, project=project))
