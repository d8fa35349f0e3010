"""Hints of the embedded engine: PostgreSQL carries messages; on SQLite what is written to the file says enough."""

import math
import random
from collections.abc import Collection
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.data.store import hints
from app.data.store.database import Database
from app.data.store.hints import Channel, ListenError, PooledError
from app.engine.looking import News
from app.engine.parts import ALL
from app.lib.clock import Clock
from app.lib.threads.bell import Bell
from app.lib.threads.episodes import Episodes
from app.services.gateway import Gateway

FIRST_AWAY_S, MAX_AWAY_S = 0.5, 30.0
# A silent connection is asked whether its other end is still there.
PROBE_S = 60.0
# To look at the version of a file takes 85 us of CPU, most of it to wake up for it.
VERSION_LOOK_S = 0.1


class StoreHints:
    """Sends hints through PostgreSQL, right after the transaction that makes the work due.

    A NOTIFY within it would make it wait for all others that send one, until its log is on disk.
    """

    def __init__(self, database: Database, *, log: Any) -> None:
        self._database = database
        self._log = log
        self._episodes = Episodes()

    def send(self, part: str) -> None:
        """Say that there may be work of this part. Never fails: polling makes up for a hint that is not sent."""
        try:
            with self._database.read() as connection:
                hints.notify(connection, part)
        except SQLAlchemyError as error:
            if self._episodes.failed("hint"):
                self._log.warning("hints.not_sent", reason=f"{type(error).__name__}: {error}"[:512])
        else:
            self._episodes.worked("hint")


def news(gateway: Gateway) -> News:
    """Where the hints of this gateway's store arrive."""
    if gateway.database.dialect == "sqlite":
        return FileNews(gateway.database)
    return ChannelNews(gateway.settings.listen_url or gateway.database.url, clock=gateway.clock, log=gateway.log)


class FileNews:
    """Whatever is written to an SQLite file may mean anything."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bell = Bell()
        self._known: int | None = None  # at first it is not known what was written before

    def wait(self, timeout_s: float) -> Collection[str]:
        if self._known is None and self._has_changed():
            return ALL
        looks = math.ceil(timeout_s / VERSION_LOOK_S)
        for _ in range(looks):
            if self._bell.wait(timeout_s / looks):
                return ()
            if self._has_changed():
                return ALL
        return ()

    def wake(self) -> None:
        self._bell.ring()

    def close(self) -> None:
        self._bell.close()

    def _has_changed(self) -> bool:
        found = self._database.newest_commit()
        has_changed = found not in (None, self._known)
        self._known = found
        return has_changed


class ChannelNews:
    """Messages of PostgreSQL, over one connection outside the pool. While there is none, nothing is heard."""

    def __init__(self, url: str, *, clock: Clock, log: Any) -> None:
        self._url = url
        self._clock = clock
        self._log = log
        self._bell = Bell()
        self._channel: Channel | None = None
        self._tries = 0
        self._try_at = 0.0
        self._probe_at = 0.0
        self._episodes = Episodes()

    def wait(self, timeout_s: float) -> Collection[str]:
        try:
            if self._channel is None:
                return self._connect(timeout_s)
            self._bell.wait(timeout_s, besides=self._channel.fileno())
            heard = self._channel.received()
            if not heard:
                self._probe(self._channel)
        except ListenError as error:
            self._lost(error)
            return ()
        return heard

    def wake(self) -> None:
        self._bell.ring()

    def close(self) -> None:
        self._bell.close()
        self._disconnect()

    def _connect(self, timeout_s: float) -> Collection[str]:
        """Connect if it is time to, else wait. What was sent meanwhile is looked for."""
        if self._clock.monotonic() < self._try_at:
            self._bell.wait(min(timeout_s, self._try_at - self._clock.monotonic()))
            return ()
        self._channel = Channel(self._url)
        self._tries = 0
        self._probe_at = self._clock.monotonic() + PROBE_S
        if self._episodes.worked("channel"):
            self._log.warning("hints.back")
        return ALL

    def _probe(self, channel: Channel) -> None:
        if self._clock.monotonic() >= self._probe_at:
            channel.probe()
            self._probe_at = self._clock.monotonic() + PROBE_S

    def _lost(self, error: ListenError) -> None:
        self._disconnect()
        if self._episodes.failed("channel", type(error).__name__):
            self._log.warning("hints.away", reason=str(error)[:512])
        away_s = MAX_AWAY_S if isinstance(error, PooledError) else min(MAX_AWAY_S, FIRST_AWAY_S * 2.0**self._tries)
        self._tries = min(self._tries + 1, 16)
        # Jitter spreads the workers that lost the same server; it need not be unpredictable.
        self._try_at = self._clock.monotonic() + away_s * random.uniform(0.5, 1.0)  # noqa: S311

    def _disconnect(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
