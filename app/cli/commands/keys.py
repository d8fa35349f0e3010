"""`batchgate keys`: manages the virtual keys of projects."""

from typing import Any, Unpack

import click

from app.cli.shared import context, instants
from app.cli.shared.key_options import CLEARABLE, LISTS, KeyOptions, fields, key_options
from app.lib import json
from app.services.access import keys as service
from app.services.access.keys import IssuedKey, KeyInfo

NAME_LENGTH = 64
INSTANTS = ("created_at", "expires_at", "revoked_at", "stopped_at")


@click.group()
def keys() -> None:
    """Create, list, change and end virtual keys."""


def _name(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    value = value.strip()
    if len(value) > NAME_LENGTH or not value.isprintable() or (parameter.required and not value):
        raise click.BadParameter(f"must be 1 to {NAME_LENGTH} printable characters.")
    return value


def _id(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Returns the public id, also of a whole key, whose secret is dropped here."""
    return value.strip().removeprefix(service.PREFIX).partition("-")[0]


key_id = click.argument("key_id", metavar="ID", callback=_id)


@keys.command()
@click.option("--project", required=True, callback=_name, help="Project that the key belongs to; created if it is new.")
@click.option("--name", default="", callback=_name, help="What the key is for, to recognize it in lists.")
@key_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of the key alone.")
def create(project: str, name: str, as_json: bool, **options: Unpack[KeyOptions]) -> None:
    """Create a key and print it. It cannot be shown again: only an HMAC of it is stored.

    \b
    Examples:
      batchgate keys create --project reports --name nightly
      BATCHGATE_API_KEY=$(batchgate keys create --project reports)
      batchgate keys create --project reports --account team-a --account ollama/env
      batchgate keys create --project reports --role viewer --network 10.0.0.0/8 --expires 90d
      batchgate keys create --project reports --provider openai --model 'gpt-5*' --limit open_batches=20
    """
    values = fields(options)
    with context.gateway() as gateway:
        issued = service.create(gateway, project=project, name=name, **values)  # type: ignore[misc]
        shown = _as_dict(service.retrieve(gateway, issued.public_id))
    if as_json:
        click.echo(json.dumps({**shown, "key": issued.key}))
    else:
        _show(issued)


@keys.command("list")
@click.option("--project", help="Only the keys of this project.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(project: str | None, as_json: bool) -> None:
    """List keys, oldest first. The keys themselves are not stored.

    \b
    Example:
      batchgate keys list --project reports
    """
    with context.gateway() as gateway:
        listed = service.list_(gateway, project=project)
    if as_json:
        click.echo(json.dumps([_as_dict(key) for key in listed]))
        return
    rows = [
        (
            key.public_id,
            key.project,
            key.name,
            key.role,
            key.state,
            _bounds(key),
            instants.shown(key.created_at),
            instants.shown(key.revoked_at or key.expires_at),
        )
        for key in listed
    ]
    click.echo(context.columns(("ID", "PROJECT", "NAME", "ROLE", "STATE", "ONLY", "CREATED", "ENDS"), rows))


@keys.command()
@key_id
@click.option("--name", callback=_name, help="What the key is for.")
@key_options
@click.option("--clear", multiple=True, type=click.Choice(CLEARABLE), help="Remove this setting; repeatable.")
def update(key_id: str, name: str | None, clear: tuple[str, ...], **options: Unpack[KeyOptions]) -> None:
    """Change a key from its next request on. Lists and limits that are given replace all entries.

    \b
    Examples:
      batchgate keys update 0f3c9a1b2d4e5f60 --model 'gpt-5*' --model text-embedding-3-small
      batchgate keys update 0f3c9a1b2d4e5f60 --clear models --expires 2027-01-31
    """
    values = fields(options, clear=clear)
    if name is not None:
        values["name"] = name
    if not values:
        raise click.UsageError("Nothing to change: give at least one option.")
    with context.gateway() as gateway:
        service.update(gateway, key_id, **values)
    click.echo(f"Key {key_id} is changed.")


@keys.command()
@key_id
def expire(key_id: str) -> None:
    """Expire a key now. Its running batches continue. `keys update --expires` makes it valid again.

    \b
    Example:
      batchgate keys expire 0f3c9a1b2d4e5f60
    """
    with context.gateway() as gateway:
        service.expire(gateway, key_id)
    click.echo(f"Key {key_id} is expired.")


@keys.command()
@key_id
@click.option(
    "--grace", metavar="TIME", callback=instants.duration, help="How long the old secret stays valid, such as 24h."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of the key alone.")
def rotate(key_id: str, grace: int | None, as_json: bool) -> None:
    """Give a key a new secret and print it. The old one ends at once, or after --grace. Running batches continue.

    \b
    Example:
      batchgate keys rotate 0f3c9a1b2d4e5f60 --grace 24h
    """
    with context.gateway() as gateway:
        issued = service.rotate(gateway, key_id, grace_s=grace or 0)
    if as_json:
        body = {"id": issued.public_id, "project": issued.project, "name": issued.name, "key": issued.key}
        click.echo(json.dumps(body))
    else:
        _show(issued)


@keys.command()
@key_id
@click.option("--stop", is_flag=True, help="Also cancel its running batches, including those at providers.")
def revoke(key_id: str, stop: bool) -> None:
    """Revoke a key for good. Its running batches continue unless you add --stop.

    ID is the id that `keys list` shows, or the key itself.

    \b
    Examples:
      batchgate keys revoke 0f3c9a1b2d4e5f60
      batchgate keys revoke 0f3c9a1b2d4e5f60 --stop
    """
    with context.gateway() as gateway:
        if not service.revoke(gateway, key_id, stop=stop):
            how = "stopped" if stop else "revoked"
            raise click.ClickException(f"There is no key {key_id}, or it is already {how}.")
    click.echo(f"Key {key_id} is revoked{'; its batches are being cancelled' if stop else ''}.")


def _show(issued: IssuedKey) -> None:
    click.echo(issued.key)
    click.echo(f"Key {issued.public_id} of project {issued.project}. Keep it now: it is not shown again.", err=True)


def _bounds(key: KeyInfo) -> str:
    parts = [f"{name} {', '.join(entries)}" for name in LISTS if (entries := getattr(key, name))]
    return "; ".join(parts) or "all"


def _as_dict(key: KeyInfo) -> dict[str, Any]:
    """A key as JSON; instants are Unix seconds."""
    at = {name: getattr(key, name) for name in INSTANTS}
    return {
        "id": key.public_id,
        "project": key.project,
        "name": key.name,
        "description": key.description,
        "kind": key.kind,
        "role": key.role,
        "state": key.state,
        **{name: getattr(key, name) for name in LISTS},
        "limits": dict(key.limits),
        **{name: value // 1000 if value else None for name, value in at.items()},
    }
