"""What commands on the store share: settings, a gateway, tables, and errors as messages instead of tracebacks."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from app import migrate
from app.auth.secrets import SealError
from app.cli.shared import profile
from app.cli.shared.refusal import Refused
from app.cli.shared.table import columns
from app.cli.shared.text import plain_json
from app.connectors.contract.errors import ConfigurationError, UpstreamError
from app.data.store.database import Database, DatabaseUrlError
from app.errors import GatewayError
from app.lib import json, private
from app.settings import Settings, SettingsError, from_environment

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from app.services.gateway import Actor, Gateway

SQLITE = "sqlite:///"
Row = TypeVar("Row", bound="DataclassInstance")


def settings(*, quiet: bool = False) -> Settings:
    """Returns the settings. `quiet` logs only warnings, as text, unless the environment sets a log level."""
    try:
        loaded = from_environment()
    except SettingsError as error:
        raise Refused(str(error)) from error
    if quiet and "BATCHGATE_LOG_LEVEL" not in os.environ:
        loaded = replace(loaded, log_level="warning", log_format="text")
    return loaded


@contextmanager
def plain_errors() -> Iterator[None]:
    """Shows errors with a cause outside this program as a message without a traceback."""
    try:
        yield
    except GatewayError as error:
        raise Refused(error.message) from error
    except UpstreamError as error:
        raise Refused(f"The provider failed: {error.message}") from error
    except (ConfigurationError, DatabaseUrlError, SealError, SettingsError) as error:
        raise Refused(str(error)) from error
    except DBAPIError as error:
        raise Refused(f"The database reported an error: {str(error.orig or error).strip()}") from error


@contextmanager
def gateway(*, applied_by: "Actor | None" = None, is_closed: bool = False) -> "Iterator[Gateway]":
    """Yields a gateway on the configured store. Raises Refused if the store is not migrated.

    Accounts are those in the store, whatever this shell's variables say, unless `applied_by` applies them. A store that
    was moved is refused, too, unless it may be closed (`is_closed`).
    """
    # Here, as half of the commands need no gateway and start sooner without.
    from app.services.backups import fence
    from app.wiring import build_gateway

    loaded = settings(quiet=True)
    with plain_errors():
        if is_absent(loaded) or migrate.pending(loaded):
            raise Refused("The store is not up to date: run `batchgate db upgrade` first.")
        try:
            built = build_gateway(loaded, applied_by=applied_by)
        except ValueError as error:  # an environment variable has an invalid value
            raise Refused(str(error)) from error
        try:
            if not is_closed:
                fence.check(built, is_write=False)
            yield built
        finally:
            built.database.dispose()


def upgrade(settings: Settings) -> None:
    """Migrates the store to the newest revision and loads the prices that ship with this version."""
    _close_to_others(settings)
    # Imported here, as no other command needs it.
    from app.services.money import price_book, price_import

    migrate.upgrade(settings)
    database = Database(settings.database_url)
    try:
        database.run(
            lambda connection: price_book.load(connection, price_import.shipped(), source=price_import.SHIPPED)
        )
    finally:
        database.dispose()


def _close_to_others(settings: Settings) -> None:
    """Takes from other users what an earlier release let them read."""
    mask = private.OTHERS_BUT_GROUP_READS if settings.accel_prefix else private.OTHERS
    private.make_folder(settings.home, mode=0o777 & ~mask)
    private.close_to_others(settings.home, mask=mask)
    from app.wiring import SECRET_FILE

    files = [settings.home / SECRET_FILE, settings.home / profile.FILE, settings.home / profile.SHELL_FILE]
    if settings.is_embedded:
        store = settings.database_url.removeprefix(SQLITE)
        files += [Path(store + suffix) for suffix in ("", "-wal", "-shm")]
    for file in files:
        private.close_to_others(file)


def is_absent(settings: Settings) -> bool:
    """Returns True when the store is an SQLite file that does not exist yet; opening it would create it."""
    return settings.is_embedded and not Path(settings.database_url.removeprefix(SQLITE)).exists()


def listed(found: Sequence[Row], shown: Mapping[str, Callable[[Row], object]], *, as_json: bool) -> str:
    """Formats rows as a JSON array of all of their fields, or as a table of the columns `shown`, by head."""
    if as_json:
        return plain_json(json.dumps([asdict(row) for row in found]))
    return columns(tuple(shown), [[cell(row) for cell in shown.values()] for row in found])


__all__ = ["Refused", "columns", "gateway", "is_absent", "listed", "plain_errors", "settings", "upgrade"]
