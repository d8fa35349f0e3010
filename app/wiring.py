"""How the pieces are put together: the one place that knows them all."""

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from app import logs
from app.auth.secrets import KeyRing, kept_key
from app.blobs import Location, Stores, open_stores
from app.blobs import address as addresses
from app.blobs.address import Address
from app.connectors.contract.base import Timeouts
from app.connectors.http.public import PublicClient, Reach
from app.data.access import secrets
from app.data.files import blobs
from app.data.store.database import Database, dialect_of
from app.engine.hints import BrokerHints, Hints, NoHints
from app.lib.clock import Clock, SystemClock
from app.lib.metrics.processes import HostRecorder
from app.lib.threads.unchanged import Unchanged
from app.lib.traces import export
from app.services.access import jwt_issuers
from app.services.access.pepper import Pepper
from app.services.accounts.directory import Accounts
from app.services.accounts.environment import PROCESS
from app.services.gateway import KEY_S, Actor, Gateway
from app.services.limits.windows import Rates
from app.services.running.hints import StoreHints
from app.settings import Settings, SettingsError, from_environment

if TYPE_CHECKING:
    from flask import Flask
    from structlog.typing import FilteringBoundLogger

    from app.auth.tokens import Verifier

METRICS_FOLDER = "metrics"
SECRET_FILE = "secret_key"  # noqa: S105 - the name of a file


def create_app(settings: Settings | None = None, *, gateway: Gateway | None = None) -> "Flask":
    """The WSGI application: wire, register, return. Opens nothing, so it may run before a fork."""
    # Imported here, as only web processes need them: commands start in half the time without.
    from app import api
    from app.api.requests import Application

    gateway = gateway or build_gateway(settings or from_environment())
    app = Application(__name__, static_folder=None)
    api.register(app, gateway)
    return app


def build_gateway(
    settings: Settings,
    *,
    clock: Clock | None = None,
    retry_pause_s: float | None = None,
    applied_by: Actor | None = PROCESS,
) -> Gateway:
    """What the web process, the worker and the command line all build on. Raises SettingsError.

    `retry_pause_s` is the pause before the first retry of a management call; None for the default. `applied_by`
    applies the environment's accounts to the store: None for what does not serve.
    """
    logs.configure(settings)
    database = Database(settings.database_url, pool_size=settings.database_pool, max_overflow=0)
    ring = _ring(settings, database)
    pepper = Pepper(database, ring)
    clock, log = clock or SystemClock(), logs.get_logger()
    timeouts = Timeouts(settings.connect_timeout_s, settings.call_timeout_s, settings.silence_timeout_s, retry_pause_s)
    accounts = Accounts(
        database,
        settings.environment,
        ring=ring,
        pepper=pepper,
        log=log,
        clock=clock,
        applied_by=applied_by,
        timeouts=timeouts,
    )
    return Gateway(
        settings=settings,
        database=database,
        blobs=blob_stores(settings, _locator(database)),
        accounts=accounts,
        pepper=pepper,
        clock=clock,
        log=log,
        ring=ring,
        jwt=_verifier(settings, log),
        rates=Rates(),
        keys=Unchanged(database.newest_commit, for_s=KEY_S),
        outside=PublicClient(_reach(settings)),
        hints=_hints(settings, database, log),
        metrics=_metrics(settings, log),
        traces=export.chosen(settings.environment, log=log),
    )


def _verifier(settings: Settings, log: "FilteringBoundLogger") -> "Verifier":
    verifier = jwt_issuers.verifier(settings, log=log)
    logs.hide(*[issuer.secret for issuer in verifier.issuers if issuer.secret])
    return verifier


def _reach(settings: Settings) -> Reach:
    try:
        return Reach(settings.webhook_hosts)
    except ValueError as error:
        raise SettingsError(f"BATCHGATE_WEBHOOK_HOSTS: {error}.") from None


def _metrics(settings: Settings, log: "FilteringBoundLogger") -> HostRecorder:
    if settings.metrics_token:
        logs.hide(settings.metrics_token)
    is_on = settings.metrics_token or settings.metrics_port
    return HostRecorder(settings.home / METRICS_FOLDER if is_on else None, log=log)


def _hints(settings: Settings, database: Database, log: "FilteringBoundLogger") -> Hints:
    for url in (settings.database_url, settings.listen_url):
        _hide_password(url)
    if settings.engine == "embedded":
        if settings.listen_url:
            dialect_of(settings.listen_url, name="BATCHGATE_LISTEN_URL", known=["postgresql"])
        return StoreHints(database, log=log) if database.dialect == "postgresql" else NoHints()
    if settings.engine != "celery":
        raise SettingsError(f"BATCHGATE_ENGINE must be embedded or celery, not {settings.engine!r:.80}.")
    if not settings.broker_url:
        raise SettingsError("BATCHGATE_BROKER_URL is required with BATCHGATE_ENGINE=celery.")
    if find_spec("celery") is None:
        raise SettingsError("BATCHGATE_ENGINE=celery needs the package celery: pip install 'batchgate[celery]'.")
    _hide_password(settings.broker_url)
    return BrokerHints(settings.broker_url, log=log)


def _hide_password(url: str) -> None:
    """Clients of databases and brokers may name it in their errors."""
    with suppress(ValueError):  # whoever uses the URL says what is wrong with it
        if password := urlsplit(url).password:
            logs.hide(password, unquote(password))


def blob_stores(settings: Settings, locate: Callable[[str], Location | None]) -> Stores:
    """The blob stores of `settings`; `locate` returns where the blob with a key is. Raises SettingsError."""
    default = Address(
        settings.blob_url,
        settings.blob_endpoint,
        settings.blob_region,
        settings.blob_path_style,
        settings.blob_key_id,
        settings.blob_secret,
    )
    try:
        default = addresses.checked(default, name="BATCHGATE_BLOB_URL")
        others = addresses.parsed(settings.blob_stores, name="BATCHGATE_BLOB_STORES")
        # With the default in the list, too, the same list serves processes before and after a change of default.
        others = [other for other in others if other.url != default.url]
        addresses.check_distinct(others, name="BATCHGATE_BLOB_STORES")
        logs.hide(*[address.secret for address in (default, *others) if address.secret])
        return open_stores(default, others, locate=locate, group_reads=bool(settings.accel_prefix))
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _locator(database: Database) -> Callable[[str], Location | None]:
    def locate(key: str) -> Location | None:
        with database.read() as connection:
            place = blobs.place(connection, key)
        return None if place is None else Location(place.store, place.name)

    return locate


def _ring(settings: Settings, database: Database) -> KeyRing:
    if settings.secret_key:
        return KeyRing(settings.secret_key)
    if not settings.is_embedded:
        raise SettingsError(
            "BATCHGATE_SECRET_KEY is required with PostgreSQL: set it to a long random text, "
            "the same for every process (for example the output of `openssl rand -base64 32`)."
        )
    file = settings.home / SECRET_FILE
    # A new key would open nothing. Looked for again at the end: another process may have just made the first one.
    if not file.exists() and _has_secrets(database) and not file.exists():
        raise SettingsError(
            f"The key file {file} is missing, and the store has secrets that only its key opens. Restore the file from "
            "a backup, or set BATCHGATE_SECRET_KEY if the store was used with that."
        )
    return KeyRing(kept_key(file), file=file)


def _has_secrets(database: Database) -> bool:
    if not database.is_created:
        return False
    with database.read() as connection:
        found = secrets.any_stored(connection)
    database.dispose()  # nothing stays open: this may run before a fork
    return found
