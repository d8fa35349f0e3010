"""Hints that travel through PostgreSQL: NOTIFY, and a connection that listens.

A hint may be lost, late, or arrive for nothing: what it meant is in SQL.
"""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, literal, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.data.store.database import is_pooled

if TYPE_CHECKING:
    pass

CHANNEL = "batchgate"
CONNECT_S = 5
KEEPALIVE_S = 30


class ListenError(Exception):
    """Nothing is heard over this connection any more, or none could be made."""


class PooledError(ListenError):
    """There is a pooler between: no message would come through."""


def notify(connection: Connection, part: str) -> None:
    """Tell all that listen on PostgreSQL. It is lost in a crash, so nobody waits for the disk."""
    quickly = func.set_config("synchronous_commit", "off", literal(True))
    connection.execute(select(quickly, func.pg_notify(CHANNEL, part)))


class Channel:
    """A connection of its own that listens to PostgreSQL. Raises ListenError, PooledError."""

    def __init__(self, url: str) -> None:
        import psycopg

        try:
            address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
            self._connection: psycopg.Connection = psycopg.connect(
                address,
                autocommit=True,
                prepare_threshold=None,
                connect_timeout=CONNECT_S,
                keepalives_idle=KEEPALIVE_S,
                fallback_application_name="batchgate",
            )
        except (psycopg.Error, ArgumentError) as error:
            raise ListenError(str(error)) from error
        try:
            self._listen()
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """The descriptor that can be read when something has arrived."""
        return self._connection.fileno()

    def received(self) -> set[str]:
        """What has arrived; does not wait."""
        import psycopg

        server, found = self._connection.pgconn, set()
        try:
            server.consume_input()
        except psycopg.Error as error:
            raise ListenError(str(error)) from error
        while (sent := server.notifies()) is not None:
            found.add(sent.extra.decode(errors="replace"))
        return found

    def probe(self) -> None:
        """Raises ListenError when the server is no longer there."""
        import psycopg

        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise ListenError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _listen(self) -> None:
        import psycopg

        try:
            if is_pooled(self._connection):
                raise PooledError("A pooler is between: set BATCHGATE_LISTEN_URL to the address of PostgreSQL itself.")
            self._connection.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error as error:
            raise ListenError(str(error)) from error
