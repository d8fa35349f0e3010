"""Limits of keys, projects and accounts: how often, how much a day, how much at once. Whoever is over is told when to
come again.
"""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection

from app.data.money import limit_counters
from app.errors import InvalidRequestError, RateLimitedError
from app.services.gateway import Caller, Gateway
from app.services.limits.windows import DAY_MS, MINUTE_MS, Ask, Granted, Report, Window, trade

REQUESTS = "requests_per_minute"
UPLOADS = "uploads_per_day"
STORED = limit_counters.STORED_BYTES
OPEN = "open_batches"
LINES = "enqueued_lines"
TOKENS = "tokens_per_day"
NAMES = (REQUESTS, UPLOADS, STORED, OPEN, LINES, TOKENS)
# Files and requests belong to keys and projects; what an account does is batches.
ACCOUNT_NAMES = (OPEN, LINES, TOKENS)
MOST = 10**15
# When a batch ends or a file goes nobody knows.
LATER_S = 30
# A day is counted in slices of five minutes.
DAY_SLICE_MS = 300_000

Owner = tuple[str, int, Mapping[str, int]]


def validate(mapping: Mapping[str, Any], *, owner: str = "key") -> dict[str, int]:
    """The limits that `mapping` sets (None: no limit) for a key, project or account. Raises InvalidRequestError."""
    names = ACCOUNT_NAMES if owner == "account" else NAMES
    found: dict[str, int] = {}
    for name, limit in mapping.items():
        if name not in names:
            text = f"limits: {name!r:.80} is no limit of a{'n' if owner == 'account' else ''} {owner}; there are "
            raise InvalidRequestError(f"{text}{', '.join(names)}.", param="limits")
        if limit is None:
            continue
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= MOST:
            raise InvalidRequestError(f"limits: {name} must be a whole number from 0 to {MOST}.", param="limits")
        found[name] = limit
    return found


def check_request(gateway: Gateway, caller: Caller) -> None:
    """Count a request. Raises RateLimitedError when key or project had all of theirs within the last minute."""
    if not caller.limits and not caller.project_limits:
        return
    asks = [
        Ask((owner, owner_id), limits[REQUESTS], partial(_exchange, gateway, owner, owner_id, limits[REQUESTS]))
        for owner, owner_id, limits in _owners(caller)
        if REQUESTS in limits
    ]
    refused = gateway.rates.take(asks, gateway.clock)
    if refused is not None:
        ask, wait_s = refused
        error = _refused(f"This {ask.key[0]} may make {ask.limit} requests a minute.", wait_s)
        error.is_news = gateway.rates.is_news(ask, gateway.clock)
        raise error


def check_upload(gateway: Gateway, caller: Caller, *, size: int = 0) -> None:
    """Whether a file (of `size` bytes, if that is known) may come in now. Raises RateLimitedError.

    Nothing is counted: `settle_upload` does, and decides.
    """
    owners = [found for found in _owners(caller) if UPLOADS in found[2] or STORED in found[2]]
    if not owners:
        return
    with gateway.database.read() as connection:
        for owner, owner_id, limits in owners:
            if STORED in limits:
                stored = limit_counters.value(connection, owner=owner, owner_id=owner_id, name=STORED)
                _check_stored(owner, limits[STORED], stored=stored, more=max(1, size))
            if UPLOADS in limits:
                window = _day(*limit_counters.read(connection, owner=owner, owner_id=owner_id, name=UPLOADS))
                _check_uploads(owner, limits[UPLOADS], window)


def settle_upload(connection: Connection, caller: Caller) -> None:
    """Count an upload in the transaction that has just made its file. Raises RateLimitedError, and all is undone."""
    check_stored(connection, caller)
    for owner, owner_id, limits in _owners(caller):
        if UPLOADS in limits:
            window = _day(*limit_counters.lock(connection, owner=owner, owner_id=owner_id, name=UPLOADS))
            _check_uploads(owner, limits[UPLOADS], window)
            _count(connection, owner, owner_id, UPLOADS, window, 1)


def check_stored(connection: Connection, caller: Caller) -> None:
    """Whether what the caller has just stored in this transaction fits. Raises RateLimitedError."""
    for owner, owner_id, limits in _owners(caller):
        if STORED in limits:
            stored = limit_counters.value(connection, owner=owner, owner_id=owner_id, name=STORED)
            _check_stored(owner, limits[STORED], stored=stored, more=0)


def add_stored(connection: Connection, project_id: int, key_id: int | None, bytes_: int) -> None:
    """Files of the project hold so many bytes more here, or fewer. Rows of files count themselves (data.files)."""
    limit_counters.add_stored(connection, project_id=project_id, key_id=key_id, size=bytes_)


def check_new_batch(
    connection: Connection,
    caller: Caller,
    lines: int,
    *,
    account_id: int | None = None,
    account_limits: Mapping[str, int] | None = None,
) -> None:
    """Whether a batch of so many lines may begin now: the first thing in the transaction that makes it.

    Nobody else makes one of the same key, project or account until that is over. Raises RateLimitedError.
    """
    owners = list(_owners(caller))
    if account_id is not None and account_limits:
        owners.insert(0, ("account", account_id, account_limits))
    for owner, owner_id, limits in owners:
        if OPEN in limits or LINES in limits:
            limit_counters.lock(connection, owner=owner, owner_id=owner_id, name=OPEN)
            work = limit_counters.open_work(connection, owner=owner, owner_id=owner_id)
            _check_open(owner, limits, work, lines)
        if TOKENS in limits:
            window = _day(*limit_counters.read(connection, owner=owner, owner_id=owner_id, name=TOKENS))
            wait_ms = window.wait_ms(limits[TOKENS])
            if wait_ms:
                raise _refused(f"This {owner} may use {limits[TOKENS]} tokens a day.", wait_ms / 1000)


def count_tokens(
    connection: Connection, project_id: int, key_id: int | None, account_id: int | None, tokens: int
) -> None:
    """Count tokens that lines used, in the transaction of the ledger, for those owners that have a limit."""
    if tokens <= 0:
        return
    ids = {"account": account_id, "key": key_id, "project": project_id}
    owners = {owner: owner_id for owner, owner_id in ids.items() if owner_id is not None}
    limits = limit_counters.limits_of(connection, owners)
    for owner, owner_id in owners.items():
        if TOKENS in limits.get(owner, {}):
            window = _day(*limit_counters.lock(connection, owner=owner, owner_id=owner_id, name=TOKENS))
            _count(connection, owner, owner_id, TOKENS, window, tokens)


def in_use(gateway: Gateway, caller: Caller) -> dict[str, dict[str, int]]:
    """How much of their limits the caller's key and project use now, as the store knows: `key`, `project`."""
    with gateway.database.read() as connection:
        return {
            "key": used(connection, "key", caller.key_id, caller.limits),
            "project": used(connection, "project", caller.project_id, caller.project_limits),
        }


def used(connection: Connection, owner: str, owner_id: int, limits: Mapping[str, int]) -> dict[str, int]:
    """How much of each limit that is set is used now."""
    found: dict[str, int] = {}
    work = limit_counters.open_work(connection, owner=owner, owner_id=owner_id) if {OPEN, LINES} & set(limits) else None
    for name in limits:
        if name == STORED:
            found[name] = limit_counters.value(connection, owner=owner, owner_id=owner_id, name=name)
        elif name in (OPEN, LINES) and work is not None:
            found[name] = work.batches if name == OPEN else work.lines
        else:
            stored, now = limit_counters.read(connection, owner=owner, owner_id=owner_id, name=name)
            span_ms = MINUTE_MS if name == REQUESTS else DAY_MS
            found[name] = Window.of(stored, now=now, span_ms=span_ms).count
    return found


def _owners(caller: Caller) -> Iterator[Owner]:
    if caller.limits:
        yield "key", caller.key_id, caller.limits
    if caller.project_limits:
        yield "project", caller.project_id, caller.project_limits


def _exchange(gateway: Gateway, owner: str, owner_id: int, limit: int, told: Report, wanted: int) -> Granted:
    def unit(connection: Connection) -> Granted:
        stored, now = limit_counters.lock(connection, owner=owner, owner_id=owner_id, name=REQUESTS)
        window = Window.of(stored, now=now, span_ms=MINUTE_MS)
        granted = trade(window, told, wanted=wanted, limit=limit)
        _save(connection, owner, owner_id, REQUESTS, window)
        return granted

    return gateway.database.run(unit)


def _day(stored: Mapping[str, Any] | None, now: int) -> Window:
    return Window.of(stored, now=now, span_ms=DAY_MS, slice_ms=DAY_SLICE_MS)


def _count(connection: Connection, owner: str, owner_id: int, name: str, window: Window, count: int) -> None:
    window.use((window.now, count))
    _save(connection, owner, owner_id, name, window)


def _save(connection: Connection, owner: str, owner_id: int, name: str, window: Window) -> None:
    stored, count = window.stored(), window.count
    limit_counters.save(connection, owner=owner, owner_id=owner_id, name=name, windows=stored, count=count)


def _check_stored(owner: str, limit: int, *, stored: int, more: int) -> None:
    if stored + more > limit:
        text = f"This {owner} may store {limit} bytes: delete files, or wait until some expire."
        raise _refused(text, LATER_S)


def _check_uploads(owner: str, limit: int, window: Window) -> None:
    wait_ms = window.wait_ms(limit)
    if wait_ms:
        raise _refused(f"This {owner} may upload {limit} files a day.", wait_ms / 1000)


def _check_open(owner: str, limits: Mapping[str, int], work: limit_counters.OpenWork, lines: int) -> None:
    if OPEN in limits and work.batches >= limits[OPEN]:
        text = f"This {owner} may have {limits[OPEN]} batches that are not over, and has {work.batches}."
        raise _refused(text, LATER_S)
    if LINES in limits and work.lines + lines > limits[LINES]:
        text = (
            f"This {owner} may have {limits[LINES]} lines waiting; there are {work.lines}, and this batch has {lines}."
        )
        raise _refused(text, LATER_S)


def _refused(text: str, wait_s: float) -> RateLimitedError:
    return RateLimitedError(text, retry_after_s=max(1, math.ceil(wait_s)))
