"""Callers with a JWT: whom it stands for here, and the key row that owns what they make.

A virtual-key JWT names an existing project by a claim; an admin JWT acts in the project that the request names. What a
token is worth ends with it; batches that were made with it go on.
"""

from dataclasses import replace

from sqlalchemy import Connection

from app.auth.issuers import VIRTUAL_KEY
from app.auth.tokens import Identity, TokenError
from app.data.access import subjects
from app.data.store.database import AnyRow
from app.errors import InvalidRequestError, PermissionDeniedError
from app.services.access import key_secrets, keys, permissions
from app.services.events import record
from app.services.gateway import Actor, Caller, Gateway

HEADER = "x-bf-project"
NAME_LENGTH = 64
# Of the role of the row and that of the token, the one that may do less counts.
RANKS = (permissions.VIEWER, permissions.MEMBER, permissions.ADMIN)


def authenticate(
    gateway: Gateway,
    token: str,
    *,
    request_id: str,
    account: str | None = None,
    project: str | None = None,
    address: str | None = None,
) -> Caller:
    """Who holds `token`, in the project that it says, or that an admin names (`project`).

    Raises AuthenticationError, the same one whatever is wrong with the token; InvalidRequestError when an admin names
    no project that there is; PermissionDeniedError when a network is not the key's.
    """
    identity = _verified(gateway, token, request_id)
    wanted = identity.project or _named(project)
    row = _row(gateway, identity, wanted, request_id=request_id, address=address)
    if row is None:
        gateway.log.info("jwt.refused", request=request_id, issuer=identity.issuer, reason="unknown project")
        raise keys.refused()
    caller = keys.admit(gateway, row, request_id=request_id, account=account, address=address)
    return replace(caller, role=_least(caller.role, _role(identity)))


def administrator(gateway: Gateway, token: str, *, request_id: str, address: str | None = None) -> Actor:
    """Who manages the gateway with `token`. Raises AuthenticationError, and PermissionDeniedError for a good one."""
    identity = _verified(gateway, token, request_id)
    if identity.kind == VIRTUAL_KEY:
        # Whoever was revoked is told so, and not more.
        caller = authenticate(gateway, token, request_id=request_id, address=address)
        keys.record_refusal(gateway, caller, _no_admin())
    if identity.kind == VIRTUAL_KEY or _role(identity) != permissions.ADMIN:
        raise _no_admin()
    return Actor(name=_told(identity), source=record.API, request_id=request_id, address=address)


def _no_admin() -> PermissionDeniedError:
    return PermissionDeniedError("The management API needs an admin; this token is none's.")


def _verified(gateway: Gateway, token: str, request_id: str) -> Identity:
    """Raises AuthenticationError. No connection is held while the issuer's keys are read."""
    try:
        identity = gateway.jwt.verify(token)
    except TokenError as error:
        gateway.log.info("jwt.refused", request=request_id, issuer=error.issuer, reason=error.reason)
        raise keys.refused() from None
    if identity.kind != VIRTUAL_KEY:
        # An admin is one over all projects, so a row that is revoked or expired in any of them ends them all.
        with gateway.database.read() as connection:
            if subjects.is_ended(connection, issuer=identity.issuer, subject=identity.subject):
                raise keys.refused()
    return identity


def _named(project: str | None) -> str:
    if project is None:
        raise InvalidRequestError(f"An admin acts in a project: name it in the header {HEADER}.", param=HEADER)
    if len(project) > keys.PROJECT_LENGTH or not project.isprintable():
        raise _no_project(project)
    return project


def _no_project(name: str) -> InvalidRequestError:
    return InvalidRequestError(f"There is no project {name!r:.80} that is in use.", param=HEADER)


def _row(gateway: Gateway, identity: Identity, project: str, *, request_id: str, address: str | None) -> AnyRow | None:
    """The row of the subject in `project`, made at its first request. None when a virtual key's project is not there.

    Raises InvalidRequestError when an admin's is not.
    """
    named = {"issuer": identity.issuer, "subject": identity.subject, "project": project}
    with gateway.database.read() as connection:
        row = subjects.find(connection, **named)
        found = None if row is not None else subjects.project(connection, project)
    if row is None and found is not None and found.archived_at is None:
        with gateway.database.write() as connection:
            _make(connection, identity, found.id, request_id=request_id, address=address)
            row = subjects.find(connection, **named)
    if identity.kind != VIRTUAL_KEY and (row is None or row.project_archived_at is not None):
        raise _no_project(project)
    return row


def _make(connection: Connection, identity: Identity, project_id: int, *, request_id: str, address: str | None) -> None:
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
        actor = Actor(name=_told(identity), source=record.API, request_id=request_id, address=address)
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


def _least(*roles: str) -> str:
    return min(roles, key=RANKS.index)


def _told(identity: Identity) -> str:
    """How events call the subject."""
    return f"{identity.subject} of {identity.issuer}"
