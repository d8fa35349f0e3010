"""`batchgate db`: migrates, copies and fences the store, and opens a SQL prompt on it."""

import os
import shutil
from urllib.parse import quote, unquote, urlsplit

import click

from app import migrate
from app.cli.shared import context, prompt
from app.cli.shared.progress import Progress, copied
from app.data.store.database import DatabaseUrlError
from app.settings import Settings, with_driver


@click.group()
def db() -> None:
    """Migrate, copy or fence the store, or query it with SQL."""


@db.command()
def upgrade() -> None:
    """Migrate the store to the newest revision, and create it if it is missing. Safe to run repeatedly or concurrently.

    \b
    Example:
      DATABASE_URL=postgresql://user@host/batchgate batchgate db upgrade
    """
    settings = context.settings(quiet=True)
    with context.plain_errors():
        context.upgrade(settings)
    click.echo("The store is up to date.", err=True)


@db.command()
def check() -> None:
    """Check that the store is at the newest revision: exit status 0 if it is, 1 if not.

    \b
    Example:
      batchgate db check || batchgate db upgrade
    """
    settings = context.settings(quiet=True)
    with context.plain_errors():
        if context.is_absent(settings) or migrate.pending(settings):
            raise click.ClickException("The store is not up to date: run `batchgate db upgrade`.")
    click.echo("The store is up to date.")


@db.command()
@click.option(
    "--write",
    is_flag=True,
    help="Allow statements to change rows. Do not change states by hand: the gateway relies on them.",
)
@click.argument("query", required=False)
def sql(query: str | None, write: bool) -> None:
    """Open a SQL prompt on the store, or run one QUERY. Read-only unless you add --write.

    The prompt is psql or sqlite3 if installed, otherwise a small built-in one. Useful views: v_files,
    v_batches, v_lines, v_usage_daily.

    \b
    Examples:
      batchgate db sql
      batchgate db sql "SELECT batch, status, lines_completed FROM v_batches"
    """
    settings = context.settings(quiet=True)
    if context.is_absent(settings):
        raise context.Refused("There is no store yet: run `batchgate db upgrade` first.")
    if query is None and (client := _client(settings, write=write)):
        command, environment = client
        os.execvpe(command[0], command, os.environ | environment)
    with prompt.connect(settings.database_url, write=write) as session:
        if query is None:
            prompt.loop(session)
        else:
            prompt.run(session, query)


@db.command()
@click.option("--to", "url", required=True, metavar="URL", help="A new database, such as postgresql://user@host/name.")
def copy(url: str) -> None:
    """Copy the store to another database, such as from SQLite to PostgreSQL, and close this one.

    Stop web processes and workers first. All rows are copied in one transaction and compared by count and checksum;
    blobs stay where they are. Afterwards this store is marked as moved, so that no process uses it by mistake, and the
    copy is fenced until you run `batchgate takeover` on it. If the command fails, this store stays as it is.

    \b
    Example:
      batchgate db copy --to postgresql://user@host/batchgate
      DATABASE_URL=postgresql://user@host/batchgate batchgate takeover
    """
    from app.cli.operate import copies
    from app.services.backups import move

    progress = Progress()
    with context.gateway() as gateway:
        try:
            move.move(gateway, with_driver(url), upgrade=copies.upgrader(gateway.settings), report=copied(progress))
        except DatabaseUrlError as error:
            raise context.Refused(str(error).replace("DATABASE_URL", "--to")) from error
        progress.end()
        file = gateway.ring.file
    click.echo("Copied, and closed this store. Set DATABASE_URL to the copy, then run `batchgate takeover`.", err=True)
    if file is not None:
        click.echo(f"Set BATCHGATE_SECRET_KEY to the text in {file}: with PostgreSQL, the key is a setting.", err=True)


@db.command()
@click.option("--reason", default="fenced by the operator", show_default=True, help="What others will read.")
def fence(reason: str) -> None:
    """Fence the store: it can be read, but nothing is sent, created or deleted until `batchgate takeover`.

    Run it on a store that you restored by other means, such as pg_restore or a snapshot of a disk, before the first
    process starts on it. Processes that run notice within seconds.

    \b
    Example:
      batchgate db fence --reason "snapshot of Sunday"
    """
    from app.services.backups import fence as fencing

    with context.gateway(is_closed=True) as gateway:
        gateway.database.run(lambda connection: fencing.fence(connection, reason=reason))
    click.echo("The store is fenced. Open it with `batchgate takeover`.", err=True)


def _client(settings: Settings, *, write: bool) -> tuple[list[str], dict[str, str]] | None:
    """Returns command and environment of the database's own client, or None if it is not installed."""
    if settings.is_embedded:
        program = shutil.which("sqlite3")
        path = settings.database_url.removeprefix(context.SQLITE)
        options = ["-header", "-column"] + ([] if write else ["-readonly"])
        return ([program, *options, path], {}) if program else None
    program = shutil.which("psql")
    if not program:
        return None
    url, environment = without_password(prompt.plain_url(settings.database_url))
    if not write:
        environment["PGOPTIONS"] = prompt.READ_ONLY
    return [program, url], environment


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """Moves the password from a URL to the environment: every user of the machine can read command lines."""
    parts = urlsplit(url)
    if not parts.password:
        return url, {}
    host = parts.netloc.rpartition("@")[2]
    user = quote(unquote(parts.username or ""), safe="")
    return parts._replace(netloc=f"{user}@{host}").geturl(), {"PGPASSWORD": unquote(parts.password)}
