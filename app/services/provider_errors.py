"""Maps a provider's failures to the errors that callers see (contracts: gateway API, "Errors")."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from app.connectors.contract.errors import (
    MissingError,
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamTimeoutError,
)
from app.connectors.contract.refusals import NO_SUCH_CALL, PERHAPS_DONE, UNEXPLAINED, Kind, classify
from app.errors import (
    ConflictError,
    GatewayError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
    RequestTimeoutError,
)
from app.services.gateway import Gateway

BAD_REQUEST, TOO_LARGE, TOO_MANY = 400, 413, 429
AUTH_STATUSES = (401, 403)
# Refusals that callers get with the provider's status.
OWN_STATUSES: Mapping[int, type[GatewayError]] = {
    403: PermissionDeniedError,
    405: MethodNotAllowedError,
    408: RequestTimeoutError,
    409: ConflictError,
    413: PayloadTooLargeError,
}
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


def kind_of(error: UpstreamError, *, provider: str) -> Kind:
    """What a failed call means by the table of refusals; other connectors than the gateway's own need not say it."""
    if error.kind is not None:
        return error.kind
    if error.status is not None and error.status >= BAD_REQUEST:
        said = {"message": error.message, "code": error.code, "type": error.error_type}
        return classify(provider, error.status, said)
    if isinstance(error, RefusedError):
        return Kind.LINE
    return Kind.BUSY if isinstance(error, OverloadedError) else Kind.AGAIN


def waits(error: UpstreamError, *, provider: str) -> bool:
    """True for what passes by itself, or when an operator has mended the account: the call is repeated till then."""
    kind = kind_of(error, provider=provider)
    return kind is not Kind.LINE and not (kind is Kind.AGAIN and isinstance(error, RefusedError))


def is_final(error: UpstreamError, *, provider: str) -> bool:
    """True for a refusal that stays the same however often the call is repeated."""
    return isinstance(error, RefusedError) and kind_of(error, provider=provider) is Kind.LINE


def may_be_done(error: UpstreamError) -> bool:
    """True when the provider may have done what it was asked for, although it did not say so."""
    if not error.sent or isinstance(error, OverloadedError):
        return False
    if not isinstance(error, RefusedError) or error.status in PERHAPS_DONE:
        return True
    return error.code == UNEXPLAINED and error.kind is Kind.LINE and error.status not in (*NO_SUCH_CALL, TOO_LARGE)


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
    return error.kind is Kind.CREDENTIAL or (error.kind is None and error.status in AUTH_STATUSES)


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
    if isinstance(error, RefusedError) and (error.kind in (None, Kind.LINE) or error.status in OWN_STATUSES):
        refused = OWN_STATUSES.get(error.status or 0, InvalidRequestError)
        code = None if error.code == UNEXPLAINED else error.code
        return refused(text, param=error.param, code=code or None, retry_after_s=error.retry_after_s)
    return ProviderError(text, retry_after_s=error.retry_after_s)
