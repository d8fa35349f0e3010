"""Containers: created, listed, retrieved and deleted in the back end that keeps them."""

from dataclasses import dataclass

from app.connectors.contract.abilities import Support
from app.data.containers import containers
from app.data.containers.containers import Container as Container  # what callers of this module get
from app.errors import InvalidRequestError
from app.services.access import permissions
from app.services.accounts import choose
from app.services.containers.backend import EXPIRES_AFTER_MINUTES as EXPIRES_AFTER_MINUTES
from app.services.containers.backend import MEMORY_LIMIT as MEMORY_LIMIT
from app.services.containers.backend import Backend, expired, not_found
from app.services.containers.backend import NewContainer as NewContainer
from app.services.containers.hosted import Hosted
from app.services.containers.native import Native
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Settle


@dataclass(frozen=True, slots=True)
class ContainerPage:
    """A page of a list, and whether more follow."""

    items: list[Container]
    has_more: bool


def create(
    gateway: Gateway, caller: Caller, new: NewContainer, *, settle: Settle[Container] | None = None
) -> Container:
    """A running container with copies of `new.file_ids` in it: all of it or nothing.

    `settle` is called last in the transaction. Raises InvalidRequestError (unknown files), UnsupportedOperationError,
    and the GatewayError that matches the provider's failure.
    """
    permissions.check_use(caller, provider=new.provider)
    return _backend_for_new(gateway, new.provider).create(caller, new, settle=settle)


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
        position = None
        if after is not None:
            position = containers.position(connection, project_id=caller.project_id, public_id=after)
            if position is None:
                raise InvalidRequestError(f"after: there is no container {after!r} in this project.", param="after")
        rows = containers.list_page(
            connection,
            project_id=caller.project_id,
            name=name,
            provider=provider,
            after=position,
            descending=descending,
            limit=limit,
        )
    return ContainerPage(rows[:limit], has_more=len(rows) > limit)


def retrieve(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Container:
    """A container; retrieving a running one restarts its idle time. Raises NotFoundError, also for another provider."""
    container = _find(gateway, caller, public_id, provider)
    # Read again when it has changed: it may have expired or been deleted meanwhile.
    return backend_of(gateway, container).refresh(container) or _find(gateway, caller, public_id, provider)


def retrieve_running(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Container:
    """As `retrieve`, for work on its files. Raises InvalidRequestError when it is expired."""
    container = _find(gateway, caller, public_id, provider)
    container = backend_of(gateway, container).use(container) or _find(gateway, caller, public_id, provider)
    if not container.is_running:
        raise expired()
    return container


def delete(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Container:
    """Delete a container and the files in it, whatever its status. Raises NotFoundError."""
    container = _find(gateway, caller, public_id, provider)
    if not backend_of(gateway, container).delete(container):
        raise not_found(public_id)
    return container


def backend_of(gateway: Gateway, container: Container) -> Backend:
    """The back end that keeps a container."""
    return Hosted(gateway.database) if container.account_id is None else Native(gateway)


def _backend_for_new(gateway: Gateway, provider: str) -> Backend:
    """The back end for a new container. Raises UnsupportedOperationError when the provider has no containers."""
    able = choose.able(gateway, provider, "container_create")
    if able or choose.require(gateway, provider, "container_create") is Support.NATIVE:
        return Native(gateway)
    return Hosted(gateway.database)


def _find(gateway: Gateway, caller: Caller, public_id: str, provider: str | None) -> Container:
    container = None
    if public_id.isprintable():
        with gateway.database.read() as connection:
            container = containers.find(connection, project_id=caller.project_id, public_id=public_id)
    if container is None or provider not in (None, container.provider):
        raise not_found(public_id)
    return container
