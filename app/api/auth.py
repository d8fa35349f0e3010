"""Auth hooks. They are attached where a blueprint is registered and run before the request body is read."""

from flask import current_app, g, request

from app.api.context import gateway, of_request
from app.api.operation import WRITES
from app.errors import AuthenticationError, GatewayError, PermissionDeniedError
from app.lib.headers import ACCOUNT, PROJECT
from app.services.access import callers, keys, permissions
from app.services.backups import fence
from app.services.gateway import Caller, Gateway
from app.services.limits import limits

HEADERS = ("x-bf-vk", "x-api-key", "api-key", "x-goog-api-key")
PROVIDER = "x-model-provider"
MAX_ADDRESS_LENGTH = 64
SERVER_FAULT = 500
READS = ("GET", "HEAD", "OPTIONS")


def require_key() -> None:
    """Sets `g.caller` from the request's credential.

    Raises AuthenticationError, PermissionDeniedError (role, network, project), RateLimitedError, or StoreClosedError.
    """
    served, known, project, operation = gateway(), of_request(), _named(PROJECT), _request_type()
    known.request_type = operation
    known.caller = caller = _caller(served, project)
    callers.check_project(caller, project)
    permissions.check_request(caller, operation=operation, is_write=operation.endswith(WRITES))
    limits.check_request(served, caller)
    fence.check(served, is_write=request.method not in READS)


def require_credential() -> None:
    """Raises AuthenticationError or PermissionDeniedError as `require_key` does, and sets nothing.

    What else is wrong with a request passes: the request itself is answered with that.
    """
    g.request_type = _request_type()
    try:
        _caller(gateway(), _named(PROJECT))
    except (AuthenticationError, PermissionDeniedError):
        raise
    except GatewayError as error:
        if error.status >= SERVER_FAULT:
            raise


def require_admin() -> None:
    """Sets `g.actor`, the admin who sent the request.

    Raises AuthenticationError, PermissionDeniedError, or StoreClosedError.
    """
    g.request_type = _request_type()
    g.actor = callers.administrator(gateway(), _credential(), request_id=g.request_id, address=client_address())
    fence.check(gateway(), is_write=request.method not in READS)


def client_address() -> str | None:
    """Returns the client's address, as the outermost trusted proxy saw it if the connection comes from a proxy."""
    settings, peer = gateway().settings, request.remote_addr
    hops = settings.trusted_proxies
    if hops and _is_proxy(peer, settings.proxy_networks):
        addresses = ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
        if len(addresses) >= hops and addresses[-hops].strip():
            return addresses[-hops].strip()[:MAX_ADDRESS_LENGTH]
    return peer


def _is_proxy(peer: str | None, networks: str) -> bool:
    # A connection without an address came over a Unix socket, which is a proxy's on this host.
    return not peer or permissions.lies_in(peer, tuple(networks.split(",")))


def _caller(served: Gateway, project: str | None) -> Caller:
    return callers.authenticate(
        served,
        _credential(),
        request_id=g.request_id,
        account=_named(ACCOUNT),
        project=project,
        provider=_provider() if served.settings.allow_provider_keys else None,
        address=client_address(),
    )


def _request_type() -> str:
    view = current_app.view_functions.get(request.endpoint or "")
    return str(getattr(view, "request_type", "unknown"))


def _named(header: str) -> str | None:
    return request.headers.get(header, "").strip() or None


def _provider() -> str | None:
    """Returns the provider in the query or header. The body is not read before the caller is authenticated."""
    named = (request.args.get("provider"), request.args.get(PROVIDER), request.headers.get(PROVIDER))
    return next((value.strip().lower() for value in named if value and value.strip()), None)


def _credential() -> str:
    """Returns the request's credential. If several headers carry one, a key or token of this gateway comes first."""
    authorization = request.headers.get("Authorization", "")
    scheme, _, token = authorization.partition(" ")
    credentials = [token.strip()] if scheme.lower() == "bearer" else []
    if credentials and credentials[0].startswith(keys.PREFIX):
        return credentials[0]  # nearly every client sends it here, so the other headers need not be read
    credentials += [request.headers[name].strip() for name in HEADERS if name in request.headers]
    credentials = [value for value in credentials if value]
    if not credentials:
        raise AuthenticationError("Send a virtual key of this gateway as `Authorization: Bearer sk-bf-...`.")
    return min(credentials, key=lambda value: callers.rank(gateway(), value))
