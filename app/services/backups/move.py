"""Copies a store to another database, while nothing runs on it, and closes it: only the copy goes on."""

from collections.abc import Callable

from sqlalchemy.engine import make_url

from app.data.backups import rows
from app.data.batches import workers
from app.data.store.database import Connection, Database
from app.errors import ConflictError
from app.services.backups import fence
from app.services.backups.create import Report
from app.services.backups.restore import fill, prepare
from app.services.gateway import Gateway

LEASES = 3


def move(gateway: Gateway, url: str, *, upgrade: Callable[[str], None], report: Report) -> None:
    """Copy all rows to the unused database at `url`, compare them, fence the copy, and close this store.

    `upgrade` migrates the database at a URL. The bytes stay where they are. Others can read meanwhile, not write.
    Raises DatabaseUrlError, and ConflictError when workers run or the target has rows; this store then stays open.
    """
    Database(url).dispose()  # says what is wrong with the URL
    source, target = (make_url(each).render_as_string(hide_password=True) for each in (gateway.database.url, url))
    if make_url(url) == make_url(gateway.database.url):
        raise ConflictError("The target is this store itself: name another database.")
    with gateway.database.read() as connection:
        _require_idle(gateway, connection)
    prepare(url, upgrade)
    with gateway.database.write() as connection:
        rows.lock(connection)
        _require_idle(gateway, connection)

        def settle(copy: Connection) -> None:
            fence.fence(copy, reason=f"copied from {source}")

        fill(connection, url, settle, report)
        fence.close(connection, reason=f"moved to {target}")


def _require_idle(gateway: Gateway, connection: Connection) -> None:
    alive = workers.alive(connection, within_ms=int(gateway.settings.lease_s * 1000 * LEASES))
    if alive:
        names = ", ".join(f"process {pid} on {host}" for host, pid in alive)
        raise ConflictError(
            f"Workers run on this store ({names}). Stop them, and web processes, too. A worker that was killed counts "
            f"for {LEASES * gateway.settings.lease_s:g} seconds."
        )
