"""Authenticates callers and admins: the kind of credential decides which module verifies it."""

from app.auth import tokens
from app.errors import PermissionDeniedError
from app.lib import headers
from app.services.access import jwt_callers, keys, permissions, provider_keys
from app.services.access.key_secrets import PREFIX
from app.services.events import record
from app.services.gateway import Actor, Caller, Gateway


def authenticate(
    gateway: Gateway,
    credential: str,
    *,
    request_id: str,
    account: str | None = None,
    project: str | None = None,
    provider: str | None = None,
    address: str | None = None,
) -> Caller:
    """Returns the caller who holds `credential`. The request may also name an account, a project and a provider.

    Raises AuthenticationError, always the same one, for any invalid credential; PermissionDeniedError when the
    credential may not be used from `address`; InvalidRequestError when an admin's token names no project.
    """
    if is_token(gateway, credential):
        return jwt_callers.authenticate(
            gateway, credential, request_id=request_id, account=account, project=project, address=address
        )
    if gateway.settings.allow_provider_keys and not credential.startswith(PREFIX):
        return provider_keys.authenticate(
            gateway, credential, request_id=request_id, provider=provider, address=address
        )
    return keys.authenticate(gateway, credential, request_id=request_id, account=account, address=address)


def check_project(caller: Caller, project: str | None) -> None:
    """Raises PermissionDeniedError when the request names a project other than the caller's, existing or not.

    Otherwise an object meant for one project could be created in another.
    """
    if project is not None and project != caller.project:
        raise PermissionDeniedError("This key does not belong to the project that was named.", param=headers.PROJECT)


def administrator(gateway: Gateway, credential: str, *, request_id: str, address: str | None = None) -> Actor:
    """Returns the admin who holds `credential`: a virtual key with the role admin, or an admin JWT.

    Raises AuthenticationError for an invalid credential, PermissionDeniedError for a valid one that is not an admin's.
    """
    if is_token(gateway, credential):
        return jwt_callers.administrator(gateway, credential, request_id=request_id, address=address)
    caller = keys.authenticate(gateway, credential, request_id=request_id, address=address)
    if caller.role != permissions.ADMIN:
        refusal = PermissionDeniedError(
            f"The management API needs a key with the role admin; this key has the role {caller.role}."
        )
        keys.record_refusal(gateway, caller, refusal)
        raise refusal
    return Actor(
        name=caller.name or "",
        source=record.API,
        request_id=request_id,
        project_id=caller.project_id,
        key_id=caller.key_id,
        address=address,
    )


def rank(gateway: Gateway, credential: str) -> int:
    """Sort key for several credentials in one request: virtual keys first, then JWTs (if enabled), then the rest."""
    return 0 if credential.startswith(PREFIX) else 1 if is_token(gateway, credential) else 2


def is_token(gateway: Gateway, credential: str) -> bool:
    """True for what is to be verified as a JWT."""
    return bool(gateway.jwt.issuers) and not credential.startswith(PREFIX) and tokens.looks_like_one(credential)
