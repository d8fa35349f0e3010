"""`batchgate containers`: what a provider has, and the gateway does not know yet."""

import click

from app.cli.shared import context
from app.services.containers import adoption


@click.group()
def containers() -> None:
    """Bring a provider's containers into a project."""


@containers.command()
@click.option("--project", required=True, help="The project that gets the container; made if it is new.")
@click.option("--provider", required=True, help="The provider that has it.")
@click.option("--account", help="The name of the account that has it. Left out: the one that gets new work.")
@click.option("--id", "native_id", required=True, help="The container's native id.")
@click.option("--yes", is_flag=True, help="Do it. Without this option it is only told what would be done.")
def adopt(project: str, provider: str, account: str | None, native_id: str, yes: bool) -> None:
    """Make a container of a project from one that an account has, as those that models make for themselves.

    \b
    Example:
      batchgate containers adopt --project reports --provider openrouter --id cntr_abc123 --yes
    """
    with context.gateway() as gateway, context.told():
        found = adoption.look(gateway, provider=provider.lower(), account=account, native_id=native_id)
        if not yes:
            click.echo(f"{found.native.id} is {found.native.status}. Nothing was changed: add --yes to adopt it.")
            return
        click.echo(adoption.adopt(gateway, found, project=project))
