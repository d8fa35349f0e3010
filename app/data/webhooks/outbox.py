"""The outbox: what is to be delivered is written with the end of a batch, and delivered under a lease of its endpoint.

An endpoint's `next_at` is when something of it may be due: who writes a delivery lowers it, always, which locks the
endpoint until the delivery is committed; who gives the endpoint back locks it first, and then reads what is left.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, insert, or_, select, text, update

from app.data.store.database import in_index_order, now_ms
from app.data.store.leases import RELEASED, Lease, LeasedTable
from app.data.store.rows import columns
from app.data.tables import batches, files, projects, webhook_deliveries, webhook_endpoints
from app.data.webhooks.endpoints import PROJECT
from app.lib import ids

PENDING, DELIVERED, FAILED, DROPPED = "pending", "delivered", "failed", "dropped"
EVENT, REPLAY, TEST = "event", "replay", "test"
# How long a delivery is tried.
EXPIRES_MS = 72 * 3600 * 1000
# So many failures in a row pause an endpoint.
BREAKS_AT = 5

_E, _D = webhook_endpoints, webhook_deliveries
_LEASES = LeasedTable(_E)
_ALIVE = _E.c.deleted_at.is_(None)
# Read once for a statement: the clock itself changes while it runs, so no index answers a comparison with it.
_NOW = select(now_ms()).scalar_subquery()
# The conditions as the partial indexes spell them: SQLite uses those for nothing else.
_IS_PENDING = text("webhook_deliveries.state = 'pending'")
_HAS_ENDED = text("webhook_deliveries.state <> 'pending'")
_output, _error = files.alias("output_file"), files.alias("error_file")


@dataclass(frozen=True, slots=True)
class DueEndpoint:
    """An endpoint that a worker may claim."""

    id: int
    epoch: int
    project_id: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery that is due, and all that is needed to write it. `batch` is None of a sample."""

    id: int
    public_id: str
    event_id: str
    event_type: str
    event_at: int
    attempts: int
    expires_at: int
    endpoint: str
    url: str
    payload: str
    project: str
    batch: str | None
    endpoint_path: str | None
    model: str | None
    execution: str | None
    metadata: dict[str, str] | None
    lines_total: int | None
    lines_completed: int | None
    lines_failed: int | None
    lines_expired: int | None
    lines_cancelled: int | None
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    output_file: str | None
    error_file: str | None


_BATCH_COLUMNS = columns(batches, Letter)
_NAMED = ("id", "public_id")
_LETTER = (
    select(
        *[_D.c[name] for name in ("id", "public_id", "event_id", "event_type", "event_at", "attempts", "expires_at")],
        _E.c.public_id.label("endpoint"),
        _E.c.url,
        _E.c.payload,
        projects.c.name.label("project"),
        batches.c.public_id.label("batch"),
        batches.c.endpoint.label("endpoint_path"),
        *[column for column in _BATCH_COLUMNS if column.name not in (*_NAMED, "endpoint", "expires_at")],
        _output.c.public_id.label("output_file"),
        _error.c.public_id.label("error_file"),
    )
    .join_from(_D, _E, _E.c.id == _D.c.endpoint_id)
    .join(projects, projects.c.id == _D.c.project_id)
    .outerjoin(batches, batches.c.id == _D.c.batch_id)
    .outerjoin(_output, _output.c.id == batches.c.output_file_id)
    .outerjoin(_error, _error.c.id == batches.c.error_file_id)
)


def announce(connection: Connection, batch_id: int) -> None:
    """Write what is told of a batch that this transaction has just ended; every way to end one calls it."""
    own = select(batches.c.project_id, batches.c.status, batches.c.webhook_endpoint_id)
    batch = connection.execute(own.where(batches.c.id == batch_id)).one()
    listed = select(_E.c.id, _E.c.event_types).where(_E.c.project_id == batch.project_id, _ALIVE, _E.c.scope == PROJECT)
    event_type = f"batch.{batch.status}"
    receivers = {
        row.id for row in connection.execute(listed) if row.event_types is None or event_type in row.event_types
    }
    if batch.webhook_endpoint_id is not None:
        receivers.add(batch.webhook_endpoint_id)
    if not receivers:
        return
    event_id = ids.new(ids.EVENT)
    for endpoint_id in sorted(receivers):  # one order of locks for batches that end at the same time
        post(
            connection,
            project_id=batch.project_id,
            endpoint_id=endpoint_id,
            batch_id=batch_id,
            event_id=event_id,
            event_type=event_type,
            origin=EVENT,
        )


def post(
    connection: Connection,
    *,
    project_id: int,
    endpoint_id: int,
    batch_id: int | None,
    event_id: str,
    event_type: str,
    origin: str,
    event_at: int | None = None,
) -> str | None:
    """Write one delivery that is due now; returns its id, or None when the endpoint is deleted."""
    due = case((func.coalesce(_E.c.paused_until, 0) > now_ms(), _E.c.paused_until), else_=now_ms())
    earlier = case((_E.c.next_at < due, _E.c.next_at), else_=due)
    if connection.execute(update(_E).where(_E.c.id == endpoint_id, _ALIVE).values(next_at=earlier)).rowcount != 1:
        return None
    public_id, now = ids.new(ids.WEBHOOK_DELIVERY), connection.execute(select(now_ms())).scalar_one()
    values = {
        "public_id": public_id,
        "project_id": project_id,
        "endpoint_id": endpoint_id,
        "batch_id": batch_id,
        "event_id": event_id,
        "event_type": event_type,
        "origin": origin,
        "state": PENDING,
        "created_at": now,
        "event_at": now if event_at is None else event_at,
        "next_at": now,
        "expires_at": now + EXPIRES_MS,
    }
    connection.execute(insert(_D).values(**values))
    return public_id


def insert_ended(connection: Connection, **values: Any) -> None:
    """Write a delivery that was tried already, and is not tried again: that of a sample."""
    now = now_ms()
    instants = dict.fromkeys(("created_at", "event_at", "expires_at", "attempted_at", "ended_at"), now)
    connection.execute(insert(_D).values(origin=TEST, attempts=1, **instants, **values))


def due(connection: Connection, *, skip: Collection[int], limit: int) -> Sequence[DueEndpoint]:
    """Endpoints that something may be due for, but none of the projects in `skip`; the longest due first."""
    statement = select(*columns(_E, DueEndpoint)).where(_E.c.next_at <= _NOW, _E.c.next_at.is_not(None), _ALIVE)
    if skip:
        statement = statement.where(_E.c.project_id.not_in(list(skip)))
    found = connection.execute(statement.where(_LEASES.free).order_by(_E.c.next_at).limit(limit))
    return [DueEndpoint(*row) for row in found]


def claim(connection: Connection, lease: Lease, *, lease_ms: int) -> bool:
    """Take an endpoint to deliver. False when another worker was faster."""
    return _LEASES.claim(connection, lease, _ALIVE, _E.c.next_at <= now_ms(), lease_ms=lease_ms)


def begin(connection: Connection, lease: Lease, *, lease_ms: int) -> Letter | None:
    """The delivery that is due first, counted as tried. None when there is none, or the lease is lost."""
    if not _LEASES.hold(connection, lease, _ALIVE, lease_ms=lease_ms):
        return None
    due_now = and_(_D.c.endpoint_id == lease.id, _D.c.state == PENDING, _D.c.next_at <= now_ms())
    row = connection.execute(_LETTER.where(due_now).order_by(_D.c.next_at, _D.c.id).limit(1)).first()
    if row is None:
        return None
    letter = Letter(**row._asdict())
    tried = {"attempts": _D.c.attempts + 1, "attempted_at": now_ms()}
    connection.execute(update(_D).where(_D.c.id == letter.id).values(**tried))
    return letter


def delivered(connection: Connection, lease: Lease, delivery_id: int, *, status_code: int, latency_ms: int) -> bool:
    """Record that the endpoint took it. What waited for an endpoint that was paused is due now."""
    broken = select(_E.c.failures).where(_LEASES.held(lease), _ALIVE)
    failures = connection.execute(broken).scalar()
    if failures is None or not _LEASES.write(connection, lease, _ALIVE, failures=0, paused_until=None):
        return False
    values = {"status_code": status_code, "latency_ms": latency_ms, "error": None}
    _end(connection, delivery_id, DELIVERED, **values)
    if failures >= BREAKS_AT:
        later = and_(_D.c.endpoint_id == lease.id, _D.c.state == PENDING, _D.c.next_at > now_ms())
        connection.execute(update(_D).where(later).values(next_at=now_ms()))
    return True


def failed(
    connection: Connection,
    lease: Lease,
    delivery_id: int,
    *,
    status_code: int | None,
    error: str,
    latency_ms: int,
    again_in_ms: int,
    pause_ms: int,
) -> str | None:
    """Record an attempt that failed. Returns the state of the delivery; None when the lease is lost.

    It is tried again in `again_in_ms`, unless it is given up by then; `pause_ms` pauses the endpoint if it has failed
    often enough in a row.
    """
    paused = case((_E.c.failures + 1 >= BREAKS_AT, now_ms() + pause_ms), else_=_E.c.paused_until)
    if not _LEASES.write(connection, lease, _ALIVE, failures=_E.c.failures + 1, paused_until=paused):
        return None
    values = {"status_code": status_code, "latency_ms": latency_ms, "error": error}
    left = and_(_D.c.id == delivery_id, _D.c.state == PENDING, _D.c.expires_at > now_ms() + again_in_ms)
    if connection.execute(update(_D).where(left).values(next_at=now_ms() + again_in_ms, **values)).rowcount:
        return PENDING
    _end(connection, delivery_id, FAILED, **values)
    return FAILED


def failures(connection: Connection, endpoint_id: int) -> int:
    """How often in a row the endpoint has failed."""
    return int(connection.execute(select(_E.c.failures).where(_E.c.id == endpoint_id)).scalar() or 0)


def is_paused(connection: Connection, endpoint_id: int) -> bool:
    """True while nothing is delivered to the endpoint, since it has failed too often."""
    where = (_E.c.id == endpoint_id, _E.c.paused_until > now_ms())
    return connection.execute(select(_E.c.id).where(*where)).first() is not None


def give_back(connection: Connection, lease: Lease) -> None:
    """Release the endpoint until its next delivery is due."""
    if not _LEASES.write(connection, lease, epoch=lease.epoch):
        return
    first = select(func.min(_D.c.next_at)).where(_D.c.endpoint_id == lease.id, _D.c.state == PENDING)
    next_at = connection.execute(first).scalar()
    if next_at is not None:
        later = or_(_E.c.paused_until.is_(None), _E.c.paused_until <= next_at)
        values: dict[str, Any] = {"next_at": case((later, next_at), else_=_E.c.paused_until)}
    else:
        values = {"next_at": None}
    _LEASES.write(connection, lease, **RELEASED, **values)


def expire(connection: Connection, *, limit: int) -> int:
    """Give up deliveries that are too old, which were not even tried as their endpoint was paused; returns how many."""
    some = select(_D.c.id).where(_IS_PENDING, _D.c.expires_at <= _NOW).order_by(_D.c.expires_at).limit(limit)
    statement = update(_D).where(_D.c.id.in_(some), _IS_PENDING)
    with in_index_order(connection):
        return connection.execute(statement.values(state=FAILED, ended_at=now_ms(), next_at=None)).rowcount


def drop_for(connection: Connection, endpoint_id: int, *, limit: int) -> int:
    """Drop deliveries of an endpoint that was deleted; returns how many."""
    some = select(_D.c.id).where(_D.c.endpoint_id == endpoint_id, _D.c.state == PENDING).limit(limit)
    statement = update(_D).where(_D.c.id.in_(some), _D.c.state == PENDING)
    return connection.execute(statement.values(state=DROPPED, ended_at=now_ms(), next_at=None)).rowcount


def deleted(connection: Connection, *, limit: int) -> Sequence[int]:
    """Ids of deleted endpoints that may have deliveries left."""
    statement = select(_E.c.id).where(_E.c.next_at.is_not(None), _E.c.deleted_at.is_not(None))
    return connection.execute(statement.limit(limit)).scalars().all()


def settle(connection: Connection, endpoint_id: int) -> None:
    """Note that a deleted endpoint has no deliveries left."""
    statement = update(_E).where(_E.c.id == endpoint_id, _E.c.deleted_at.is_not(None))
    connection.execute(statement.values(next_at=None))


def forget(connection: Connection, *, older_than_ms: int, limit: int) -> int:
    """Delete deliveries that ended so long ago; returns how many."""
    old = select(_D.c.id).where(_HAS_ENDED, _D.c.ended_at < _NOW - older_than_ms)
    with in_index_order(connection):
        found = connection.execute(old.order_by(_D.c.ended_at).limit(limit)).scalars().all()
        return connection.execute(delete(_D).where(_D.c.id.in_(found))).rowcount if found else 0


def _end(connection: Connection, delivery_id: int, state: str, **values: Any) -> None:
    statement = update(_D).where(_D.c.id == delivery_id, _D.c.state == PENDING)
    connection.execute(statement.values(state=state, ended_at=now_ms(), next_at=None, **values))
