"""Containers: hosted by the gateway itself for providers that declare them emulated, else at the provider."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.objects import NewContainer as NewNative
from app.data.containers import containers, files
from app.data.files import blobs
from app.data.store.database import AnyRow
from app.errors import InvalidRequestError, NotFoundError, UnsupportedOperationError
from app.lib import ids
from app.services.access import permissions
from app.services.accounts import choose
from app.services.accounts.directory import Account
from app.services.containers import hosted, native
from app.services.containers import sources as container_sources
from app.services.each_due import each_due
from app.services.gateway import Caller, Gateway

RUNNING = "running"
EXPIRED = "expired"
EXPIRES_AFTER_MINUTES = 20
MEMORY_LIMIT = "1g"
# A container that is being read writes its row at most this often.
TOUCH_EVERY_MS = 5_000
RELEASE_SLICE = 200


@dataclass(frozen=True, slots=True)
class NewContainer:
    """What a caller asks for."""

    name: str
    provider: str
    expires_after_minutes: int = EXPIRES_AFTER_MINUTES
    memory_limit: str = MEMORY_LIMIT
    network_policy: Mapping[str, Any] | None = None
    metadata: Mapping[str, str] | None = None
    file_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """A container as it is at this moment. Instants are Unix milliseconds; `row_id` never leaves the gateway."""

    row_id: int
    id: str
    provider: str
    name: str
    status: str
    expires_after_minutes: int
    memory_limit: str
    network_policy: Mapping[str, Any] | None
    metadata: Mapping[str, str] | None
    created_at: int
    last_active_at: int
    account_id: int | None = None
    native_id: str | None = None


@dataclass(frozen=True, slots=True)
class ContainerPage:
    """A page of a list, and whether more follow."""

    items: list[Container]
    has_more: bool


def create(
    gateway: Gateway,
    caller: Caller,
    wanted: NewContainer,
    *,
    settle: Callable[[Connection, Container], None] | None = None,
) -> Container:
    """A running container with copies of `wanted.file_ids` in it: all of it or nothing.

    `settle` is called last in the transaction. Raises InvalidRequestError (unknown files), UnsupportedOperationError,
    and what the provider's failure is for a caller.
    """
    permissions.check_use(caller, provider=wanted.provider)
    able = choose.able(gateway, wanted.provider, "container_create")
    if able or choose.require(gateway, wanted.provider, "container_create") is Support.NATIVE:
        return _create_native(gateway, caller, wanted, able, settle)
    sources = hosted.find_sources(gateway, caller, wanted.file_ids, param="file_ids")
    # One order for everyone, so that two requests for the same files cannot wait for each other.
    sources.sort(key=lambda source: source.blob_id)

    def unit(connection: Connection) -> Container:
        row = containers.insert_container(
            connection,
            public_id=ids.new(ids.CONTAINER),
            project_id=caller.project_id,
            key_id=caller.key_id,
            provider=wanted.provider,
            name=wanted.name,
            expires_after_minutes=wanted.expires_after_minutes,
            memory_limit=wanted.memory_limit,
            network_policy=shown_policy(wanted.network_policy),
            metadata=wanted.metadata,
        )
        for source in sources:
            hosted.put(connection, source, container_id=row.id, path=None, param="file_ids")
        made = _container(row)
        if settle is not None:
            settle(connection, made)
        return made

    return gateway.database.run(unit)


def list_(
    gateway: Gateway,
    caller: Caller,
    *,
    limit: int,
    descending: bool,
    after: str | None = None,
    name: str | None = None,
    provider: str | None = None,
) -> ContainerPage:
    """The project's containers by age, expired ones included. Raises InvalidRequestError on an unknown `after`."""
    with gateway.database.read() as connection:
        cursor = None
        if after is not None:
            cursor = containers.position(connection, project_id=caller.project_id, public_id=after)
            if cursor is None:
                raise InvalidRequestError(f"after: there is no container {after!r} in this project.", param="after")
        rows = containers.list_page(
            connection,
            project_id=caller.project_id,
            name=name,
            provider=provider,
            after=cursor,
            descending=descending,
            limit=limit,
        )
    return ContainerPage([_container(row) for row in rows[:limit]], has_more=len(rows) > limit)


def retrieve(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Container:
    """A container, whose idle time begins anew if it runs. Raises NotFoundError, also when it is not `provider`'s."""
    row = _find(gateway, caller, public_id, provider)
    if row.account_id is not None:
        return _container(native.refreshed(gateway, row) or _find(gateway, caller, public_id, provider))
    if row.status == RUNNING and not row.is_over and row.idle_ms > TOUCH_EVERY_MS:
        with gateway.database.write() as connection:
            touched = containers.touch(connection, row.id)
        # Gone in between: the next look tells whether it expired or was deleted.
        row = touched or _find(gateway, caller, public_id, provider)
    return _container(row)


def retrieve_running(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Container:
    """As `retrieve`, for work on its files. Raises InvalidRequestError when it is expired."""
    row = _find(gateway, caller, public_id, provider)
    # Work on files asks the provider anyway, and says what it finds.
    container = retrieve(gateway, caller, public_id, provider=provider) if row.account_id is None else _container(row)
    if container.status != RUNNING:
        raise expired()
    return container


def delete(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Container:
    """Delete a container and the files in it, whatever its status. Raises NotFoundError."""
    row = _find(gateway, caller, public_id, provider)
    if row.account_id is not None:
        if not native.delete(gateway, row):
            raise gone(public_id)
        return _container(row)
    with gateway.database.write() as connection:
        if not containers.mark_deleted(connection, row.id):
            raise gone(public_id)
    # From here on nobody sees it; what a crash leaves of its files is due for the sweeper.
    _release(gateway, row.id)
    return _container(row)


def expire_due(gateway: Gateway) -> int:
    """Mark containers that are over and release their files' bytes, slice by slice; returns how many were ended."""

    def find(connection: Connection, limit: int) -> Sequence[int]:
        return containers.list_due(connection, limit=limit)

    return each_due(gateway, find, lambda container_id: _release(gateway, container_id))


def expired() -> InvalidRequestError:
    """What is answered to work on the files of a container that is over."""
    return InvalidRequestError("Container is expired.", param="container_id", code="container_expired")


def _release(gateway: Gateway, container_id: int) -> bool:
    """Release what an ended container holds. False when it came back to life, or somebody else ended it."""

    def unit(connection: Connection) -> bool | None:
        if not containers.hold_due(connection, container_id):
            return False
        held = files.list_held(connection, container_id=container_id, limit=RELEASE_SLICE)
        for file_id, blob_id in held:
            if files.mark_deleted(connection, file_id) and blob_id is not None:
                blobs.release(connection, blob_id)
        if len(held) == RELEASE_SLICE:
            return None
        containers.finish(connection, container_id)
        return True

    while True:
        ended = gateway.database.run(unit)
        if ended is not None:
            return ended


def _find(gateway: Gateway, caller: Caller, public_id: str, provider: str | None) -> AnyRow:
    row = None
    if public_id.isprintable():
        with gateway.database.read() as connection:
            row = containers.find(connection, project_id=caller.project_id, public_id=public_id)
    if row is None or provider not in (None, row.provider):
        raise gone(public_id)
    return row


def shown_policy(policy: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A network policy without the secrets of its domains: nothing here may keep them."""
    return None if policy is None else {name: policy[name] for name in ("type", "allowed_domains") if name in policy}


def _create_native(
    gateway: Gateway,
    caller: Caller,
    wanted: NewContainer,
    able: Collection[int],
    settle: Callable[[Connection, Container], None] | None,
) -> Container:
    """Intent, call, copies, confirmation; what fails on the way is deleted there, and nobody has seen it here."""
    account = _account_for(gateway, caller, wanted, able)
    sources = container_sources.find_sources(gateway, caller, account, wanted.file_ids)
    with gateway.database.write() as connection:
        intent = containers.insert_container(
            connection,
            public_id=ids.new(ids.CONTAINER),
            project_id=caller.project_id,
            key_id=caller.key_id,
            provider=wanted.provider,
            account_id=account.id,
            name=wanted.name,
            expires_after_minutes=wanted.expires_after_minutes,
            memory_limit=wanted.memory_limit,
            network_policy=shown_policy(wanted.network_policy),
            metadata=wanted.metadata,
        )

    new = NewNative(wanted.name, wanted.expires_after_minutes, wanted.memory_limit, wanted.network_policy)
    made: list[Container] = []

    def confirmed(connection: Connection) -> None:
        row = containers.find(connection, project_id=caller.project_id, public_id=intent.public_id)
        if row is None:
            raise native.gave_up()
        made.append(_container(row))
        if settle is not None:
            settle(connection, made[0])

    native.create(gateway, account, intent, new, sources, confirmed)
    return made[0]


def _account_for(gateway: Gateway, caller: Caller, wanted: NewContainer, able: Collection[int]) -> Account:
    """One of those that are `able`, and of these one that has the files already.

    Raises as `providers.account_for`, and UnsupportedOperationError when none of them may be used.
    """
    holding = container_sources.holders(gateway, caller, wanted.file_ids)
    prefer = [account_id for account_id in holding if account_id in able] or able
    account = choose.account_for(gateway, caller, wanted.provider, prefer=prefer)
    if account.id not in able:
        raise UnsupportedOperationError(wanted.provider, "container_create")
    return account


def gone(public_id: str) -> NotFoundError:
    """What is answered about a container that is not there, or no longer."""
    return NotFoundError(f"Container with id '{public_id:.100}' not found.", param="container_id")


def _container(row: AnyRow) -> Container:
    return Container(
        row_id=row.id,
        id=row.public_id,
        provider=row.provider,
        name=row.name,
        status=EXPIRED if row.status != RUNNING or row.is_over else RUNNING,
        expires_after_minutes=row.expires_after_minutes,
        memory_limit=row.memory_limit,
        network_policy=row.network_policy,
        metadata=row.metadata,
        created_at=row.created_at,
        last_active_at=row.last_active_at,
        account_id=row.account_id,
        native_id=row.native_id,
    )
