"""The exceptions that callers see, their HTTP statuses, and the error envelope."""

from collections.abc import Mapping
from typing import Any


class GatewayError(Exception):
    """An error that is returned to the caller.

    `message` says what is wrong and how to fix it. `param` is the field. `from_provider` is true when the provider
    rejected the request or failed, not the gateway. `retry_after_s` becomes the `Retry-After` header.
    """

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        provider: str | None = None,
        retry_after_s: float | None = None,
        from_provider: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.provider = provider
        self.retry_after_s = retry_after_s
        self.from_provider = from_provider


class InvalidRequestError(GatewayError):
    status = 400
    type = "invalid_request_error"


class UnsupportedOperationError(InvalidRequestError):
    code = "unsupported_operation"

    def __init__(self, provider: str, operation: str, hint: str = "") -> None:
        text = f"{operation} is not supported by {provider} provider."
        super().__init__(f"{text} {hint}".strip(), provider=provider)


class AuthenticationError(GatewayError):
    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class BudgetError(GatewayError):
    """The estimated cost exceeds what is left of a budget."""

    status = 402
    type = "insufficient_quota"
    code = "budget_exceeded"


class PermissionDeniedError(GatewayError):
    status = 403
    type = "invalid_request_error"
    code = "permission_denied"


class NotFoundError(GatewayError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowedError(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RequestTimeoutError(GatewayError):
    """The client sent its request too slowly."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class ConflictError(GatewayError):
    status = 409
    type = "invalid_request_error"
    code = "conflict"


class PayloadTooLargeError(GatewayError):
    status = 413
    type = "invalid_request_error"
    code = "payload_too_large"


class RangeNotSatisfiableError(GatewayError):
    status = 416
    type = "invalid_request_error"
    code = "range_not_satisfiable"

    def __init__(self, message: str, *, size_bytes: int) -> None:
        super().__init__(message, param="Range")
        self.size_bytes = size_bytes


class RateLimitedError(GatewayError):
    """A limit is exceeded. `is_news` is false if an event already records a recent refusal by the same limit."""

    status = 429
    type = "rate_limit_exceeded"
    code = "rate_limit_exceeded"
    is_news = True


class InternalError(GatewayError):
    """A fault of the gateway. The log has the details under the event id; the response never does."""


class ProviderError(GatewayError):
    """The provider failed, was unreachable, or returned an invalid response."""

    status = 502
    type = "provider_error"
    code = "provider_error"


class ProviderTimeoutError(ProviderError):
    status = 504
    code = "provider_timeout"


class UnavailableError(GatewayError):
    """The gateway is overloaded, or its database or blob store is unavailable."""

    status = 503
    type = "server_error"
    code = "unavailable"


class NotShownError(UnavailableError):
    """The provider does not find an object that it should have, which may pass."""


class StorageFullError(UnavailableError):
    status = 507
    code = "storage_full"


def envelope(error: GatewayError, *, event_id: str, extra_fields: Mapping[str, Any]) -> dict[str, Any]:
    """Build the error body that OpenAI SDKs and Bifrost clients both parse (contracts: gateway API, "Errors")."""
    return {
        "event_id": event_id,
        "type": error.type,
        "is_bifrost_error": not error.from_provider,
        "status_code": error.status,
        "error": {
            "type": error.type,
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "event_id": event_id,
        },
        "extra_fields": dict(extra_fields),
    }
