"""What commands on the store share: settings, a gateway, and refusals in words instead of traces."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from sqlalchemy.exc import DBAPIError

from app import build_gateway, migrate
from app.auth.secrets import SealError
from app.connectors.contract.errors import ConfigurationError, UpstreamError
from app.data.store.database import Database
from app.errors import GatewayError
from app.services.gateway import Gateway
from app.services.money import price_book, price_import
from app.settings import Settings, SettingsError, from_environment

SQLITE = "sqlite:///"


class Refused(click.ClickException):
    """The command cannot do it; the message says why and what helps. Exit status 2."""

    exit_code = 2


def settings(*, quiet: bool = False) -> Settings:
    """The environment's settings; `quiet` makes logs fit for a person, unless the environment says otherwise."""
    try:
        found = from_environment()
    except SettingsError as error:
        raise Refused(str(error)) from error
    if quiet and "BATCHGATE_LOG_LEVEL" not in os.environ:
        found = replace(found, log_level="warning", log_format="text")
    return found


@contextmanager
def told() -> Iterator[None]:
    """Failures that have a cause outside this program, as a message without a trace."""
    try:
        yield
    except GatewayError as error:
        raise Refused(error.message) from error
    except UpstreamError as error:
        raise Refused(f"The provider did not answer as it should: {error.message}") from error
    except (ConfigurationError, SealError) as error:
        raise Refused(str(error)) from error
    except DBAPIError as error:
        raise Refused(f"The database refused: {str(error.orig or error).strip()}") from error


@contextmanager
def gateway() -> Iterator[Gateway]:
    """A gateway on the configured store, which must be migrated."""
    found = settings(quiet=True)
    with told():
        if is_absent(found) or migrate.pending(found):
            raise Refused("The store is not up to date: run `batchgate db upgrade` first.")
        try:
            built = build_gateway(found)
        except ValueError as error:  # a variable of the environment that cannot be used
            raise Refused(str(error)) from error
        try:
            yield built
        finally:
            built.database.dispose()


def upgrade(found: Settings) -> None:
    """Bring the store to the newest revision, and the prices that ship with this version into it."""
    migrate.upgrade(found)
    database = Database(found.database_url)
    try:
        database.run(
            lambda connection: price_book.load(connection, price_import.shipped(), source=price_import.SHIPPED)
        )
    finally:
        database.dispose()


def is_absent(found: Settings) -> bool:
    """True when the store is an SQLite file that is not there; opening it would make it."""
    return found.is_embedded and not Path(found.database_url.removeprefix(SQLITE)).exists()


def columns(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in plain text, whole values, one line for each row."""
    cells = [list(heads), *[["" if value is None else str(value) for value in row] for row in rows]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
