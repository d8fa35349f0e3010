"""`batchgate backup`, `restore` and `takeover`, and what `batchgate db copy` shares with them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import click

from app import migrate
from app.auth.secrets import SealError
from app.blobs import BlobError
from app.cli.shared import context
from app.cli.shared.progress import Progress, copied
from app.data.batches import work
from app.lib import json
from app.services.access import pepper
from app.services.backups import create, fence
from app.services.backups import restore as restoring
from app.services.backups.manifest import Manifest
from app.settings import Settings


def upgrader(settings: Settings) -> Callable[[str], None]:
    """Returns what migrates the database at a URL."""
    return lambda url: migrate.upgrade(replace(settings, database_url=url))


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as a JSON object.")
def backup(folder: Path, as_json: bool) -> None:
    """Back up the store and its blobs into FOLDER, while the gateway runs.

    FOLDER gets the rows as an SQLite file, the blobs, their SHA-256 sums and, at the end, manifest.json. If the command
    is interrupted, run it again with the same FOLDER. The key ring is not part of the backup: keep
    BATCHGATE_SECRET_KEY, or the file secret_key, in another place.

    \b
    Examples:
      batchgate backup /backups/batchgate-2027-01-31
      (cd /backups/batchgate-2027-01-31 && sha256sum --check --quiet blobs.sha256)
    """
    progress = Progress()
    with context.gateway() as gateway, _file_errors():
        made = create.create(
            gateway,
            folder,
            revision=migrate.newest_revision(),
            upgrade=upgrader(gateway.settings),
            report=copied(progress),
        )
        progress.end()
    _print(made, as_json, f"Backed up to {folder}")


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as a JSON object.")
def restore(folder: Path, as_json: bool) -> None:
    """Restore the backup in FOLDER into DATABASE_URL and BATCHGATE_BLOB_URL.

    The database must be new. Blobs that are there already, with the right bytes, are kept, so an interrupted restore
    goes on when you run it again. The store is fenced then: it can be read, but sends no line, and creates and deletes
    nothing at a provider, until you run `batchgate takeover`.

    \b
    Example:
      DATABASE_URL=postgresql://user@host/new batchgate restore /backups/batchgate-2027-01-31
    """
    from app.wiring import blob_stores

    settings, progress = context.settings(quiet=True), Progress()
    with context.plain_errors(), _file_errors():
        found = restoring.restore(
            folder,
            database_url=settings.database_url,
            target=blob_stores(settings, lambda _: None).default,
            newest=migrate.newest_revision(),
            upgrade=upgrader(settings),
            report=copied(progress),
        )
        progress.end()
    _print(found, as_json, f"Restored the backup of {found.created_at}")
    click.echo("The store is fenced. Stop the original if it still runs, then: batchgate takeover", err=True)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask whether the original has stopped.")
def takeover(yes: bool) -> None:
    """Open a store that is fenced or was moved, so that it sends lines and reaches providers again.

    Run it when the other copy of the store has stopped for good. Two copies that both run would send lines twice, and
    each would delete what the other needs.

    \b
    Example:
      batchgate takeover --yes
    """
    with context.gateway(is_closed=True) as gateway:
        found = fence.now(gateway.database)
        if found.state == fence.OPEN:
            click.echo("The store is open already.", err=True)
            return
        try:
            pepper.check(gateway.database, gateway.ring)
        except SealError as error:
            raise context.Refused(f"{error} Bring the key ring of the original, then run this again.") from error
        click.echo(fence.describe(found), err=True)
        with gateway.database.read() as connection:
            click.echo(f"Batches that go on: {work.count_running(connection)}.", err=True)
        if not yes:
            click.confirm("Has the other copy stopped for good?", abort=True, err=True)
        fence.take_over(gateway)
    click.echo("The store is open. Processes notice within seconds.", err=True)


@contextmanager
def _file_errors() -> Iterator[None]:
    """Shows what is wrong with files and blob stores as a message without a traceback."""
    try:
        yield
    except (BlobError, OSError) as error:
        raise context.Refused(f"{error} Run the command again when this is mended: it goes on.") from error


def _print(manifest: Manifest, as_json: bool, done: str) -> None:
    if as_json:
        click.echo(json.dumps(asdict(manifest)))
        return
    rows = sum(manifest.rows.values())
    click.echo(f"{done}: {rows:,} rows, {manifest.blobs:,} blobs, {manifest.blob_bytes:,} bytes.")
