"""Sessions of the dashboard: who has signed in with a virtual key or a JWT.

The browser holds a random token, the store a hash of it. A session ends with its key, its token or its secret, when it
is signed out, has not been used for a while, or is too old. Nothing but the dashboard looks at sessions.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field, replace

from app.auth.issuers import VIRTUAL_KEY
from app.data.access import projects, sessions, subjects
from app.data.access.sessions import SessionRow
from app.errors import AuthenticationError, NotFoundError, PermissionDeniedError
from app.services.access import callers, jwt_callers, key_secrets, keys, permissions
from app.services.events import record
from app.services.gateway import Actor, Caller, Gateway

TOKEN_BYTES = 32
MAX_TOKEN = 64
LASTS_MS = 12 * 3600 * 1000
IDLE_MS = 2 * 3600 * 1000
# A session that is used is noted so often, not at each request.
NOTED_MS = 60_000
SLICE_ROWS = 500
# A form's token is of the session, and of nothing else that is made of it.
FORMS = b"batchgate forms"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in. `caller` acts in the project that is shown; `own_project` is the key's."""

    id: int = field(repr=False)
    caller: Caller
    own_project: str
    expires_at: int

    @property
    def is_admin(self) -> bool:
        """True if all projects may be seen."""
        return self.caller.role == permissions.ADMIN

    @property
    def may_write(self) -> bool:
        """True unless the role is to look only."""
        return self.caller.role != permissions.VIEWER

    def actor(self) -> Actor:
        """The admin in events. Raises PermissionDeniedError for anybody else."""
        if not self.is_admin:
            raise PermissionDeniedError("This is for admins; your key has the role " + self.caller.role + ".")
        caller = self.caller
        return Actor(
            name=caller.name or "",
            source=record.API,
            request_id=caller.request_id,
            project_id=caller.project_id,
            key_id=caller.key_id,
            address=caller.address,
        )


def new_token() -> str:
    """A random text for a browser to keep."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def form_token(token: str) -> str:
    """What each form of a browser with `token` has to send, too."""
    return hmac.digest(token.encode(), FORMS, "sha256").hex()


def sign_in(
    gateway: Gateway, credential: str, *, request_id: str, address: str | None, project: str | None = None
) -> tuple[str, Caller]:
    """A new session's token, and who it is. An admin's JWT may name the `project` to begin with.

    Raises AuthenticationError, always the same one, PermissionDeniedError (network), and InvalidRequestError (project).
    """
    role = key_hmac = until = None
    if callers.is_token(gateway, credential):
        caller, identity = jwt_callers.identify(
            gateway, credential, request_id=request_id, project=project or _first(gateway), address=address
        )
        role, until = caller.role, identity.expires_at * 1000
    else:
        caller = keys.authenticate(gateway, credential, request_id=request_id, address=address)
        given = key_secrets.parts(credential)
        if given is None:
            raise keys.refused()
        key_hmac = key_secrets.digest(gateway.pepper(), *given)
    token = new_token()
    with gateway.database.write() as connection:
        sessions.open_session(
            connection,
            token_sha256=_digest(token),
            key_id=caller.key_id,
            key_hmac=key_hmac,
            role=role,
            for_ms=LASTS_MS,
            until=until,
        )
    return token, caller


def resume(
    gateway: Gateway, token: str, *, request_id: str, address: str | None, is_use: bool = True
) -> Session | None:
    """The session of a token, None when it is over or never was. A look without anybody there is no use.

    Raises PermissionDeniedError when its key may not be used from `address`.
    """
    if not 0 < len(token) <= MAX_TOKEN or not token.isascii():
        return None
    with gateway.database.read() as connection:
        row = sessions.find(connection, token_sha256=_digest(token), idle_ms=IDLE_MS)
    if row is None or not _stands(gateway, row):
        return None
    try:
        caller = keys.admit(gateway, row.key, request_id=request_id, address=address)
    except AuthenticationError:
        return None
    if row.role is not None:
        caller = replace(caller, role=permissions.lowest(caller.role, row.role))
    if is_use and row.seen_ms > NOTED_MS:
        with gateway.database.write() as connection:
            sessions.seen(connection, row.id)
    return Session(row.id, _in_project(gateway, row, caller), row.key.project, row.expires_at)


def sign_out(gateway: Gateway, token: str) -> None:
    """End the session of a token, if there is one."""
    with gateway.database.write() as connection:
        sessions.close(connection, token_sha256=_digest(token))


def choose(gateway: Gateway, session: Session, name: str) -> None:
    """Show an admin another project. Raises PermissionDeniedError, NotFoundError."""
    if not session.is_admin:
        raise PermissionDeniedError("Only an admin may choose a project.")
    if len(name) > keys.PROJECT_LENGTH or not name.isprintable():
        raise NotFoundError("There is no active project of this name.", param="project")
    with gateway.database.write() as connection:
        found = projects.find(connection, name)
        if found is None or found.archived_at is not None:
            raise NotFoundError(f"There is no active project {name!r:.80}.", param="project")
        sessions.choose(connection, session.id, found.id)


def sweep(gateway: Gateway) -> int:
    """Delete sessions that are over, a slice at a time; returns how many."""
    dropped = 0
    while True:
        with gateway.database.write() as connection:
            count = sessions.drop(connection, idle_ms=IDLE_MS, limit=SLICE_ROWS)
        dropped += count
        if count < SLICE_ROWS:
            return dropped


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _first(gateway: Gateway) -> str | None:
    """The project that an admin's token begins with, unless it names one."""
    with gateway.database.read() as connection:
        return next((row.name for row in projects.page(connection, after=None, archived=False, limit=1)), None)


def _stands(gateway: Gateway, row: SessionRow) -> bool:
    """True while what was signed in with is good, apart from the state of the key's row."""
    if row.key_hmac is not None:
        return key_secrets.proves(row.key, row.key_hmac)
    issuers = [issuer for issuer in gateway.jwt.issuers if issuer.issuer == row.issuer]
    if not issuers or row.subject is None or row.issuer is None:
        return False
    if all(issuer.kind == VIRTUAL_KEY for issuer in issuers):
        return True
    with gateway.database.read() as connection:
        return not subjects.is_ended(connection, issuer=row.issuer, subject=row.subject)


def _in_project(gateway: Gateway, row: SessionRow, caller: Caller) -> Caller:
    """The caller in the project that an admin has chosen, if it is still there."""
    if row.project_id is None or row.project_id == caller.project_id or caller.role != permissions.ADMIN:
        return caller
    with gateway.database.read() as connection:
        chosen = sessions.project(connection, row.project_id)
    if chosen is None or chosen.archived_at is not None:
        return caller
    return replace(
        caller,
        project_id=chosen.id,
        project=chosen.name,
        default_provider=chosen.default_provider,
        project_limits=chosen.limits or {},
    )
