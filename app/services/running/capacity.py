"""How many lines each process may have in flight: one ceiling, an adapted limit, shared pauses."""

import math
from collections.abc import Mapping

from sqlalchemy import Connection

from app.data.access import accounts, projects
from app.data.batches import capacity, pauses
from app.data.batches.capacity import LOWER_EVERY_MS, LOWER_TO, BatchPermits, State
from app.data.batches.pauses import PauseState
from app.engine.gate import Signals
from app.engine.outcomes import Words
from app.engine.patience import ACCOUNT_KINDS
from app.engine.shares import Pause
from app.engine.work import Capacity, Grant
from app.services.accounts.load import Account
from app.services.gateway import Gateway
from app.services.leases import lease_ms

SLOWER = "Lines of several projects were refused in a row."


def exchange(gateway: Gateway, key: Capacity, *, worker: str, held: int, wanted: int, signals: Signals) -> Grant:
    """Adapt the shared limit and pauses to what this process saw; returns its share of the limit, and all pauses."""
    account = gateway.accounts.by_id(key.account_id)
    if account is None or account.disabled:
        return Grant(limit=0)
    with gateway.database.write() as connection:
        capacity_id = capacity.ensure(
            connection, account_id=key.account_id, model=key.model, ceiling=account.max_concurrency
        )
        state = capacity.lock(connection, capacity_id, worker=worker)
        limit, lowered = adapted(state, signals)
        if limit != state.limit:
            capacity.set_limit(connection, capacity_id, limit, lowered=lowered)
        version = accounts.version(connection, key.account_id)
        _write_pauses(connection, key, signals, version=version)
        names = _names(connection, signals)
        is_shared = capacity.is_shared(connection)
        paused = pauses.of_capacity(connection, account_id=key.account_id, model=key.model)
        share = fair_share(int(limit), state, wanted=wanted)
        # Lines in flight cannot be called back: they keep their permits until they end.
        capacity.hold(
            connection,
            capacity_id,
            worker=worker,
            held=max(share, held),
            wanted=wanted,
            in_flight=held,
            lease_ms=lease_ms(gateway.settings),
        )
    _log(gateway, account, key.model, signals, names)
    if lowered:
        named = {"provider": account.provider, "account": account.name}
        gateway.log.info("capacity.lowered", **named, model=key.model, limit=int(limit), reason=SLOWER)
    return Grant(limit=share, pauses=[_pause(row) for row in paused], is_shared=is_shared, version=version)


def _write_pauses(connection: Connection, key: Capacity, signals: Signals, *, version: int) -> None:
    for project_id, whole_account in signals.lifted:
        model = "" if whole_account else key.model
        pauses.lift(connection, account_id=key.account_id, model=model, project_id=project_id)
    for new in signals.pauses:
        if new.words.kind in ACCOUNT_KINDS and new.words.is_outdated(version):
            continue  # another credential was refused than the account has now
        pauses.note(
            connection,
            account_id=key.account_id,
            model="" if new.whole_account else key.model,
            project_id=new.project_id,
            pause_ms=int(new.pause_s * 1000),
            kind=new.words.kind,
            status_code=new.words.status_code,
            code=new.words.code,
            message=new.words.message,
        )


def _pause(row: PauseState) -> Pause:
    return Pause(
        project_id=row.project_id,
        whole_account=row.model == "",
        left_s=row.left_ms / 1000,
        age_s=row.age_ms / 1000,
        pauses=row.pauses,
        words=Words(row.kind, row.status_code, row.code or "", row.message or ""),
    )


def _log(
    gateway: Gateway, account: Account, model: str, signals: Signals, names: Mapping[int | None, str | None]
) -> None:
    named = {"provider": account.provider, "account": account.name}
    for new in signals.pauses:
        # Of an account it is the operator's; a project's pauses come and go.
        say = gateway.log.warning if new.project_id is None else gateway.log.info
        say(
            "capacity.paused",
            **named,
            model=None if new.whole_account else model,
            project=names[new.project_id],
            seconds=round(new.pause_s, 1),
            kind=new.words.kind,
            status=new.words.status_code,
            code=new.words.code,
            reason=new.words.message,
        )
    for project_id, whole_account in signals.lifted:
        of = None if whole_account else model
        gateway.log.info("capacity.resumed", **named, model=of, project=names[project_id])


def _names(connection: Connection, signals: Signals) -> Mapping[int | None, str | None]:
    """Names of the projects that are paused or go on; a pause of all has none."""
    ids = {new.project_id for new in signals.pauses} | {project_id for project_id, _ in signals.lifted}
    return {each: None if each is None else projects.name_of(connection, each) for each in ids}


def adapted(state: State, signals: Signals) -> tuple[float, bool]:
    """(new limit, whether it was lowered): a third less after an overload, one more for each round of successes."""
    if signals.overloads:
        if state.lowered_ms_ago is not None and state.lowered_ms_ago < LOWER_EVERY_MS:
            return state.limit, False
        return max(1.0, state.limit * LOWER_TO), True
    if signals.successes and state.limit < state.ceiling:
        return min(float(state.ceiling), state.limit + max(0.1, signals.successes / state.limit)), False
    return state.limit, False


def fair_share(limit: int, state: State | BatchPermits, *, wanted: int) -> int:
    """One process's share of `limit`: all that is free, but only an even part while another process is short."""
    free = max(0, limit - state.others_held)
    if state.others_short:
        part = math.ceil(limit / (state.others_wanting + 1))
        return min(wanted, free, part)
    return min(wanted, free)
