"""Gateways on migrated, empty stores in temporary folders, on either database."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import app as batchgate
from app import migrate
from app.services.gateway import Gateway
from app.settings import from_environment
from bench.report import Report
from tests.support import postgres

Stores = Callable[..., AbstractContextManager[Gateway]]  # called with more of the environment, by name


def on_both(report: Report, measure: Callable[[Report, str, Stores], None]) -> None:
    """Call `measure` for SQLite, then for PostgreSQL on a temporary server, with a factory of empty stores."""
    measure(report, "sqlite", sqlite)
    with ExitStack() as stack:
        server = postgres.Postgres()
        stack.callback(server.stop)
        measure(report, "postgresql", postgresql)


@contextmanager
def sqlite(**environment: str) -> Iterator[Gateway]:
    """Provide a gateway on an empty SQLite store."""
    with (
        tempfile.TemporaryDirectory(prefix="batchgate-bench-") as home,
        _gateway({"BATCHGATE_HOME": home, **environment}) as gateway,
    ):
        yield gateway


@contextmanager
def postgresql(**environment: str) -> Iterator[Gateway]:
    """Provide a gateway on an empty database of the server that `on_both` started."""
    with tempfile.TemporaryDirectory(prefix="batchgate-bench-") as home:
        url = postgres.create()
        try:
            own = {"BATCHGATE_HOME": home, "DATABASE_URL": url, "BATCHGATE_SECRET_KEY": "bench"}
            with _gateway({**own, **environment}) as gateway:
                yield gateway
        finally:
            postgres.drop(url)


def analyze(gateway: Gateway, *tables: str) -> None:
    """Vacuum and analyse, as PostgreSQL would do by itself about a minute after many inserts."""
    if gateway.database.dialect == "postgresql":
        with gateway.database.read() as connection:
            for table in tables:
                connection.exec_driver_sql(f"VACUUM ANALYZE {table}")


@contextmanager
def _gateway(environment: dict[str, str]) -> Iterator[Gateway]:
    settings = from_environment({**environment, "BATCHGATE_LOG_LEVEL": "error"})
    migrate.upgrade(settings)
    gateway = batchgate.build_gateway(settings)
    try:
        yield gateway
    finally:
        gateway.database.dispose()
