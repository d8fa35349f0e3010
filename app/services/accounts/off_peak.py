"""Off-peak hours of accounts: operators set them, and batches that wait for them are moved on when they are over."""

from collections.abc import Sequence
from typing import Any

from app.data.access import accounts, off_peak
from app.data.access.off_peak import OffPeak as OffPeak  # what callers of this module get
from app.data.batches import batches
from app.errors import InvalidRequestError, NotFoundError
from app.lib import hours
from app.lib.hours import Hours as Hours  # what callers of this module get
from app.services.events import record
from app.services.gateway import Actor, Gateway

MAX_WINDOWS = 50
# Batches that one heartbeat moves on.
SLICE_ROWS = 50


def list_(gateway: Gateway, *, provider: str, name: str) -> list[OffPeak]:
    """The off-peak hours of an account. Raises NotFoundError."""
    account_id = _account(gateway, provider, name)
    with gateway.database.read() as connection:
        return off_peak.of_account(connection, account_id)


def set_(
    gateway: Gateway, windows: Sequence[OffPeak], *, provider: str, name: str, actor: Actor = record.OPERATOR
) -> list[OffPeak]:
    """Give an account these off-peak hours, and no others. Raises NotFoundError, InvalidRequestError."""
    if len(windows) > MAX_WINDOWS:
        raise InvalidRequestError(f"windows: an account has at most {MAX_WINDOWS}.", param="windows")
    account_id = _account(gateway, provider, name)
    with gateway.database.write() as connection:
        off_peak.replace(connection, account_id, windows)
        detail = {"off_peak": [text(each) for each in windows]}
        label = f"{provider}/{name}"
        record.record_act(connection, operation="account_change", object_id=label, detail=detail, actor=actor)
    return list(windows)


def read(*, model: str | None = None, **written: Any) -> OffPeak:
    """Hours as people write them (`app.lib.hours.parsed`). Raises InvalidRequestError that names the field."""
    try:
        return OffPeak(model, hours.parsed(**written))
    except ValueError as error:
        raise InvalidRequestError(str(error), param=f"windows.{str(error).partition(':')[0]}") from error


def text(window: OffPeak) -> str:
    """Hours for a person: `16:30-00:30 UTC mon,tue 50% of m`."""
    each = window.hours
    days = "" if each.days == hours.DAILY else f" {each.days}"
    of = f" of {window.model}" if window.model else ""
    return f"{hours.shown(each.begins)}-{hours.shown(each.ends)} {each.zone}{days} {each.percent}%{of}"


def next_span(gateway: Gateway, account_id: int, model: str | None) -> tuple[int, int] | None:
    """When the off-peak hours for a model began or begin, and when they end (Unix ms); None where there are none."""
    with gateway.database.read() as connection:
        found = off_peak.hours(connection, account_id, model)
    return hours.span(found, gateway.clock.now_ms())


def move_on(gateway: Gateway) -> int:
    """Let batches whose off-peak hours are over wait for the next ones; returns how many did."""
    with gateway.database.read() as connection:
        over = batches.off_peak_over(connection, limit=SLICE_ROWS)
    moved = 0
    for batch in over:
        # Without any hours, nothing is left to wait for.
        begins, ends = next_span(gateway, batch.account_id, batch.model) or (None, None)
        with gateway.database.write() as connection:
            moved += batches.wait_for_off_peak(connection, batch.id, seen=batch.until, begins=begins, ends=ends)
    return moved


def _account(gateway: Gateway, provider: str, name: str) -> int:
    is_possible = provider.isprintable() and name.isprintable()  # PostgreSQL raises an error on NUL in text
    with gateway.database.read() as connection:
        row = accounts.find(connection, provider=provider, name=name) if is_possible else None
    if row is None:
        raise NotFoundError(f"Provider {provider!r:.80} has no account {name!r:.80}.")
    return row.id
