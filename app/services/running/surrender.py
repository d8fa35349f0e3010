"""Batches that the gateway fails to plan or to finalise: tried some times, then failed with a reason."""

from app.blobs import BlobMissingError
from app.data.batches import work
from app.data.batches.work import DueBatch
from app.data.store.leases import Lease
from app.engine.outcomes import GATEWAY_ERROR
from app.lib.metrics import declared
from app.services import store_errors
from app.services.gateway import Gateway
from app.services.leases import lease_ms, require
from app.services.running.plan import delete_lines, forget_names

# Attempts, each of which waits for the lease of the one before it.
MAX_ATTEMPTS = 3
# A blob that is missing may be on a disk that is not mounted.
MAX_MISSING_ATTEMPTS = 20


def is_hopeless(due: DueBatch, error: Exception) -> bool:
    """True when a batch failed so often that this error will not pass."""
    if isinstance(error, BlobMissingError):
        return due.lost_epochs + 1 >= MAX_MISSING_ATTEMPTS
    return not store_errors.passes(error) and due.lost_epochs + 1 >= MAX_ATTEMPTS


def fail(gateway: Gateway, lease: Lease, error: Exception, *, statuses: tuple[str, ...]) -> None:
    """Fail a claimed batch. Lines that ended keep their results. Raises LeaseLostError."""
    text = f"The gateway failed to process this batch ({type(error).__name__}); its log has the details."
    errors = [{"code": GATEWAY_ERROR, "message": text, "param": None, "line": None}]
    with gateway.database.read() as connection:
        batch = work.facts(connection, lease.id)
    if not batch.lines_total:
        for _ in delete_lines(gateway, lease, statuses=statuses):
            pass
    for _ in forget_names(gateway, lease, statuses=statuses):
        pass
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=statuses, lease_ms=lease_ms(gateway.settings)))
        work.fail(connection, lease, errors=errors)
    gateway.metrics.count(declared.BATCHES_ENDED, "failed")
    gateway.log.error("batch.given_up", batch=batch.public_id, exc_info=error)
