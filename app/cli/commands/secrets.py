"""`batchgate secrets`: shows and rotates the keys that encrypt secrets in the store."""

from dataclasses import asdict

import click

from app.cli.shared import context
from app.lib import json
from app.services.access import secret_rotation
from app.services.access.secret_rotation import Status


@click.group()
def secrets() -> None:
    """Show and rotate the keys that encrypt secrets in the store.

    Keys are shown by ids that reveal nothing about them. docs/operations.md describes the steps.
    """


@secrets.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def status(as_json: bool) -> None:
    """Show how many values of each column are encrypted under which key. Exit status 1 if no key opens a value.

    \b
    Example:
      batchgate secrets status --json
    """
    with context.gateway() as gateway:
        current = secret_rotation.status(gateway)
    if as_json:
        click.echo(json.dumps({**asdict(current), "outdated": current.outdated, "unopened": current.unopened}))
    else:
        click.echo(_table(current))
    if current.unopened:
        raise SystemExit(1)


@secrets.command()
@click.option("--new-key", is_flag=True, help="First add a new key, if the key ring is the file in BATCHGATE_HOME.")
@click.option("--drop-old", is_flag=True, help="Finally remove keys that nothing needs from that file.")
def rotate(new_key: bool, drop_old: bool) -> None:
    """Encrypt all secrets again under the first key of the ring, while gateways and workers run.

    You can interrupt it and run it again. Backups from before need the keys that --drop-old removes. The exit
    status is 1 if no key opens some values: they stay as they are, and no key is removed.

    \b
    Examples:
      batchgate secrets rotate --new-key
      batchgate secrets rotate --drop-old
    """
    with context.gateway() as gateway:
        done = secret_rotation.rotate(gateway, new_key=new_key)
        if done.new_key:
            click.echo(f"Key {done.new_key} is made, and seals from now on.")
        click.echo(f"{done.resealed} values are sealed anew under key {done.after.key_ids[0]}.")
        if done.after.unopened:
            click.echo(_table(done.after))
            raise SystemExit(1)
        if drop_old:
            dropped = secret_rotation.drop_old(gateway)
            click.echo(f"Dropped: {', '.join(dropped)}." if dropped else "There is no old key.")


def _table(status: Status) -> str:
    rows: list[tuple[object, ...]] = []
    for column in status.columns:
        rows += [(column.label, key, column.by_key.get(key, 0), _use(status, key)) for key in status.key_ids]
        if column.unopened:
            rows.append((column.label, "none", column.unopened, "opens under no key"))
    return context.columns(("COLUMN", "KEY", "VALUES", ""), rows)


def _use(status: Status, key: str) -> str:
    return "seals" if key == status.key_ids[0] else "opens"
