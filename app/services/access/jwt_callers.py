"""Authenticates callers by JWT, and keeps the key row that owns what they create.

A virtual-key JWT names an existing project in a claim; an admin JWT acts in the project that the request names. When a
token expires, requests with it are rejected; batches created with it continue.
"""

from dataclasses import replace

from sqlalchemy import Connection

from app.auth.issuers import VIRTUAL_KEY
from app.auth.tokens import Identity, TokenError
from app.data.access import subjects
from app.data.access.keys import CallerRow
from app.errors import InvalidRequestError, PermissionDeniedError
from app.lib import headers
from app.services.access import key_secrets, keys, permissions
from app.services.events import record
from app.services.gateway import Actor, Caller, Gateway

NAME_LENGTH = 64


def authenticate(
    gateway: Gateway,
    token: str,
    *,
    request_id: str,
    account: str | None = None,
    project: str | None = None,
    address: str | None = None,
) -> Caller:
    """Returns the caller who holds `token`, in the token's project or, for an admin, in `project`.

    Raises AuthenticationError, always the same one, for any invalid token; InvalidRequestError when an admin names no
    existing project; PermissionDeniedError when the key row does not allow `address`.
    """
    caller, _ = identify(gateway, token, request_id=request_id, account=account, project=project, address=address)
    return caller


def identify(
    gateway: Gateway,
    token: str,
    *,
    request_id: str,
    account: str | None = None,
    project: str | None = None,
    address: str | None = None,
) -> tuple[Caller, Identity]:
    """As `authenticate`, with what the token says."""
    identity = _verified(gateway, token, request_id)
    project = identity.project or _checked_name(project)
    row = _row(gateway, identity, project, request_id=request_id, address=address)
    if row is None:
        gateway.log.info("jwt.refused", request_id=request_id, issuer=identity.issuer, reason="unknown project")
        raise keys.refused()
    caller = keys.admit(gateway, row, request_id=request_id, account=account, address=address)
    return replace(caller, role=permissions.lowest(caller.role, _role(identity))), identity


def administrator(gateway: Gateway, token: str, *, request_id: str, address: str | None = None) -> Actor:
    """Returns the admin who holds `token`.

    Raises AuthenticationError for an invalid token, PermissionDeniedError for a valid one that is not an admin's.
    """
    identity = _verified(gateway, token, request_id)
    if identity.kind == VIRTUAL_KEY:
        # A revoked key gets 401 here, not the 403 below.
        caller = authenticate(gateway, token, request_id=request_id, address=address)
        keys.record_refusal(gateway, caller, _no_admin())
    if identity.kind == VIRTUAL_KEY or _role(identity) != permissions.ADMIN:
        raise _no_admin()
    return Actor(name=_actor_name(identity), source=record.API, request_id=request_id, address=address)


def _no_admin() -> PermissionDeniedError:
    return PermissionDeniedError("The management API needs an admin; this token does not have the role admin.")


def _verified(gateway: Gateway, token: str, request_id: str) -> Identity:
    """Raises AuthenticationError. Holds no database connection while the issuer's keys are fetched."""
    try:
        identity = gateway.jwt.verify(token)
    except TokenError as error:
        gateway.log.info("jwt.refused", request_id=request_id, issuer=error.issuer, reason=error.reason)
        raise keys.refused() from None
    if identity.kind != VIRTUAL_KEY:
        # An admin manages all projects, so revoking or expiring the row in any project locks the admin out.
        with gateway.database.read() as connection:
            if subjects.is_ended(connection, issuer=identity.issuer, subject=identity.subject):
                raise keys.refused()
    return identity


def _checked_name(project: str | None) -> str:
    if project is None:
        raise InvalidRequestError(
            f"An admin token needs a project: name it in the header {headers.PROJECT}.", param=headers.PROJECT
        )
    if len(project) > keys.PROJECT_LENGTH or not project.isprintable():
        raise _no_project(project)
    return project


def _no_project(name: str) -> InvalidRequestError:
    return InvalidRequestError(f"There is no active project {name!r:.80}.", param=headers.PROJECT)


def _row(
    gateway: Gateway, identity: Identity, project: str, *, request_id: str, address: str | None
) -> CallerRow | None:
    """Returns the subject's key row in `project`, inserting it at the first request.

    When the project does not exist, returns None for a virtual-key token and raises InvalidRequestError for an admin's.
    """
    key = {"issuer": identity.issuer, "subject": identity.subject, "project": project}
    with gateway.database.read() as connection:
        row = subjects.find(connection, **key)
        owner = None if row is not None else subjects.project(connection, project)
    if row is None and owner is not None and owner.archived_at is None:
        with gateway.database.write() as connection:
            _insert(connection, identity, owner.id, request_id=request_id, address=address)
            row = subjects.find(connection, **key)
    if identity.kind != VIRTUAL_KEY and (row is None or row.project_archived_at is not None):
        raise _no_project(project)
    return row


def _insert(
    connection: Connection, identity: Identity, project_id: int, *, request_id: str, address: str | None
) -> None:
    public_id = key_secrets.new_public_id()
    is_new = subjects.insert(
        connection,
        issuer=identity.issuer,
        subject=identity.subject,
        project_id=project_id,
        public_id=public_id,
        name=identity.subject[:NAME_LENGTH],
        role=permissions.MEMBER if identity.kind == VIRTUAL_KEY else permissions.ADMIN,
    )
    if is_new:
        actor = Actor(name=_actor_name(identity), source=record.API, request_id=request_id, address=address)
        detail = {"kind": subjects.JWT, "issuer": identity.issuer, "subject": identity.subject}
        record.record_act(
            connection,
            operation="key_create",
            object_id=public_id,
            detail=detail,
            actor=actor,
            project_id=project_id,
        )


def _role(identity: Identity) -> str:
    return identity.role or (permissions.MEMBER if identity.kind == VIRTUAL_KEY else permissions.ADMIN)


def _actor_name(identity: Identity) -> str:
    """What events call the subject."""
    return f"{identity.subject} of {identity.issuer}"
