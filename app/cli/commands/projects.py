"""`batchgate projects`: manages projects, which own keys, files, batches and containers."""

from collections.abc import Callable, Iterator
from typing import Any, TypedDict, Unpack

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


class _Fields(TypedDict):
    description: str | None
    default_provider: str | None
    limits: dict[str, int]


@click.group()
def projects() -> None:
    """Create, list, change and archive projects. A project owns its keys, files, batches and containers."""


def _fields(command: Command) -> Command:
    provider = click.option(
        "--default-provider", metavar="NAME", help="Provider for new objects when a request names none."
    )
    limit = click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="NAME=N",
        callback=parse_limits,
        help="A limit, such as open_batches=20; repeatable.",
    )
    description = click.option("--description", help="Free text.")
    return description(provider(limit(command)))


@projects.command("list")
@click.option("--archived", is_flag=True, help="List archived projects instead.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(archived: bool, as_json: bool) -> None:
    """List projects by name.

    \b
    Example:
      batchgate projects list --json
    """
    with context.gateway() as gateway:
        listed = list(_all(gateway, archived=archived))
    if as_json:
        click.echo(json.dumps([_as_dict(project) for project in listed]))
        return
    click.echo(context.columns(HEADS, [_row(project) for project in listed]))


@projects.command()
@click.argument("name")
@_fields
def create(name: str, **fields: Unpack[_Fields]) -> None:
    """Create a project. Then create keys for it with `batchgate keys create`.

    \b
    Example:
      batchgate projects create reports --description 'Nightly reports' --limit open_batches=20
    """
    with context.gateway() as gateway:
        service.create(gateway, name=name, **fields)
    click.echo(f"Project {name} is made.")


@projects.command("set")
@click.argument("name")
@_fields
@click.option("--clear", multiple=True, type=click.Choice(CLEARABLE), help="Remove this setting; repeatable.")
@click.option("--restore", is_flag=True, help="Restore an archived project.")
def set_(name: str, clear: tuple[str, ...], restore: bool, **fields: Unpack[_Fields]) -> None:
    """Change a project. Limits that are given replace all limits.

    \b
    Examples:
      batchgate projects set reports --default-provider openai --limit requests_per_minute=600
      batchgate projects set reports --clear limits --restore
    """
    values: dict[str, Any] = {field: value for field, value in fields.items() if value}
    for option in clear:
        if (field := option.replace("-", "_")) in values:
            raise click.UsageError(f"{option} is both set and cleared.")
        values[field] = None
    if restore:
        values["archived"] = False
    if not values:
        raise click.UsageError("Nothing to change: give at least one option.")
    with context.gateway() as gateway:
        service.change(gateway, name, values)
    click.echo(f"Project {name} is changed.")


@projects.command()
@click.argument("name")
def archive(name: str) -> None:
    """Archive a project: its keys are rejected. Running batches continue, and nothing is deleted.

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


def _as_dict(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "description": project.description,
        "default_provider": project.default_provider,
        "limits": dict(project.limits),
        "created_at": project.created_at // 1000,
        "archived_at": project.archived_at // 1000 if project.archived_at else None,
    }
