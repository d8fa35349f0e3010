"""Maps a provider's failures to the errors that callers see (contracts: gateway API, "Errors")."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.connectors.contract.errors import (
    MissingError,
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamTimeoutError,
)
from app.connectors.contract.refusals import Kind
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
REJECTED = "{} rejects the credential of the gateway's account. The gateway's log says why."


@contextmanager
def translated(gateway: Gateway, *, provider: str, account: str) -> Iterator[None]:
    """Replaces an UpstreamError by the GatewayError that matches it.

    What the operator should know (rejected credentials, a provider that fails or is overloaded) is logged when it
    begins, in the provider's words, and when it ends.
    """
    what = ("provider", provider, account)
    try:
        yield
    except UpstreamError as error:
        if is_credential(error):
            gateway.log.error(
                "provider.auth_failed",
                provider=provider,
                account=account,
                status=error.status,
                reason=error.for_operator,
            )
        elif not isinstance(error, RefusedError | MissingError):
            is_news = gateway.episodes.failed(what)
            log = gateway.log.warning if is_news else gateway.log.debug
            log("provider.failing", provider=provider, account=account, status=error.status, reason=error.for_operator)
        raise caller_error(error, provider=provider) from error
    if gateway.episodes.worked(what):
        gateway.log.warning("provider.recovered", provider=provider, account=account)


def reason(error: UpstreamError, *, provider: str) -> str:
    """What may be shown of a failure: the provider's words, unless they are about the operator's key."""
    if is_credential(error):
        return REJECTED.format(provider)
    return error.message


def caller_error(error: UpstreamError, *, provider: str) -> GatewayError:
    """Returns the GatewayError that matches the provider's failure: 429, 502, 504, or the provider's own refusal."""
    mapped = _mapped(error, provider, f"{provider}: {error.message}")
    mapped.provider, mapped.from_provider = provider, True
    return mapped


def is_credential(error: UpstreamError) -> bool:
    """True when the provider refuses the account's credential: its words are for the operator only."""
    return error.status in AUTH_STATUSES or error.kind is Kind.CREDENTIAL


def _mapped(error: UpstreamError, provider: str, text: str) -> GatewayError:
    if isinstance(error, UpstreamTimeoutError):
        return ProviderTimeoutError(text)
    if error.status == TOO_MANY:
        return RateLimitedError(text, retry_after_s=error.retry_after_s or 1)
    if isinstance(error, OverloadedError):
        return ProviderError(text, retry_after_s=error.retry_after_s)
    if is_credential(error):
        return ProviderError(REJECTED.format(provider), code="provider_auth_error")
    if isinstance(error, MissingError):
        return NotFoundError(text, param=error.param)
    if isinstance(error, RefusedError):
        kind = ConflictError if error.status == CONFLICT else InvalidRequestError
        return kind(text, param=error.param, code=error.code or None)
    return ProviderError(text)
