"""Deliveries as projects and operators look at them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, select

from app.data.store import paging
from app.data.store.database import in_index_order
from app.data.store.rows import columns
from app.data.tables import batches, projects, webhook_deliveries, webhook_endpoints

_D, _E = webhook_deliveries, webhook_endpoints


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery, with the names of what it is about. Instants are Unix milliseconds; `error` is why it failed last."""

    id: int
    public_id: str
    project_id: int
    endpoint_id: int
    batch_id: int | None
    event_id: str
    event_type: str
    origin: str
    state: str
    attempts: int
    status_code: int | None
    error: str | None
    latency_ms: int | None
    created_at: int
    event_at: int
    next_at: int | None
    expires_at: int
    attempted_at: int | None
    ended_at: int | None
    project: str
    endpoint: str
    url: str
    batch: str | None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which deliveries: row ids of a project, an endpoint and a batch, and a state; None is all."""

    project_id: int | None = None
    endpoint_id: int | None = None
    batch_id: int | None = None
    state: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """As SQL; a unique owner comes first, and the project is only compared then."""
        found: list[ColumnElement[bool]] = []
        narrow = self.endpoint_id is not None or self.batch_id is not None
        if self.project_id is not None:
            own = paging.within(_D.c.project_id, self.project_id) if narrow else _D.c.project_id == self.project_id
            found.append(own)
        if self.endpoint_id is not None:
            found.append(_D.c.endpoint_id == self.endpoint_id)
        if self.batch_id is not None:
            found.append(_D.c.batch_id == self.batch_id)
        if self.state is not None:
            found.append(_D.c.state == self.state)
        return found


_DELIVERY = (
    select(
        *columns(_D, Delivery),
        projects.c.name.label("project"),
        _E.c.public_id.label("endpoint"),
        _E.c.url,
        batches.c.public_id.label("batch"),
    )
    .join_from(_D, _E, _E.c.id == _D.c.endpoint_id)
    .join(projects, projects.c.id == _D.c.project_id)
    .outerjoin(batches, batches.c.id == _D.c.batch_id)
)


def list_page(
    connection: Connection, filters: Filters, *, after: paging.Position | None, limit: int
) -> Sequence[Delivery]:
    """At most `limit` + 1 deliveries, newest first."""
    ids = paging.page(select(_D.c.id).where(*filters.conditions()), _D, after=after, descending=True, limit=limit)
    with in_index_order(connection):
        found = connection.execute(ids).scalars().all()
    if not found:
        return []
    # Joined only now: PostgreSQL would join all that a project has, and then sort it.
    rows = connection.execute(_DELIVERY.where(_D.c.id.in_(found)).order_by(_D.c.created_at.desc(), _D.c.id.desc()))
    return [Delivery(**row._asdict()) for row in rows]


def find(connection: Connection, *, public_id: str, project_id: int | None = None) -> Delivery | None:
    """A delivery, of the project if one is given."""
    statement = _DELIVERY.where(_D.c.public_id == public_id)
    if project_id is not None:
        statement = statement.where(paging.within(_D.c.project_id, project_id))
    row = connection.execute(statement).first()
    return None if row is None else Delivery(**row._asdict())


def position(connection: Connection, *, public_id: str, project_id: int | None = None) -> paging.Position | None:
    """The position of a delivery in lists."""
    scope = [] if project_id is None else [paging.within(_D.c.project_id, project_id)]
    return paging.position(connection, _D, *scope, public_id=public_id)


def batch_id(connection: Connection, *, project_id: int, public_id: str) -> int | None:
    """The row id of a batch of the project, also of a deleted one."""
    where = (batches.c.public_id == public_id, paging.within(batches.c.project_id, project_id))
    found: int | None = connection.execute(select(batches.c.id).where(*where)).scalar()
    return found
