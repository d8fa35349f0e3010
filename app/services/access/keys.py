"""Virtual keys: issued once, kept as an HMAC, found by their public id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

from sqlalchemy.exc import SQLAlchemyError

from app.data.access import keys
from app.data.store.database import AnyRow
from app.errors import AuthenticationError, ConflictError, InvalidRequestError, PermissionDeniedError
from app.services.access import key_fields, key_secrets, permissions
from app.services.access.key_changes import expire as expire
from app.services.access.key_changes import not_found
from app.services.access.key_changes import revoke as revoke
from app.services.access.key_changes import rotate as rotate
from app.services.access.key_changes import update as update
from app.services.access.key_fields import KeyFields
from app.services.access.key_secrets import PREFIX as PREFIX
from app.services.access.key_secrets import IssuedKey as IssuedKey
from app.services.events import record
from app.services.gateway import Actor, Caller, Gateway

PROJECT_LENGTH = 64
ACTIVE, EXPIRED, REVOKED, STOPPED, ARCHIVED = "active", "expired", "revoked", "stopped", "archived"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as it can be shown. Instants are Unix milliseconds; a list that is None allows all.

    `state`: active, expired, revoked, stopped (revoked, and its work ended), archived (its project is). Until
    `previous_until` the secret before the last rotation counts, too.
    """

    public_id: str
    project: str
    name: str
    description: str | None
    kind: str
    role: str
    state: str
    accounts: Sequence[str] | None
    providers: Sequence[str] | None
    models: Sequence[str] | None
    endpoints: Sequence[str] | None
    networks: Sequence[str] | None
    limits: Mapping[str, int]
    issuer: str | None
    subject: str | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    stopped_at: int | None
    previous_until: int | None
    row_id: int
    project_id: int


def create(
    gateway: Gateway, *, project: str, name: str, actor: Actor = record.OPERATOR, **fields: Unpack[KeyFields]
) -> IssuedKey:
    """Issue a key to `project`, which is made if it is new. Lists that are not given, or empty, allow all.

    Raises InvalidRequestError, and ConflictError when the project is archived.
    """
    if not 1 <= len(project) <= PROJECT_LENGTH or not project.isprintable() or project != project.strip():
        raise InvalidRequestError(f"project must be 1 to {PROJECT_LENGTH} printable characters.", param="project")
    values = key_fields.checked(gateway, {"name": name, **fields})
    public_id, secret = key_secrets.new_public_id(), key_secrets.new_secret()
    digest = key_secrets.digest(gateway.pepper(), public_id, secret)
    with gateway.database.write() as connection:
        project_id = keys.ensure_project(connection, project)
        key_id = keys.insert_key(connection, public_id=public_id, project_id=project_id, secret_hmac=digest, **values)
        row = keys.show_key(connection, public_id)
        if row is None or row.project_archived_at is not None:
            raise ConflictError(f"Project {project} is archived: it gets no new keys.", param="project")
        record.record_act(
            connection,
            operation="key_create",
            object_id=public_id,
            detail={"project": project, **{key: value for key, value in values.items() if value}},
            actor=actor,
            project_id=project_id,
            key_id=key_id,
        )
    gateway.log.info("key.created", key=public_id, project=project)
    return IssuedKey(public_id, key_secrets.whole(public_id, secret), project, values["name"])


def list_(
    gateway: Gateway, *, project: str | None = None, after: str | None = None, limit: int | None = None
) -> list[KeyInfo]:
    """All keys, or those of one project, oldest first; at most `limit`, from behind the one called `after`."""
    with gateway.database.read() as connection:
        rows = keys.list_keys(connection, project=project, after=after, limit=limit)
    return [_info(row) for row in rows]


def retrieve(gateway: Gateway, public_id: str) -> KeyInfo:
    """A key of any project, whatever its state. Raises NotFoundError."""
    row = None
    if public_id.isascii() and public_id.isprintable():
        with gateway.database.read() as connection:
            row = keys.show_key(connection, public_id)
    if row is None:
        raise not_found(public_id)
    return _info(row)


def authenticate(
    gateway: Gateway, credential: str, *, request_id: str, account: str | None = None, address: str | None = None
) -> Caller:
    """Who holds `credential`, names `account` and calls from `address`.

    Raises AuthenticationError, the same one whatever is wrong with the key, and PermissionDeniedError when it may not
    be used from there.
    """
    found = key_secrets.parts(credential)
    if found is None:
        raise refused()
    public_id, secret = found
    with gateway.database.read() as connection:
        row = keys.find_key(connection, public_id)
    if not key_secrets.proves(row, key_secrets.digest(gateway.pepper(), public_id, secret)) or row is None:
        raise refused()
    return admit(gateway, row, request_id=request_id, account=account, address=address)


def admit(
    gateway: Gateway, row: AnyRow, *, request_id: str, account: str | None = None, address: str | None = None
) -> Caller:
    """The caller that a row of data.keys stands for, when it may call at all. The credential is proven before.

    Raises as `authenticate`. A key that is used from elsewhere is an event.
    """
    if row.revoked_at is not None or row.is_expired or row.project_archived_at is not None:
        raise refused()
    caller = caller_of(row, request_id=request_id, account=account, address=address)
    try:
        permissions.check_networks(row, address)
    except PermissionDeniedError as error:
        record_refusal(gateway, caller, error)
        raise
    return caller


def caller_of(row: AnyRow, *, request_id: str, account: str | None = None, address: str | None = None) -> Caller:
    """The caller that a row of data.keys stands for, whatever proved that it is them."""
    return Caller(
        project_id=row.project_id,
        project=row.project,
        default_provider=row.default_provider,
        key_id=row.id,
        request_id=request_id,
        account=account,
        accounts=row.accounts,
        role=row.role,
        providers=row.providers,
        models=row.models,
        endpoints=row.endpoints,
        limits=row.limits or {},
        project_limits=row.project_limits or {},
        address=address,
        name=row.public_id,
    )


def refused() -> AuthenticationError:
    """The one answer to a credential that is not good, whatever is wrong with it."""
    return AuthenticationError("This key is not valid: it is unknown, expired or revoked.")


def record_refusal(gateway: Gateway, caller: Caller, error: PermissionDeniedError) -> None:
    """Write that a caller who is known was turned away at the door: an event, if the store takes it."""
    try:
        record.record(
            gateway,
            caller=caller,
            operation="authenticate",
            object_id=caller.name,
            outcome="refused",
            status_code=error.status,
            latency_ms=None,
            detail={"code": error.code, "message": error.message},
        )
    except SQLAlchemyError as failure:
        gateway.log.error("event.not_recorded", operation="authenticate", error=str(failure))


def _info(row: AnyRow) -> KeyInfo:
    shown = {name: value for name, value in row._mapping.items() if name in KeyInfo.__dataclass_fields__}
    return KeyInfo(**{**shown, "state": _state(row), "limits": row.limits or {}, "row_id": row.id})


def _state(row: AnyRow) -> str:
    if row.stopped_at is not None:
        return STOPPED
    if row.revoked_at is not None:
        return REVOKED
    if row.is_expired:
        return EXPIRED
    return ACTIVE if row.project_archived_at is None else ARCHIVED
