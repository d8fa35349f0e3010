"""`batchgate containers list|show|create|delete`: containers of the key's project, over HTTP."""

import click

from app.cli.client import pages
from app.cli.client.http import Gateway, segment
from app.cli.client.options import Client, as_json, instant, show_fields, show_json
from app.cli.shared.text import plain

MEMORY = ("1g", "4g", "16g", "64g")
MAX_MINUTES = 20
LIST: pages.Shown = {
    "CONTAINER": lambda container: container["id"],
    "STATUS": lambda container: container.get("status"),
    "PROVIDER": lambda container: (container.get("extra_fields") or {}).get("provider"),
    "CREATED": lambda container: instant(container.get("created_at")),
    "LAST ACTIVE": lambda container: instant(container.get("last_active_at")),
    "NAME": lambda container: container.get("name"),
}


@click.command("list", cls=Client)
@click.option("--name", help="Only containers of this name.")
@click.option("--provider", help="Only containers at this provider.")
@pages.list_options
def list_(
    name: str | None,
    provider: str | None,
    limit: int,
    all_: bool,
    after: str | None,
    as_json: bool,
    gateway: Gateway,
) -> None:
    """List the project's containers, newest first.

    \b
    Example:
      batchgate containers list
    """
    query = {"name": name, "provider": provider}
    pages.show(gateway, "/containers", LIST, query=query, limit=limit, all_=all_, after=after, as_json=as_json)


@click.command(cls=Client)
@click.argument("container")
@as_json
def show(container: str, as_json: bool, gateway: Gateway) -> None:
    """Show CONTAINER. To look at a running one keeps it alive.

    \b
    Example:
      batchgate containers show cntr_00061f...
    """
    found = gateway.call("GET", f"/containers/{segment(container)}")
    if as_json:
        show_json(found)
        return
    extra = found.get("extra_fields") or {}
    show_fields(
        {
            "container": found["id"],
            "name": found.get("name"),
            "status": found.get("status"),
            "provider": extra.get("provider"),
            "id there": extra.get("native_id"),
            "memory": found.get("memory_limit"),
            "ends after": f"{(found.get('expires_after') or {}).get('minutes')} min without use",
            "created": instant(found.get("created_at")),
            "last active": instant(found.get("last_active_at")),
        }
    )


@click.command(cls=Client)
@click.argument("name")
@click.option("--provider", help="Provider that runs it.  [default: the gateway's]")
@click.option("--memory", type=click.Choice(MEMORY), help="Memory.  [default: 1g]")
@click.option("--minutes", type=click.IntRange(1, MAX_MINUTES), help="Minutes without use after which it ends.")
@click.option("--file", "files", metavar="ID", multiple=True, help="File of the project to copy into it. Repeatable.")
@as_json
def create(
    name: str,
    provider: str | None,
    memory: str | None,
    minutes: int | None,
    files: tuple[str, ...],
    as_json: bool,
    gateway: Gateway,
) -> None:
    """Create a container called NAME, and print its id.

    \b
    Example:
      batchgate containers create reports --memory 4g --file file-00061f...
    """
    given = {
        "name": name,
        "provider": provider,
        "memory_limit": memory,
        "expires_after": {"anchor": "last_active_at", "minutes": minutes} if minutes else None,
        "file_ids": list(files) or None,
    }
    body = {field: value for field, value in given.items() if value is not None}
    made = gateway.post_once("/containers", body)
    if as_json:
        show_json(made)
    else:
        click.echo(plain(made["id"]))


@click.command(cls=Client)
@click.argument("containers", metavar="CONTAINER...", nargs=-1, required=True)
@as_json
def delete(containers: tuple[str, ...], as_json: bool, gateway: Gateway) -> None:
    """Delete containers and the files in them.

    \b
    Example:
      batchgate containers delete cntr_00061f...
    """
    for container in containers:
        answer = gateway.call("DELETE", f"/containers/{segment(container)}")
        if as_json:
            show_json(answer)
        else:
            click.echo(f"{plain(answer['id'])} is deleted.")
