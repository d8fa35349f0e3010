"""Who calls: the credential of a request decides whom it is asked about."""

from app.auth import tokens
from app.errors import PermissionDeniedError
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
    """Who holds `credential`; `account`, `project` and `provider` are those that the request names.

    Raises AuthenticationError, the same one whatever is wrong with the credential; PermissionDeniedError when it may
    not be used from `address`; InvalidRequestError when an admin's token needs a project.
    """
    if _is_token(gateway, credential):
        return jwt_callers.authenticate(
            gateway, credential, request_id=request_id, account=account, project=project, address=address
        )
    if gateway.settings.allow_provider_keys and not credential.startswith(PREFIX):
        return provider_keys.authenticate(
            gateway, credential, request_id=request_id, provider=provider, address=address
        )
    return keys.authenticate(gateway, credential, request_id=request_id, account=account, address=address)


def check_project(caller: Caller, project: str | None) -> None:
    """Raises PermissionDeniedError when a request names another project than the caller's, whether it is there or not.

    What is meant for one project must not end up in another.
    """
    if project is not None and project != caller.project:
        raise PermissionDeniedError("This key belongs to another project than the one named.", param=jwt_callers.HEADER)


def administrator(gateway: Gateway, credential: str, *, request_id: str, address: str | None = None) -> Actor:
    """Who manages the gateway with `credential`: a virtual key with the role admin, or an admin JWT.

    Raises AuthenticationError, and PermissionDeniedError for a credential that is good, but not an admin's.
    """
    if _is_token(gateway, credential):
        return jwt_callers.administrator(gateway, credential, request_id=request_id, address=address)
    caller = keys.authenticate(gateway, credential, request_id=request_id, address=address)
    if caller.role != permissions.ADMIN:
        refusal = PermissionDeniedError(f"The management API needs an admin: the role of this key is {caller.role}.")
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
    """Of several credentials in a request the first counts: a virtual key, then a JWT where those are taken."""
    return 0 if credential.startswith(PREFIX) else 1 if _is_token(gateway, credential) else 2


def _is_token(gateway: Gateway, credential: str) -> bool:
    return bool(gateway.jwt.issuers) and not credential.startswith(PREFIX) and tokens.looks_like_one(credential)
