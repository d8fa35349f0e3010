"""Batches that are not over, the accounts that they go to, and the jobs that providers run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, case, cast, func, literal_column, or_, select

from app.data.store.database import now_ms
from app.data.tables import account_capacity, accounts, batch_jobs, batches, capacity_permits, pauses
from app.data.tables.batches import IS_RUNNING

MAX_BATCHES = 2500  # of each status
MAX_ROWS = 5000
END_OF_TIME_MS = 10**15
RUNNING = ("validating", "in_progress", "finalizing", "cancelling")
UNCONFIRMED = ("creating", "unknown")
_PUT_OFF = or_(
    batches.c.paused_at.is_not(None),
    and_(batches.c.not_before.is_not(None), batches.c.not_before > now_ms()),
    and_(batches.c.off_peak_until.is_not(None), batches.c.off_peak_until <= now_ms()),
)


@dataclass(frozen=True, slots=True)
class RunningBatches:
    """Batches of one status that are alike. Times in milliseconds.

    `lines_left`, `oldest_ms` and `longest_ms` leave out batches that are put off: paused by somebody, or for later.
    """

    status: str
    execution: str
    provider: str
    count: int
    lines_left: int
    oldest_ms: int | None
    longest_ms: int | None
    least_margin_ms: int


@dataclass(frozen=True, slots=True)
class UsedCapacity:
    """A model at an account that workers send lines to. `source` says who made the account."""

    provider: str
    account: str
    source: str
    model: str
    in_flight: int
    wanted: int
    ceiling: int
    limit: float


@dataclass(frozen=True, slots=True)
class Paused:
    """A pause. Model '' is the whole account; for `age_ms`, nothing has been answered."""

    provider: str
    account: str
    source: str
    model: str
    kind: str
    age_ms: int


@dataclass(frozen=True, slots=True)
class OpenJobs:
    """Jobs of one state at one provider. `lag_ms` is how long the most overdue one waits for its next step."""

    state: str
    provider: str
    count: int
    lag_ms: int | None
    unconfirmed_ms: int | None


def running_batches(connection: Connection) -> list[RunningBatches]:
    """The batches that are not over, those whose deadline is near first."""
    found = [row for status in RUNNING for row in connection.execute(_of_status(status))]
    return [RunningBatches(*row) for row in found]


def _of_status(status: str) -> Any:
    since = case(
        (batches.c.status == "cancelling", batches.c.cancelling_at),
        (batches.c.status == "finalizing", batches.c.finalizing_at),
        (batches.c.status == "in_progress", batches.c.in_progress_at),
    )
    ended = batches.c.lines_completed + batches.c.lines_failed + batches.c.lines_expired + batches.c.lines_cancelled
    near = (
        select(
            batches.c.status,
            batches.c.execution,
            batches.c.provider,
            case((_PUT_OFF, 0), else_=batches.c.lines_total - ended).label("lines_left"),
            batches.c.created_at,
            case((~_PUT_OFF, func.coalesce(since, batches.c.created_at))).label("since"),
            batches.c.expires_at,
        )
        # Spelled out, so that every plan may use the index of running ones.
        .where(IS_RUNNING, batches.c.status == literal_column(f"'{status}'"))
        .order_by(batches.c.expires_at)
        .limit(MAX_BATCHES)
        .subquery()
    )
    kind = (near.c.status, near.c.execution, near.c.provider)
    oldest = func.min(case((near.c.lines_left > 0, near.c.created_at)))
    return select(
        *kind,
        func.count(),
        cast(func.sum(near.c.lines_left), BigInteger),
        now_ms() - oldest,
        now_ms() - func.min(near.c.since),
        func.min(near.c.expires_at) - now_ms(),
    ).group_by(*kind)


def used_capacities(connection: Connection) -> list[UsedCapacity]:
    """Capacities of which workers hold or want permits, the busiest first."""
    held = (
        select(
            capacity_permits.c.capacity_id,
            # Of a worker of the release before, only what it may have in flight is known.
            cast(func.sum(func.coalesce(capacity_permits.c.in_flight, capacity_permits.c.held)), BigInteger).label(
                "in_flight"
            ),
            cast(func.sum(capacity_permits.c.wanted), BigInteger).label("wanted"),
        )
        .where(capacity_permits.c.lease_until >= now_ms())
        .group_by(capacity_permits.c.capacity_id)
        .order_by(func.sum(capacity_permits.c.held).desc())
        .limit(MAX_ROWS)
        .subquery()
    )
    statement = (
        select(
            accounts.c.provider,
            accounts.c.name,
            accounts.c.source,
            account_capacity.c.model,
            held.c.in_flight,
            held.c.wanted,
            account_capacity.c.ceiling,
            account_capacity.c.adapted_limit,
        )
        .join_from(held, account_capacity, account_capacity.c.id == held.c.capacity_id)
        .join(accounts, accounts.c.id == account_capacity.c.account_id)
        .order_by(held.c.in_flight.desc(), account_capacity.c.id)
    )
    return [UsedCapacity(*row) for row in connection.execute(statement)]


def paused(connection: Connection) -> list[Paused]:
    """Pauses, the oldest first."""
    statement = (
        select(
            accounts.c.provider,
            accounts.c.name,
            accounts.c.source,
            pauses.c.model,
            pauses.c.kind,
            now_ms() - pauses.c.since,
        )
        .join_from(pauses, accounts, accounts.c.id == pauses.c.account_id)
        .order_by(pauses.c.since)
        .limit(MAX_ROWS)
    )
    return [Paused(*row) for row in connection.execute(statement)]


def open_jobs(connection: Connection) -> Sequence[OpenJobs]:
    """Jobs that are not done, those that are due first."""
    is_free = or_(batch_jobs.c.lease_until.is_(None), batch_jobs.c.lease_until < now_ms())
    near = (
        select(
            batch_jobs.c.state,
            batch_jobs.c.account_id,
            case((is_free, batch_jobs.c.next_at)).label("next_at"),
            case((batch_jobs.c.state.in_(UNCONFIRMED), batch_jobs.c.creating_at)).label("creating_at"),
        )
        # All instants lie between: without statistics, PostgreSQL takes two bounds for few rows, and uses the index.
        .where(batch_jobs.c.state != literal_column("'done'"), batch_jobs.c.next_at.between(0, END_OF_TIME_MS))
        .order_by(batch_jobs.c.next_at)
        .limit(MAX_ROWS)
        .subquery()
    )
    kind = (near.c.state, accounts.c.provider)
    statement = (
        select(*kind, func.count(), now_ms() - func.min(near.c.next_at), now_ms() - func.min(near.c.creating_at))
        .join_from(near, accounts, accounts.c.id == near.c.account_id)
        .group_by(*kind)
    )
    return [OpenJobs(*row) for row in connection.execute(statement)]
