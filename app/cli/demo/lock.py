"""Keeps `make run` away from a store that others serve: it would point the accounts of all at its own model."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.shared.context import Refused
from app.data.batches import workers
from app.data.store.database import Database
from app.lib import private
from app.settings import Settings

FILE = "demo.lock"


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Holds the lock of `home`; the kernel releases it when this process ends, however that happens. Raises Refused."""
    private.make_folder(home)
    private.make_file(home / FILE)
    with (home / FILE).open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip()
            by = f" (process {holder})" if holder else ""
            raise Refused(
                f"`make run` already runs on {home}{by}. Use that one, stop it, or "
                "choose another folder and port: BATCHGATE_HOME=var2 PORT=8090 make run"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def refuse_others(settings: Settings) -> None:
    """Raises Refused when a worker that `make run` did not start uses the store."""
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            seen = workers.alive(connection, within_ms=int(2000 * settings.heartbeat_s))
    finally:
        database.dispose()
    here = socket.gethostname()[:255]
    for host, pid in seen:
        if host != here or _runs(pid):
            raise Refused(
                f"A worker (process {pid} on {host}) runs batches of this store, and `make run` would send them to its "
                "own model. Stop that worker, or choose another store: BATCHGATE_HOME=var2 DATABASE_URL= make run"
            )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
