"""The lease idiom as services use it; `app.data.store.leases` explains it, and has its SQL.

A unit of work (a segment, a batch to plan or finalise, a job, a native object) goes through the same steps:

1. Read the row that is due, and its epoch, without a lock.
2. Claim it with that epoch plus one, in a transaction of its own. If the claim fails, another worker was faster.
3. Do the work. No transaction is open while a provider is called or bytes are streamed.
4. Write each result in a transaction that starts with `require(hold(...))`, or whose own UPDATE checks the lease.
   The epoch is what makes this safe: a worker that lost its lease learns it here, before it has changed anything.
5. Release the row, usually together with the last write. A worker that dies instead leaves the lease to expire.
"""

from app.settings import Settings


class LeaseLostError(Exception):
    """The lease was lost to another worker, or to a cancellation; nothing of the transaction was committed."""


def require(is_held: bool) -> None:
    """Raises LeaseLostError unless the lease is held, so that the transaction around it rolls back."""
    if not is_held:
        raise LeaseLostError


def lease_ms(settings: Settings) -> int:
    """How long a worker keeps its work after it was last heard from, in milliseconds."""
    return int(settings.lease_s * 1000)
