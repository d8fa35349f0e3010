"""`batchgate keys`: virtual keys of projects."""

import re
from datetime import UTC, datetime

import click

from app.cli import context
from app.lib import json
from app.services import keys as service

NAME_LENGTH = 64
ACCOUNT = re.compile(r"([a-z][a-z0-9-]{0,63}/)?[a-z0-9][a-z0-9._-]{0,47}")


@click.group()
def keys() -> None:
    """Make, list and revoke virtual keys."""


def _name(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    value = value.strip()
    if len(value) > NAME_LENGTH or not value.isprintable() or (parameter.required and not value):
        raise click.BadParameter(f"must be 1 to {NAME_LENGTH} printable characters.")
    return value


def _accounts(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [value for value in values if not ACCOUNT.fullmatch(value)]:
        raise click.BadParameter(f"{wrong[0]!r} is no name of an account, such as team-a or openai/team-a.")
    return values


@keys.command()
@click.option(
    "--project", required=True, callback=_name, help="The project that the key belongs to; made if it is new."
)
@click.option("--name", default="", callback=_name, help="What the key is for, to recognise it in the list.")
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="NAME",
    callback=_accounts,
    help="An account that the key may use, as NAME or PROVIDER/NAME; may be repeated. None: all accounts.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of the key alone.")
def create(project: str, name: str, accounts: tuple[str, ...], as_json: bool) -> None:
    """Make a key and print it. It cannot be shown again: the store keeps only an HMAC of it.

    \b
    Examples:
      batchgate keys create --project reports --name nightly
      BATCHGATE_API_KEY=$(batchgate keys create --project reports)
      batchgate keys create --project reports --account team-a --account ollama/env
    """
    with context.gateway() as gateway:
        issued = service.create(gateway, project=project, name=name, accounts=accounts)
    if as_json:
        body = {
            "id": issued.public_id,
            "project": issued.project,
            "name": issued.name,
            "key": issued.key,
            "accounts": list(accounts) or None,
        }
        click.echo(json.dumps(body))
        return
    click.echo(issued.key)
    click.echo(f"Key {issued.public_id} of project {issued.project}. Keep it now: it is not shown again.", err=True)


@keys.command("list")
@click.option("--project", help="Only the keys of this project.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(project: str | None, as_json: bool) -> None:
    """List keys, oldest first. The keys themselves are not kept.

    \b
    Example:
      batchgate keys list --project reports
    """
    with context.gateway() as gateway:
        found = service.list_(gateway, project=project)
    if as_json:
        body = [
            {
                "id": key.public_id,
                "project": key.project,
                "name": key.name,
                "accounts": key.accounts,
                "created_at": key.created_at // 1000,
                "revoked_at": key.revoked_at // 1000 if key.revoked_at else None,
            }
            for key in found
        ]
        click.echo(json.dumps(body))
        return
    rows = [
        (
            key.public_id,
            key.project,
            key.name,
            ", ".join(key.accounts or ("all",)),
            _instant(key.created_at),
            _instant(key.revoked_at),
        )
        for key in found
    ]
    click.echo(context.columns(("ID", "PROJECT", "NAME", "ACCOUNTS", "CREATED", "REVOKED"), rows))


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """End a key at once. ID is what `keys list` shows; the key itself is taken, too.

    \b
    Example:
      batchgate keys revoke 0f3c9a1b2d4e5f60
    """
    public_id = key_id.removeprefix(service.PREFIX).partition("-")[0]
    with context.gateway() as gateway:
        if not service.revoke(gateway, public_id):
            raise click.ClickException(f"There is no key {public_id}, or it is revoked already.")
    click.echo(f"Key {public_id} is revoked.")


def _instant(at_ms: int | None) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") if at_ms else ""
