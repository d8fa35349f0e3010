"""The auth hooks: attached where a blueprint is registered, before anything of the request is read."""

from flask import current_app, g, request

from app.api.context import gateway
from app.api.operation import WRITES
from app.errors import AuthenticationError
from app.services.access import callers, keys, permissions
from app.services.limits import limits

HEADERS = ("x-bf-vk", "x-api-key", "api-key", "x-goog-api-key")
ACCOUNT = "x-bf-api-key"  # the name of an account, not a credential
PROJECT = "x-bf-project"
PROVIDER = "x-model-provider"
LONGEST_ADDRESS = 64


def require_key() -> None:
    """Set `g.caller` from the request's credential.

    Raises AuthenticationError, PermissionDeniedError (role, network) and RateLimitedError.
    """
    # Every request comes by here, and each look at `g` or the process's gateway takes its time.
    served, project, operation = gateway(), _named(PROJECT), _request_type()
    g.request_type = operation
    caller = callers.authenticate(
        served,
        _credential(),
        request_id=g.request_id,
        account=_named(ACCOUNT),
        project=project,
        provider=_provider() if served.settings.allow_provider_keys else None,
        address=client_address(),
    )
    g.caller = caller
    callers.check_project(caller, project)
    permissions.check_request(caller, operation=operation, is_write=operation.endswith(WRITES))
    limits.check_request(served, caller)


def require_admin() -> None:
    """Set `g.actor`, who manages the gateway. Raises AuthenticationError and PermissionDeniedError."""
    g.request_type = _request_type()
    g.actor = callers.administrator(gateway(), _credential(), request_id=g.request_id, address=client_address())


def client_address() -> str | None:
    """Where the request comes from: as the outermost of the trusted proxies saw it, if there are any."""
    hops = gateway().settings.trusted_proxies
    if hops:
        told = ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
        if len(told) >= hops and told[-hops].strip():
            return told[-hops].strip()[:LONGEST_ADDRESS]
    return request.remote_addr


def _request_type() -> str:
    view = current_app.view_functions.get(request.endpoint or "")
    return str(getattr(view, "request_type", "unknown"))


def _named(header: str) -> str | None:
    return request.headers.get(header, "").strip() or None


def _provider() -> str | None:
    """The provider that query or header name; a body is not read before it is known who sends it."""
    named = (request.args.get("provider"), request.args.get(PROVIDER), request.headers.get(PROVIDER))
    return next((value.strip().lower() for value in named if value and value.strip()), None)


def _credential() -> str:
    """The credential of whichever header carries one. A key or token of this gateway wins over others beside it."""
    authorization = request.headers.get("Authorization", "")
    scheme, _, token = authorization.partition(" ")
    found = [token.strip()] if scheme.lower() == "bearer" else []
    if found and found[0].startswith(keys.PREFIX):
        return found[0]  # as nearly every client sends it; the other headers need not be looked for
    found += [request.headers[name].strip() for name in HEADERS if name in request.headers]
    found = [value for value in found if value]
    if not found:
        raise AuthenticationError("Send a virtual key of this gateway as `Authorization: Bearer sk-bf-...`.")
    found.sort(key=lambda value: callers.rank(gateway(), value))
    return found[0]
