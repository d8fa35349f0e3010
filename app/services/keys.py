"""Virtual keys: issued once, kept as an HMAC, found by their public id."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from app.data import keys
from app.data.database import AnyRow
from app.errors import AuthenticationError
from app.services.gateway import Caller, Gateway

PREFIX = "sk-bf-"
PUBLIC_ID_BYTES = 8
SECRET_BYTES = 32
MAX_KEY_LENGTH = 256


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key at the only moment when it can be read."""

    public_id: str
    key: str
    project: str
    name: str


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as it can be listed. Instants are Unix milliseconds."""

    public_id: str
    project: str
    name: str
    created_at: int
    revoked_at: int | None
    accounts: Sequence[str] | None


def create(gateway: Gateway, *, project: str, name: str, accounts: Sequence[str] = ()) -> IssuedKey:
    """Issue a key to `project`, which is made if it is new. It may use the named accounts only; none named: all."""
    public_id, secret = secrets.token_hex(PUBLIC_ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    digest = _digest(gateway.pepper(), public_id, secret)
    with gateway.database.write() as connection:
        project_id = keys.ensure_project(connection, project)
        keys.insert_key(
            connection,
            public_id=public_id,
            project_id=project_id,
            name=name,
            secret_hmac=digest,
            accounts=list(dict.fromkeys(accounts)) or None,
        )
    gateway.log.info("key.created", key=public_id, project=project)
    return IssuedKey(public_id=public_id, key=f"{PREFIX}{public_id}-{secret}", project=project, name=name)


def list_(gateway: Gateway, *, project: str | None = None) -> list[KeyInfo]:
    """All keys, or those of one project, oldest first."""
    with gateway.database.read() as connection:
        rows = keys.list_keys(connection, project=project)
    return [KeyInfo(**row._mapping) for row in rows]


def revoke(gateway: Gateway, public_id: str) -> bool:
    """End a key at once. False when there is no such key, or it is revoked already."""
    with gateway.database.write() as connection:
        revoked = keys.revoke_key(connection, public_id)
    if revoked:
        gateway.log.info("key.revoked", key=public_id)
    return revoked


def authenticate(gateway: Gateway, credential: str, *, request_id: str, account: str | None = None) -> Caller:
    """Who holds `credential`, and names `account`. Raises AuthenticationError, the same one whatever is wrong."""
    refused = AuthenticationError("This key is not valid: it is unknown, expired or revoked.")
    if not credential.startswith(PREFIX) or not credential.isascii() or len(credential) > MAX_KEY_LENGTH:
        raise refused
    public_id, _, secret = credential[len(PREFIX) :].partition("-")
    if not public_id.isalnum() or not secret:
        raise refused
    with gateway.database.read() as connection:
        row = keys.find_key(connection, public_id)
    if row is None or not hmac.compare_digest(row.secret_hmac, _digest(gateway.pepper(), public_id, secret)):
        raise refused
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= gateway.clock.now_ms()):
        raise refused
    return caller_of(row, request_id=request_id, account=account)


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
    )


def _digest(pepper: bytes, public_id: str, secret: str) -> str:
    return hmac.digest(pepper, f"{public_id}-{secret}".encode(), "sha256").hex()
