"""Deliveries as projects and operators look at them, and the replay of one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.data.webhooks import deliveries, endpoints, outbox
from app.data.webhooks.deliveries import Delivery as Delivery
from app.data.webhooks.deliveries import Filters as Filters
from app.engine.parts import UPKEEP
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Settle


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A page of a list, newest first, and whether more follow."""

    items: Sequence[Delivery]
    has_more: bool


def list_(
    gateway: Gateway,
    caller: Caller,
    *,
    limit: int,
    after: str | None = None,
    endpoint: str | None = None,
    batch: str | None = None,
    state: str | None = None,
) -> DeliveryPage:
    """Deliveries of the project, newest first. Raises InvalidRequestError naming the id that it does not have."""
    with gateway.database.read() as connection:
        filters = Filters(
            caller.project_id,
            endpoint_id=_endpoint(connection, caller, endpoint),
            batch_id=_batch(connection, caller, batch),
            state=state,
        )
    return page(gateway, filters, limit=limit, after=after)


def page(gateway: Gateway, filters: Filters, *, limit: int, after: str | None = None) -> DeliveryPage:
    """As `list_`, of whatever projects `filters` allows: for operators."""
    with gateway.database.read() as connection:
        position = None
        if after is not None:
            position = deliveries.position(connection, public_id=after, project_id=filters.project_id)
            if position is None:
                raise InvalidRequestError(f"after: no such webhook delivery {after:.100}.", param="after")
        rows = deliveries.list_page(connection, filters, after=position, limit=limit)
    return DeliveryPage(rows[:limit], has_more=len(rows) > limit)


def retrieve(gateway: Gateway, caller: Caller, public_id: str) -> Delivery:
    """A delivery of the project. Raises NotFoundError."""
    return _find(gateway, public_id, project_id=caller.project_id)


def replay(
    gateway: Gateway, caller: Caller | None, public_id: str, *, settle: Settle[Delivery] | None = None
) -> Delivery:
    """A new delivery of the same event, due now; without a caller of whatever project, for operators.

    Raises NotFoundError; ConflictError when the first one still runs, or its endpoint is deleted.
    """
    first = _find(gateway, public_id, project_id=None if caller is None else caller.project_id)
    if first.state == outbox.PENDING:
        raise ConflictError(f"Delivery {public_id} is pending, so it is tried again by itself.")

    def unit(connection: Connection) -> Delivery:
        made = outbox.post(
            connection,
            project_id=first.project_id,
            endpoint_id=first.endpoint_id,
            batch_id=first.batch_id,
            event_id=first.event_id,
            event_type=first.event_type,
            origin=outbox.REPLAY,
            event_at=first.event_at,
        )
        if made is None:
            raise ConflictError(f"The endpoint of delivery {public_id} is deleted, so nothing can be delivered to it.")
        found = deliveries.find(connection, public_id=made)
        assert found is not None  # noqa: S101 - for mypy
        if settle is not None:
            settle(connection, found)
        return found

    made = gateway.database.run(unit)
    gateway.hints.send(UPKEEP)
    return made


def _find(gateway: Gateway, public_id: str, *, project_id: int | None) -> Delivery:
    found = None
    if public_id.isprintable():
        with gateway.database.read() as connection:
            found = deliveries.find(connection, public_id=public_id, project_id=project_id)
    if found is None:
        raise NotFoundError(f"No webhook delivery found with id '{public_id:.100}'.", param="webhook_delivery_id")
    return found


def _endpoint(connection: Connection, caller: Caller, public_id: str | None) -> int | None:
    if public_id is None:
        return None
    found = endpoints.find(connection, project_id=caller.project_id, public_id=public_id)
    if found is None:
        raise InvalidRequestError(f"endpoint_id: no such webhook endpoint {public_id:.100}.", param="endpoint_id")
    return found.id


def _batch(connection: Connection, caller: Caller, public_id: str | None) -> int | None:
    if public_id is None:
        return None
    found = deliveries.batch_id(connection, project_id=caller.project_id, public_id=public_id)
    if found is None:
        raise InvalidRequestError(f"batch_id: no such batch {public_id:.100}.", param="batch_id")
    return found
