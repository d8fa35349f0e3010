"""How many lines each process may have in flight: one ceiling, an adapted limit, shared pauses."""

import math

from app.data.batches import capacity
from app.data.batches.capacity import LOWER_EVERY_MS, LOWER_TO, State
from app.engine.gate import Signals
from app.engine.work import Capacity, Grant
from app.services.gateway import Gateway
from app.services.leases import lease_ms


def exchange(gateway: Gateway, key: Capacity, *, worker: str, held: int, wanted: int, signals: Signals) -> Grant:
    """Adapt the shared limit to what this process saw; returns the process's share of it."""
    account = gateway.accounts.by_id(key.account_id)
    if account is None or account.disabled:
        return Grant(limit=0, pause_s=0.0)
    with gateway.database.write() as connection:
        capacity_id = capacity.ensure(
            connection, account_id=key.account_id, model=key.model, ceiling=account.max_concurrency
        )
        state = capacity.lock(connection, capacity_id, worker=worker)
        limit, lowered = adapted(state, signals)
        if limit != state.limit:
            capacity.set_limit(connection, capacity_id, limit, lowered=lowered)
        pause_ms = state.pause_ms
        if signals.retry_after_s:
            capacity.pause(connection, capacity_id, int(signals.retry_after_s * 1000))
            pause_ms = max(pause_ms, int(signals.retry_after_s * 1000))
        share = fair_share(int(limit), state, wanted=wanted)
        # Lines in flight cannot be called back: they keep their permits until they end.
        capacity.hold(
            connection,
            capacity_id,
            worker=worker,
            held=max(share, held),
            wanted=wanted,
            lease_ms=lease_ms(gateway.settings),
        )
    if lowered:
        gateway.log.info("capacity.lowered", account=key.account_id, model=key.model, limit=int(limit))
    return Grant(limit=share, pause_s=pause_ms / 1000)


def adapted(state: State, signals: Signals) -> tuple[float, bool]:
    """(new limit, whether it was lowered): a third less after an overload, one more for each round of successes."""
    if signals.overloads:
        if state.lowered_ms_ago is not None and state.lowered_ms_ago < LOWER_EVERY_MS:
            return state.limit, False
        return max(1.0, state.limit * LOWER_TO), True
    if signals.successes and state.limit < state.ceiling:
        return min(float(state.ceiling), state.limit + max(0.1, signals.successes / state.limit)), False
    return state.limit, False


def fair_share(limit: int, state: State, *, wanted: int) -> int:
    """One process's share of `limit`: all that is free, but only an even part while another process is short."""
    free = max(0, limit - state.others_held)
    if state.others_short:
        part = math.ceil(limit / (state.others_wanting + 1))
        return min(wanted, free, part)
    return min(wanted, free)
