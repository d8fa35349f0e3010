"""Rows of containers.

A hosted container is over once its `expires_at` has passed or it is deleted. Its row stays `running` until the bytes of
its files have been released, so that the index of running containers finds what a crash left undone. A native one (at
an account) is over when its provider says so. Until the provider has made it and the gateway has recorded that
(`refreshed_at`), a native container is an intent that nobody sees (`app.data.containers.intents`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, insert, literal_column, or_, select, update

from app.data.store import absence, paging
from app.data.store.database import now_ms
from app.data.tables import containers

MINUTE_MS = 60_000
RUNNING = "running"
EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Container:
    """A container as it is at this moment. Instants are Unix milliseconds.

    `status`: running, or expired, also when the sweeper has not seen it yet. `idle_ms`: since it was last used.
    `unseen_ms`: since its provider was last asked about it. `missing_at`: since when its provider does not find it.
    `account_id` and `native_id` are None for hosted ones, `native_id` also for intents.
    """

    id: int
    public_id: str
    provider: str
    name: str
    status: str
    expires_after_minutes: int
    memory_limit: str
    network_policy: Mapping[str, Any] | None
    metadata: Mapping[str, str] | None
    created_at: int
    last_active_at: int
    idle_ms: int
    unseen_ms: int | None
    account_id: int | None
    native_id: str | None
    missing_at: int | None = None

    @property
    def is_running(self) -> bool:
        """True unless it is over."""
        return self.status == RUNNING


@dataclass(frozen=True, slots=True)
class ContainerValues:
    """What a new container is made of. `account_id` is the account it is to be made at; None for a hosted one."""

    public_id: str
    project_id: int
    key_id: int | None
    provider: str
    name: str
    expires_after_minutes: int
    memory_limit: str
    network_policy: Mapping[str, Any] | None
    metadata: Mapping[str, str] | None
    account_id: int | None = None


# Spelled out, not a parameter, so that every plan may use the index of running ones.
_is_running = containers.c.status == literal_column("'running'")
_is_hosted = containers.c.account_id.is_(None)
_shown = and_(containers.c.deleted_at.is_(None), or_(_is_hosted, containers.c.refreshed_at.is_not(None)))
_running = _is_running & containers.c.deleted_at.is_(None) & (containers.c.expires_at > now_ms())
_due = _is_running & _is_hosted & (containers.c.expires_at <= now_ms())
_COLUMNS: Sequence[ColumnElement[Any]] = (
    containers.c.id,
    containers.c.public_id,
    containers.c.provider,
    containers.c.name,
    case((_is_running & ~and_(_is_hosted, containers.c.expires_at <= now_ms()), RUNNING), else_=EXPIRED),
    containers.c.expires_after_minutes,
    containers.c.memory_limit,
    containers.c.network_policy,
    containers.c.metadata,
    containers.c.created_at,
    containers.c.last_active_at,
    now_ms() - containers.c.last_active_at,
    now_ms() - containers.c.refreshed_at,
    containers.c.account_id,
    containers.c.native_id,
    containers.c.missing_at,
)


def insert_container(connection: Connection, new: ContainerValues) -> Container:
    """A new running container; at an account it is an intent until it is confirmed."""
    statement = insert(containers).values(
        public_id=new.public_id,
        project_id=new.project_id,
        key_id=new.key_id,
        provider=new.provider,
        account_id=new.account_id,
        name=new.name,
        status=RUNNING,
        expires_after_minutes=new.expires_after_minutes,
        memory_limit=new.memory_limit,
        network_policy=new.network_policy,
        metadata=new.metadata,
        created_at=now_ms(),
        last_active_at=now_ms(),
        expires_at=now_ms() + new.expires_after_minutes * MINUTE_MS,
    )
    return Container(*connection.execute(statement.returning(*_COLUMNS)).one())


def find(connection: Connection, *, project_id: int, public_id: str) -> Container | None:
    """A container of the project that is not deleted, by its own id or by its native one."""
    scope = select(*_COLUMNS).where(containers.c.project_id == project_id, _shown)
    named = select(*_COLUMNS).where(paging.within(containers.c.project_id, project_id), _shown)
    row = connection.execute(named.where(containers.c.public_id == public_id)).first()
    if row is None:
        newest = scope.where(containers.c.native_id == public_id).order_by(containers.c.id.desc()).limit(1)
        row = connection.execute(newest).first()
    return None if row is None else Container(*row)


def touch(connection: Connection, container_id: int) -> Container | None:
    """Restart the idle time of a running container, and keep others from ending it until the transaction is over.

    Returns the container; None when it is over.
    """
    statement = (
        update(containers)
        .where(containers.c.id == container_id, _running)
        .values(last_active_at=now_ms(), expires_at=now_ms() + containers.c.expires_after_minutes * MINUTE_MS)
        .returning(*_COLUMNS)
    )
    row = connection.execute(statement).first()
    return None if row is None else Container(*row)


def list_page(
    connection: Connection,
    *,
    project_id: int,
    name: str | None,
    provider: str | None,
    after: paging.Position | None,
    descending: bool,
    limit: int,
) -> list[Container]:
    """At most `limit` + 1 containers of the project, in the order of lists."""
    statement = select(*_COLUMNS).where(containers.c.project_id == project_id, _shown)
    if name is not None:
        statement = statement.where(containers.c.name == name)
    if provider is not None:
        statement = statement.where(containers.c.provider == provider)
    page = paging.page(statement, containers, after=after, descending=descending, limit=limit)
    return [Container(*row) for row in connection.execute(page)]


def position(connection: Connection, *, project_id: int, public_id: str) -> paging.Position | None:
    """Where a container of the project stands in lists, by its own or its native id; deleted ones included."""
    scope = paging.within(containers.c.project_id, project_id)
    own = paging.position(connection, containers, scope, public_id=public_id)
    return own or paging.native_position(connection, containers, scope, native_id=public_id)


def mark_deleted(connection: Connection, container_id: int) -> bool:
    """Hide a hosted container and make it due. False when another request was first."""
    statement = (
        update(containers)
        .where(containers.c.id == container_id, containers.c.deleted_at.is_(None))
        .values(deleted_at=now_ms(), expires_at=now_ms() - 1)
    )
    return connection.execute(statement).rowcount == 1


def is_deleted(connection: Connection, container_id: int) -> bool:
    """True when a caller deleted it."""
    where = (containers.c.id == container_id, containers.c.deleted_at.is_not(None))
    return connection.execute(select(containers.c.id).where(*where)).first() is not None


def list_due(connection: Connection, *, limit: int) -> Sequence[int]:
    """Ids of hosted containers that are over and whose files may still hold bytes."""
    return connection.execute(select(containers.c.id).where(_due).limit(limit)).scalars().all()


def hold_due(connection: Connection, container_id: int) -> bool:
    """Lock a due container until the transaction is over. False when it was touched meanwhile, or is finished."""
    statement = update(containers).where(containers.c.id == container_id, _due).values(status=RUNNING)
    return connection.execute(statement).rowcount == 1


def finish(connection: Connection, container_id: int) -> None:
    """Record that the files of a due container hold nothing any more: it is expired, or deleted if a caller did so."""
    for condition, status in (
        (containers.c.deleted_at.is_(None), EXPIRED),
        (containers.c.deleted_at.is_not(None), "deleted"),
    ):
        connection.execute(
            update(containers).where(containers.c.id == container_id, _due, condition).values(status=status)
        )


def take_look(connection: Connection, container_id: int, *, stale_ms: int) -> bool:
    """Claim the look at a native container whose provider was not asked for `stale_ms`: true for one caller."""
    stale = containers.c.refreshed_at <= now_ms() - stale_ms
    where = (containers.c.id == container_id, _is_running, _shown, stale)
    return connection.execute(update(containers).where(*where).values(refreshed_at=now_ms())).rowcount == 1


def observe(connection: Connection, container_id: int, *, status: str, last_active_at: int | None = None) -> None:
    """Record what the provider says of a container; an unknown `last_active_at` stays as it is."""
    values: dict[str, Any] = {"refreshed_at": now_ms(), "status": status, **absence.forgotten()}
    if last_active_at is not None:
        values["last_active_at"] = last_active_at
        values["expires_at"] = last_active_at + containers.c.expires_after_minutes * MINUTE_MS
    where = (containers.c.id == container_id, containers.c.deleted_at.is_(None))
    connection.execute(update(containers).where(*where).values(**values))


def miss(connection: Connection, container_id: int) -> bool:
    """Count a look that did not find a container at its provider. True when that is enough to believe it."""
    return absence.miss(connection, containers, container_id)


def found(connection: Connection, container_id: int) -> None:
    """Forget the looks that did not find a container."""
    absence.found(connection, containers, container_id)


def bury(connection: Connection, container_id: int) -> bool:
    """Record that a native container is deleted, or was never made. False when another request was first."""
    where = (containers.c.id == container_id, containers.c.deleted_at.is_(None))
    values = {"deleted_at": now_ms(), "status": "deleted"}
    return connection.execute(update(containers).where(*where).values(**values)).rowcount == 1


def overdue(connection: Connection, *, margin_ms: int, unseen_ms: int, limit: int) -> list[Container]:
    """Native containers that should have expired `margin_ms` ago, and were not looked at for `unseen_ms`."""
    statement = select(*_COLUMNS).where(
        _is_running,
        _shown,
        containers.c.account_id.is_not(None),
        containers.c.expires_at <= now_ms() - margin_ms,
        containers.c.refreshed_at <= now_ms() - unseen_ms,
    )
    return [Container(*row) for row in connection.execute(statement.order_by(containers.c.refreshed_at).limit(limit))]
