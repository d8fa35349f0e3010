"""A provider's failures in the words that a caller gets (contracts: gateway API, "Errors")."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.connectors.base import MissingError, OverloadedError, RefusedError, UpstreamError, UpstreamTimeoutError
from app.errors import (
    ConflictError,
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
)
from app.services.gateway import Gateway

TOO_MANY = 429
AUTH_STATUSES = (401, 403)
CONFLICT = 409


@contextmanager
def told(gateway: Gateway, *, provider: str, account: str) -> Iterator[None]:
    """Raise what the caller is to see instead of an UpstreamError, and log what only the operator can mend."""
    try:
        yield
    except UpstreamError as error:
        if error.status in AUTH_STATUSES:
            gateway.log.error(
                "provider.auth_failed", provider=provider, account=account, status=error.status, error=error.message
            )
        raise caller_error(error, provider=provider) from error


def caller_error(error: UpstreamError, *, provider: str) -> GatewayError:
    """`error` for a caller: 429, 502 or 504, a refusal of the provider's own with its status, else 400."""
    said = {"provider": provider, "from_provider": True}
    if isinstance(error, UpstreamTimeoutError):
        return ProviderTimeoutError(f"{provider}: {error.message}", **said)
    if error.status == TOO_MANY:
        return RateLimitedError(f"{provider}: {error.message}", retry_after_s=error.retry_after_s or 1, **said)
    if isinstance(error, OverloadedError):
        return ProviderError(f"{provider}: {error.message}", retry_after_s=error.retry_after_s, **said)
    if error.status in AUTH_STATUSES:
        text = f"{provider} refuses the gateway's account; the operator finds why in the gateway's log."
        return ProviderError(text, code="provider_auth_error", **said)
    if isinstance(error, MissingError):
        return NotFoundError(f"{provider}: {error.message}", param=error.param, **said)
    if isinstance(error, RefusedError):
        kind = ConflictError if error.status == CONFLICT else InvalidRequestError
        return kind(f"{provider}: {error.message}", param=error.param, code=error.code or None, **said)
    return ProviderError(f"{provider}: {error.message}", **said)
