"""Who calls: the credential of a request decides whom it is asked about."""

from app.errors import AuthenticationError, PermissionDeniedError
from app.services import keys
from app.services.gateway import Actor, Caller, Gateway

API = "api"
ADMIN = "admin"


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

    Raises AuthenticationError, the same one whatever is wrong with the credential.
    """
    return keys.authenticate(gateway, credential, request_id=request_id, account=account)


def administrator(gateway: Gateway, credential: str, *, request_id: str, address: str | None = None) -> Actor:
    """Who manages the gateway with `credential`: a virtual key with the role admin, or an admin JWT.

    Raises AuthenticationError, and PermissionDeniedError for a credential that is good, but not an admin's.
    """
    if not credential.startswith(keys.PREFIX):
        raise AuthenticationError("This key is not valid: it is unknown, expired or revoked.")
    caller = keys.authenticate(gateway, credential, request_id=request_id)
    if caller.role != ADMIN:
        raise PermissionDeniedError(f"The management API needs an admin: the role of this key is {caller.role}.")
    return Actor(
        name=f"key {credential.removeprefix(keys.PREFIX).partition('-')[0]}",
        source=API,
        request_id=request_id,
        project_id=caller.project_id,
        key_id=caller.key_id,
        address=address,
    )
