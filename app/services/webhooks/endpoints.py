"""Webhook endpoints of a project: made, listed, changed, tried and deleted by whoever may write in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.auth import signatures
from app.connectors.http.public import AddressRefusedError
from app.data.webhooks import endpoints, outbox
from app.data.webhooks.endpoints import Changes, NewEndpoint
from app.data.webhooks.endpoints import Endpoint as Endpoint
from app.errors import ConflictError, InvalidRequestError, NotFoundError, RateLimitedError
from app.lib import ids
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Settle
from app.services.webhooks import messages

MAX_ENDPOINTS = 50
OLD_SECRET_MS = 24 * 3600 * 1000
SLICE_ROWS = 500
BUSY_S = 5
NOT_DELIVERED = "webhook_not_delivered"


@dataclass(frozen=True, slots=True)
class EndpointPage:
    """A page of a list, and whether more follow."""

    items: Sequence[Endpoint]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Tried:
    """What an endpoint answered to a sample."""

    endpoint: str
    event_type: str
    status_code: int


def create(
    gateway: Gateway,
    caller: Caller,
    *,
    name: str,
    url: str,
    event_types: Sequence[str],
    payload: str,
    settle: Settle[Endpoint] | None = None,
) -> Endpoint:
    """Insert an endpoint with a new secret, which `reveal` returns. `settle` is called last in the transaction.

    Raises InvalidRequestError for a URL that may not be called, ConflictError when the project has too many.
    """
    check_url(gateway, url)
    secret, public_id = signatures.new_secret(), ids.new(ids.WEBHOOK_ENDPOINT)

    def unit(connection: Connection) -> Endpoint:
        if endpoints.count(connection, caller.project_id) >= MAX_ENDPOINTS:
            text = f"This project has {MAX_ENDPOINTS} webhook endpoints already; delete one that is not needed."
            raise ConflictError(text)
        made = endpoints.insert_endpoint(
            connection,
            NewEndpoint(
                public_id=public_id,
                project_id=caller.project_id,
                key_id=caller.key_id,
                scope=endpoints.PROJECT,
                name=name,
                url=url,
                event_types=_ordered(event_types),
                payload=payload,
                sealed_secret=_sealed(gateway, secret, public_id),
                secret_hint=signatures.hint(secret),
            ),
        )
        if settle is not None:
            settle(connection, made)
        return made

    return gateway.database.run(unit)


def list_(
    gateway: Gateway, caller: Caller, *, limit: int, after: str | None = None, descending: bool = True
) -> EndpointPage:
    """The project's endpoints, newest first. Raises InvalidRequestError naming `after`."""
    with gateway.database.read() as connection:
        position = None
        if after is not None:
            position = endpoints.position(connection, project_id=caller.project_id, public_id=after)
            if position is None:
                raise InvalidRequestError(f"after: no such webhook endpoint {after:.100}.", param="after")
        rows = endpoints.list_page(
            connection, project_id=caller.project_id, after=position, limit=limit, descending=descending
        )
    return EndpointPage(rows[:limit], has_more=len(rows) > limit)


def retrieve(gateway: Gateway, caller: Caller, public_id: str) -> Endpoint:
    """An endpoint of the project. Raises NotFoundError."""
    found = None
    if public_id.isprintable():
        with gateway.database.read() as connection:
            found = endpoints.find(connection, project_id=caller.project_id, public_id=public_id)
    if found is None:
        raise not_found(public_id)
    return found


def change(
    gateway: Gateway,
    caller: Caller,
    public_id: str,
    *,
    name: str | None = None,
    url: str | None = None,
    event_types: Sequence[str] | None = None,
    payload: str | None = None,
) -> Endpoint:
    """Change what is not None; the same again changes nothing. Raises NotFoundError, InvalidRequestError."""
    found = retrieve(gateway, caller, public_id)
    if url is not None:
        check_url(gateway, url)
    changes: Changes = {}
    if name is not None and name != found.name:
        changes["name"] = name
    if url is not None and url != found.url:
        changes["url"] = url
    if event_types is not None and _ordered(event_types) != list(found.event_types or ()):
        changes["event_types"] = _ordered(event_types)
    if payload is not None and payload != found.payload:
        changes["payload"] = payload
    if not changes:
        return found
    return _written(
        public_id, gateway.database.run(lambda connection: endpoints.change(connection, found.id, **changes))
    )


def delete(gateway: Gateway, caller: Caller, public_id: str) -> Endpoint:
    """Delete an endpoint; what was to be delivered to it is dropped. Raises NotFoundError."""
    found = retrieve(gateway, caller, public_id)
    if not gateway.database.run(lambda connection: endpoints.delete(connection, found.id)):
        raise not_found(public_id)
    drop_deliveries(gateway, found.id)
    return found


def drop_deliveries(gateway: Gateway, endpoint_id: int) -> bool:
    """Drop, a slice at a time, what a deleted endpoint was to be told; always true."""
    while True:
        with gateway.database.write() as connection:
            if outbox.drop_for(connection, endpoint_id, limit=SLICE_ROWS) < SLICE_ROWS:
                outbox.settle(connection, endpoint_id)
                return True


def rotate_secret(
    gateway: Gateway,
    caller: Caller,
    public_id: str,
    *,
    keep_old: bool = False,
    settle: Settle[Endpoint] | None = None,
) -> Endpoint:
    """Give the endpoint a new secret, which `reveal` returns; with `keep_old` the old one signs, too, for 24 hours.

    Raises NotFoundError.
    """
    found = retrieve(gateway, caller, public_id)
    secret = signatures.new_secret()

    def unit(connection: Connection) -> Endpoint | None:
        kept = endpoints.secrets(connection, found.id) if keep_old else None
        old = None if kept is None else messages.opened(gateway, kept)[0]
        changed = endpoints.rotate(
            connection,
            found.id,
            sealed=_sealed(gateway, secret, public_id),
            hint=signatures.hint(secret),
            old=None if old is None else _sealed(gateway, old, public_id, column="sealed_old_secret"),
            old_for_ms=OLD_SECRET_MS,
        )
        if settle is not None and changed is not None:
            settle(connection, changed)
        return changed

    return _written(public_id, gateway.database.run(unit))


def reveal(gateway: Gateway, caller: Caller, public_id: str) -> str | None:
    """The secret of an endpoint of the project; None when it has just been deleted.

    Only for the answer to the request that made it: stored answers of idempotency keys hold no secret.
    """
    with gateway.database.read() as connection:
        found = endpoints.find(connection, project_id=caller.project_id, public_id=public_id)
        sealed = None if found is None else endpoints.secrets(connection, found.id)
    return None if sealed is None else messages.opened(gateway, sealed)[0]


def try_out(gateway: Gateway, caller: Caller, public_id: str, *, event_type: str) -> Tried:
    """Send a sample once, now: a request waits for the endpoint, so few of a project may do so at the same time.

    Raises NotFoundError, RateLimitedError, and InvalidRequestError when there is no answer.
    """
    found = retrieve(gateway, caller, public_id)
    with gateway.samples.slot(caller.project_id) as is_free:
        if not is_free:
            text = "Other samples are being sent at the moment; try again when they are answered."
            raise RateLimitedError(text, retry_after_s=BUSY_S)
        return send_sample(gateway, found, event_type=event_type)


def send_sample(gateway: Gateway, found: Endpoint, *, event_type: str) -> Tried:
    """As `try_out`, of an endpoint that was found."""
    with gateway.database.read() as connection:
        sealed = endpoints.secrets(connection, found.id)
    if sealed is None:
        raise not_found(found.public_id)
    event_id = ids.new(ids.EVENT)
    data = {"id": messages.SAMPLE_BATCH}
    body = messages.event(event_id, event_type, created_at_s=gateway.clock.now_ms() // 1000, data=data)
    outcome = messages.send(gateway, found.url, body, event_id=event_id, secrets=messages.opened(gateway, sealed))
    with gateway.database.write() as connection:
        outbox.insert_ended(
            connection,
            public_id=ids.new(ids.WEBHOOK_DELIVERY),
            project_id=found.project_id,
            endpoint_id=found.id,
            event_id=event_id,
            event_type=event_type,
            state=outbox.DELIVERED if outcome.is_taken else outbox.FAILED,
            status_code=outcome.status_code,
            error=outcome.error or None,
            latency_ms=outcome.latency_ms,
        )
    if outcome.status_code is None:
        raise InvalidRequestError(f"The sample was not delivered. {outcome.error}", code=NOT_DELIVERED)
    return Tried(found.public_id, event_type, outcome.status_code)


def check_url(gateway: Gateway, url: str, *, param: str = "url") -> None:
    """Raises InvalidRequestError unless webhooks may be delivered to the URL, as far as can be known now."""
    try:
        gateway.outside.reach.check(url)
    except AddressRefusedError as error:
        raise InvalidRequestError(f"{param}: {error}", param=param) from error


def not_found(public_id: str) -> NotFoundError:
    """The error of an endpoint that the project does not have."""
    return NotFoundError(f"No webhook endpoint found with id '{public_id:.100}'.", param="webhook_endpoint_id")


def _written(public_id: str, changed: Endpoint | None) -> Endpoint:
    if changed is None:
        raise not_found(public_id)
    return changed


def _ordered(event_types: Sequence[str]) -> list[str]:
    """Each type once, in one order."""
    return [event_type for event_type in messages.EVENT_TYPES if event_type in event_types]


def _sealed(gateway: Gateway, secret: str, public_id: str, *, column: str = "sealed_secret") -> bytes:
    return gateway.ring.seal(secret.encode(), purpose=messages.purpose(column, public_id))
