"""How many lines of a batch with a limit of its own each worker may have in flight; the shares add up to the limit."""

from app.data.batches import capacity
from app.services.gateway import Gateway
from app.services.leases import lease_ms
from app.services.running.capacity import fair_share


def share(gateway: Gateway, batch_id: int, *, worker: str, held: int, wanted: int) -> int | None:
    """Report `held` lines in flight and ask for `wanted`; returns the worker's share, None where there is no limit."""
    with gateway.database.write() as connection:
        state = capacity.lock_batch(connection, batch_id, worker=worker)
        if state is None:
            capacity.leave_batch(connection, batch_id, worker=worker)
            return None
        granted = fair_share(state.limit, state, wanted=wanted)
        # Lines in flight cannot be called back: they keep their permits until they end.
        capacity.hold_of_batch(
            connection,
            batch_id,
            worker=worker,
            held=max(granted, held),
            wanted=wanted,
            lease_ms=lease_ms(gateway.settings),
        )
    return granted


def give_back(gateway: Gateway, batch_id: int, *, worker: str) -> None:
    """Return all that the worker had."""
    with gateway.database.write() as connection:
        capacity.leave_batch(connection, batch_id, worker=worker)
