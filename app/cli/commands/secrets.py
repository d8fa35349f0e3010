"""`batchgate secrets`: the keys that seal what is secret in the store."""

from dataclasses import asdict

import click

from app.cli.shared import context
from app.lib import json
from app.services.access import secret_rotation
from app.services.access.secret_rotation import Status


@click.group()
def secrets() -> None:
    """Tell which keys seal the secrets of the store, and seal them anew under another one.

    Keys are shown by ids that say nothing of them. docs/operations.md has the steps.
    """


@secrets.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def status(as_json: bool) -> None:
    """Tell how many values of each table and column are sealed under which key. Exits with 1 when one opens under none.

    \b
    Example:
      batchgate secrets status --json
    """
    with context.gateway() as gateway:
        found = secret_rotation.status(gateway)
    if as_json:
        click.echo(json.dumps({**asdict(found), "outdated": found.outdated, "unopened": found.unopened}))
    else:
        click.echo(_table(found))
    if found.unopened:
        raise SystemExit(1)


@secrets.command()
@click.option("--new-key", is_flag=True, help="First make a key, where the ring is the file in BATCHGATE_HOME.")
@click.option("--drop-old", is_flag=True, help="In the end take the keys that nothing needs out of that file.")
def rotate(new_key: bool, drop_old: bool) -> None:
    """Seal everything anew under the first key of the ring, while gateways and workers run.

    It may be interrupted and run again. A dropped key opens no backup from before. Exits with 1 when values open
    under no key: they stay as they are, and so do all keys.

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


def _table(found: Status) -> str:
    rows: list[tuple[object, ...]] = []
    for column in found.columns:
        rows += [(column.label, key, column.by_key.get(key, 0), _use(found, key)) for key in found.key_ids]
        if column.unopened:
            rows.append((column.label, "none", column.unopened, "opens under no key"))
    return context.columns(("COLUMN", "KEY", "VALUES", ""), rows)


def _use(found: Status, key: str) -> str:
    return "seals" if key == found.key_ids[0] else "opens"
