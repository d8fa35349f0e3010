"""The auth hook: attached where a blueprint is registered, before anything of the request is read."""

from flask import g, request

from app.api.context import gateway
from app.errors import AuthenticationError
from app.services import keys

HEADERS = ("x-bf-vk", "x-api-key", "api-key", "x-goog-api-key")
ACCOUNT = "x-bf-api-key"  # the name of an account, not a credential


def require_key() -> None:
    """Set `g.caller` from the request's credential, or raise AuthenticationError."""
    account = request.headers.get(ACCOUNT, "").strip() or None
    g.caller = keys.authenticate(gateway(), _credential(), request_id=g.request_id, account=account)


def _credential() -> str:
    """The virtual key of whichever header carries one. A gateway key wins over other credentials beside it."""
    authorization = request.headers.get("Authorization", "")
    scheme, _, token = authorization.partition(" ")
    found = [token.strip()] if scheme.lower() == "bearer" else []
    if found and found[0].startswith(keys.PREFIX):
        return found[0]  # as nearly every client sends it; the other headers need not be looked for
    found += [request.headers[name].strip() for name in HEADERS if name in request.headers]
    found = [value for value in found if value]
    if not found:
        raise AuthenticationError("Send a virtual key of this gateway as `Authorization: Bearer sk-bf-...`.")
    return next((value for value in found if value.startswith(keys.PREFIX)), found[0])
