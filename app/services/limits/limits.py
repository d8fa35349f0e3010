"""Enforces limits of keys, projects and accounts: requests a minute, amounts a day, amounts at once.

A rejection says when to retry.
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
# Files and requests belong to keys and projects; accounts only run batches.
ACCOUNT_NAMES = (OPEN, LINES, TOKENS)
MAX_LIMIT = 10**15
# `Retry-After` where we cannot predict when capacity frees up: when a batch ends, or a file is deleted.
RETRY_AFTER_S = 30
# Use during a day is counted in slices of five minutes.
DAY_SLICE_MS = 300_000

Owner = tuple[str, int, Mapping[str, int]]


def validate(mapping: Mapping[str, Any], *, owner: str = "key") -> dict[str, int]:
    """Returns the limits that `mapping` sets for a key, project or account, without those that are None.

    Raises InvalidRequestError.
    """
    names = ACCOUNT_NAMES if owner == "account" else NAMES
    limits: dict[str, int] = {}
    for name, limit in mapping.items():
        if name not in names:
            text = (
                f"limits: {name!r:.80} is not a limit of a{'n' if owner == 'account' else ''} {owner}; the limits are "
            )
            raise InvalidRequestError(f"{text}{', '.join(names)}.", param="limits")
        if limit is None:
            continue
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= MAX_LIMIT:
            raise InvalidRequestError(f"limits: {name} must be a whole number from 0 to {MAX_LIMIT}.", param="limits")
        limits[name] = limit
    return limits


def check_request(gateway: Gateway, caller: Caller) -> None:
    """Counts a request. Raises RateLimitedError when the key or project has reached its limit in the last minute."""
    if not caller.limits and not caller.project_limits:
        return
    asks = [
        Ask((owner, owner_id), limits[REQUESTS], partial(_exchange, gateway, owner, owner_id, limits[REQUESTS]))
        for owner, owner_id, limits in _owners(caller)
        if REQUESTS in limits
    ]
    rejection = gateway.rates.take(asks, gateway.clock)
    if rejection is not None:
        ask, wait_s = rejection
        error = _rate_limited(f"This {ask.key[0]} may make {ask.limit} requests a minute.", wait_s)
        error.is_news = gateway.rates.is_news(ask, gateway.clock)
        raise error


def check_room(gateway: Gateway, caller: Caller, *, size: int = 1) -> None:
    """Raises RateLimitedError when `size` more bytes cannot be stored now. `check_stored` decides."""
    owners = [owner for owner in _owners(caller) if STORED in owner[2]]
    if not owners:
        return
    with gateway.database.read() as connection:
        for owner, owner_id, limits in owners:
            _check_stored(owner, limits[STORED], stored=_stored(connection, owner, owner_id), more=size)


def check_upload(gateway: Gateway, caller: Caller, *, size: int = 0, counted: int = 0) -> None:
    """Raises RateLimitedError when a file of `size` bytes (0 if unknown) cannot be accepted now.

    `counted` of them count already, as those of a pending upload. Counts nothing: `settle_upload` counts the file and
    makes the final decision.
    """
    check_room(gateway, caller, size=max(1, size) - counted)
    owners = [owner for owner in _owners(caller) if UPLOADS in owner[2]]
    if not owners:
        return
    with gateway.database.read() as connection:
        for owner, owner_id, limits in owners:
            window = _day(*limit_counters.read(connection, owner=owner, owner_id=owner_id, name=UPLOADS))
            _check_uploads(owner, limits[UPLOADS], window)


def settle_upload(connection: Connection, caller: Caller) -> None:
    """Counts an upload, in the transaction that inserts its file. Raises RateLimitedError, which rolls it back."""
    check_stored(connection, caller)
    for owner, owner_id, limits in _owners(caller):
        if UPLOADS in limits:
            window = _day(*limit_counters.lock(connection, owner=owner, owner_id=owner_id, name=UPLOADS))
            _check_uploads(owner, limits[UPLOADS], window)
            _count(connection, owner, owner_id, UPLOADS, window, 1)


def check_stored(connection: Connection, caller: Caller) -> None:
    """Raises RateLimitedError when what the caller stored, or announced, in this transaction exceeds a limit."""
    for owner, owner_id, limits in _owners(caller):
        if STORED in limits:
            # Pending uploads are summed up: without the lock, two at once would not see each other.
            limit_counters.lock(connection, owner=owner, owner_id=owner_id, name=STORED)
            _check_stored(owner, limits[STORED], stored=_stored(connection, owner, owner_id), more=0)


def check_pending(gateway: Gateway, connection: Connection, caller: Caller) -> None:
    """Raises RateLimitedError when a project has as many uploads that wait for parts as it may."""
    limit = gateway.settings.max_pending_uploads
    pending = limit_counters.pending_uploads(connection, owner="project", owner_id=caller.project_id)
    if limit and pending.uploads >= limit:
        text = f"This project may have {limit} uploads that wait for their parts. Complete or cancel some of them."
        raise _rate_limited(text, RETRY_AFTER_S)


def check_new_batch(
    connection: Connection,
    caller: Caller,
    lines: int,
    *,
    account_id: int | None = None,
    account_limits: Mapping[str, int] | None = None,
) -> None:
    """Raises RateLimitedError when a batch of `lines` lines may not be created now.

    Must come first in the transaction that creates the batch: it locks the counters, so no other batch of the same
    key, project or account is created until the transaction ends.
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
                raise _rate_limited(f"This {owner} may use {limits[TOKENS]} tokens a day.", wait_ms / 1000)


def count_tokens(
    connection: Connection, project_id: int, key_id: int | None, account_id: int | None, tokens: int
) -> None:
    """Counts tokens that lines used, for owners with a limit, in the transaction that writes the ledger."""
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
    """Returns the current use of each limit of the caller's `key` and `project`, as recorded in the database."""
    with gateway.database.read() as connection:
        return {
            "key": used(connection, "key", caller.key_id, caller.limits),
            "project": used(connection, "project", caller.project_id, caller.project_limits),
        }


def used(connection: Connection, owner: str, owner_id: int, limits: Mapping[str, int]) -> dict[str, int]:
    """Returns the current use of each limit that is set."""
    use: dict[str, int] = {}
    work = limit_counters.open_work(connection, owner=owner, owner_id=owner_id) if {OPEN, LINES} & set(limits) else None
    for name in limits:
        if name == STORED:
            use[name] = _stored(connection, owner, owner_id)
        elif name in (OPEN, LINES) and work is not None:
            use[name] = work.batches if name == OPEN else work.lines
        else:
            stored, now = limit_counters.read(connection, owner=owner, owner_id=owner_id, name=name)
            span_ms = MINUTE_MS if name == REQUESTS else DAY_MS
            use[name] = Window.of(stored, now=now, span_ms=span_ms).count
    return use


def _stored(connection: Connection, owner: str, owner_id: int) -> int:
    """Bytes of files, also in containers, and those that pending uploads were announced with."""
    stored = limit_counters.value(connection, owner=owner, owner_id=owner_id, name=STORED)
    return stored + limit_counters.pending_uploads(connection, owner=owner, owner_id=owner_id).bytes


def _owners(caller: Caller) -> Iterator[Owner]:
    if caller.limits:
        yield "key", caller.key_id, caller.limits
    if caller.project_limits:
        yield "project", caller.project_id, caller.project_limits


def _exchange(gateway: Gateway, owner: str, owner_id: int, limit: int, report: Report, count: int) -> Granted:
    def unit(connection: Connection) -> Granted:
        stored, now = limit_counters.lock(connection, owner=owner, owner_id=owner_id, name=REQUESTS)
        window = Window.of(stored, now=now, span_ms=MINUTE_MS)
        granted = trade(window, report, count=count, limit=limit)
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
        text = f"This {owner} may store {limit} bytes. Delete files, cancel uploads, or wait until some expire."
        raise _rate_limited(text, RETRY_AFTER_S)


def _check_uploads(owner: str, limit: int, window: Window) -> None:
    wait_ms = window.wait_ms(limit)
    if wait_ms:
        raise _rate_limited(f"This {owner} may upload {limit} files a day.", wait_ms / 1000)


def _check_open(owner: str, limits: Mapping[str, int], work: limit_counters.OpenWork, lines: int) -> None:
    if OPEN in limits and work.batches >= limits[OPEN]:
        text = f"This {owner} may have {limits[OPEN]} unfinished batches and has {work.batches}."
        raise _rate_limited(text, RETRY_AFTER_S)
    if LINES in limits and work.lines + lines > limits[LINES]:
        text = (
            f"This {owner} may have {limits[LINES]} unfinished lines and has {work.lines}; this batch has {lines} more."
        )
        raise _rate_limited(text, RETRY_AFTER_S)


def _rate_limited(text: str, wait_s: float) -> RateLimitedError:
    return RateLimitedError(text, retry_after_s=max(1, math.ceil(wait_s)))
