"""`batchgate projects`: who owns files, batches and containers."""

from collections.abc import Callable, Iterator
from typing import Any

import click

from app.cli.shared import context, instants
from app.cli.shared.key_options import parse_limits
from app.lib import json
from app.services.access import projects as service
from app.services.access.projects import Project
from app.services.gateway import Gateway

HEADS = ("NAME", "STATE", "PROVIDER", "LIMITS", "CREATED", "DESCRIPTION")
CLEARABLE = ("description", "default-provider", "limits")
PAGE = 500

Command = Callable[..., None]


@click.group()
def projects() -> None:
    """Make, list, change and archive projects: each owns its keys, files, batches and containers."""


def _fields(command: Command) -> Command:
    provider = click.option("--default-provider", metavar="NAME", help="Where new objects go if a request names none.")
    limit = click.option(
        "--limit", "limits", multiple=True, metavar="NAME=N", callback=parse_limits, help="A limit; may be repeated."
    )
    description = click.option("--description", help="A sentence about it.")
    return description(provider(limit(command)))


@projects.command("list")
@click.option("--archived", is_flag=True, help="Those that are archived instead.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(archived: bool, as_json: bool) -> None:
    """List projects by name.

    \b
    Example:
      batchgate projects list --json
    """
    with context.gateway() as gateway:
        found = list(_all(gateway, archived=archived))
    if as_json:
        click.echo(json.dumps([_wire(project) for project in found]))
        return
    click.echo(context.columns(HEADS, [_row(project) for project in found]))


@projects.command()
@click.argument("name")
@_fields
def create(name: str, **asked: Any) -> None:
    """Make a project. `batchgate keys create` makes keys of it.

    \b
    Example:
      batchgate projects create reports --description 'Nightly reports' --limit open_batches=20
    """
    with context.gateway() as gateway:
        service.create(gateway, name=name, **asked)
    click.echo(f"Project {name} is made.")


@projects.command("set")
@click.argument("name")
@_fields
@click.option("--clear", multiple=True, type=click.Choice(CLEARABLE), help="What is to be set no more; repeatable.")
@click.option("--restore", is_flag=True, help="Take it out of the archive.")
def set_(name: str, clear: tuple[str, ...], restore: bool, **asked: Any) -> None:
    """Change a project. The limits that are given replace all.

    \b
    Examples:
      batchgate projects set reports --default-provider openai --limit requests_per_minute=600
      batchgate projects set reports --clear limits --restore
    """
    wanted: dict[str, Any] = {field: value for field, value in asked.items() if value}
    for option in clear:
        if (field := option.replace("-", "_")) in wanted:
            raise click.UsageError(f"{option} is both set and cleared.")
        wanted[field] = None
    if restore:
        wanted["archived"] = False
    if not wanted:
        raise click.UsageError("Say what to change.")
    with context.gateway() as gateway:
        service.change(gateway, name, wanted)
    click.echo(f"Project {name} is changed.")


@projects.command()
@click.argument("name")
def archive(name: str) -> None:
    """End a project: its keys are refused. What runs goes on, and nothing is forgotten.

    \b
    Example:
      batchgate projects archive reports
    """
    with context.gateway() as gateway:
        service.archive(gateway, name)
    click.echo(f"Project {name} is archived.")


def _all(gateway: Gateway, *, archived: bool) -> Iterator[Project]:
    after, more = None, True
    while more:
        page = service.list_(gateway, limit=PAGE, after=after, archived=archived)
        yield from page.items
        after, more = page.items[-1].name if page.items else None, page.has_more


def _row(project: Project) -> tuple[object, ...]:
    return (
        project.name,
        "active" if project.archived_at is None else "archived",
        project.default_provider,
        ", ".join(f"{name}={value}" for name, value in project.limits.items()),
        instants.shown(project.created_at),
        project.description,
    )


def _wire(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "description": project.description,
        "default_provider": project.default_provider,
        "limits": dict(project.limits),
        "created_at": project.created_at // 1000,
        "archived_at": project.archived_at // 1000 if project.archived_at else None,
    }
