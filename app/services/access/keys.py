"""Creates, lists and authenticates virtual keys. A key is shown once; only an HMAC of it is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

from sqlalchemy.exc import SQLAlchemyError

from app.data.access import keys
from app.data.access.keys import CallerRow, KeyRow
from app.errors import AuthenticationError, ConflictError, InvalidRequestError, PermissionDeniedError
from app.services import store_errors
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
    """A key as admins see it. Instants are Unix milliseconds; a list that is None allows all.

    `state` is active, expired, revoked, stopped (revoked, and its batches cancelled) or archived (with its project).
    The secret before the last rotation stays valid until `previous_until`.
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
    """Creates a key in `project`, which is created if it is new. A list that is missing or empty allows all.

    Raises InvalidRequestError, or ConflictError when the project is archived.
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
            raise ConflictError(f"Project {project} is archived: restore it before you create keys.", param="project")
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
    """Returns at most `limit` keys after the one with public id `after`, oldest first, of all projects or of one."""
    with gateway.database.read() as connection:
        rows = keys.list_keys(connection, project=project, after=after, limit=limit)
    return [_info(row) for row in rows]


def retrieve(gateway: Gateway, public_id: str) -> KeyInfo:
    """Returns a key of any project, whatever its state. Raises NotFoundError."""
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
    """Returns the caller who holds `credential`, names `account` and calls from `address`.

    Raises AuthenticationError, always the same one, for any invalid key, and PermissionDeniedError when the key may
    not be used from `address`.
    """
    parts = key_secrets.parts(credential)
    if parts is None:
        raise refused()
    public_id, secret = parts

    def find() -> CallerRow | None:
        with gateway.database.read() as connection:
            return keys.find_key(connection, public_id)

    digest = key_secrets.digest(gateway.pepper(), public_id, secret)
    # A kept row serves its own secret alone, so that a wrong one takes as long with a known key as with an unknown one.
    row = gateway.keys.get(public_id, find, fits=lambda row: key_secrets.proves(row, digest))
    if not key_secrets.proves(row, digest) or row is None:
        raise refused()
    return admit(gateway, row, request_id=request_id, account=account, address=address)


def admit(
    gateway: Gateway, row: CallerRow, *, request_id: str, account: str | None = None, address: str | None = None
) -> Caller:
    """Returns the caller of a key row whose credential has been verified, if the key is active and allows `address`.

    Raises the same errors as `authenticate`. Use from an address that is not allowed records an event.
    """
    if row.revoked_at is not None or row.is_expired or row.project_archived_at is not None:
        raise refused()
    caller = _caller(row, request_id=request_id, account=account, address=address)
    try:
        permissions.check_networks(row, address)
    except PermissionDeniedError as error:
        record_refusal(gateway, caller, error)
        raise
    return caller


def _caller(row: CallerRow, *, request_id: str, account: str | None = None, address: str | None = None) -> Caller:
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
    """Returns the one error for every invalid credential, whatever is wrong with it."""
    return AuthenticationError("This key is not valid: it is unknown, expired or revoked.")


def record_refusal(gateway: Gateway, caller: Caller, error: PermissionDeniedError) -> None:
    """Records the rejection of a known caller as an event. Logs an error if the database is unavailable."""
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
        gateway.log.error("event.not_recorded", operation="authenticate", reason=store_errors.reason(failure))


def _info(row: KeyRow) -> KeyInfo:
    return KeyInfo(
        public_id=row.public_id,
        project=row.project,
        name=row.name,
        description=row.description,
        kind=row.kind,
        role=row.role,
        state=_state(row),
        accounts=row.accounts,
        providers=row.providers,
        models=row.models,
        endpoints=row.endpoints,
        networks=row.networks,
        limits=row.limits or {},
        issuer=row.issuer,
        subject=row.subject,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        stopped_at=row.stopped_at,
        previous_until=row.previous_until,
        row_id=row.id,
        project_id=row.project_id,
    )


def _state(row: KeyRow) -> str:
    if row.stopped_at is not None:
        return STOPPED
    if row.revoked_at is not None:
        return REVOKED
    if row.is_expired:
        return EXPIRED
    return ACTIVE if row.project_archived_at is None else ARCHIVED
