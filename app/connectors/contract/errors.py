"""How calls to providers fail: one tree of exceptions for all connectors."""

from app.connectors.contract.refusals import Kind


class UpstreamError(Exception):
    """A call without a usable answer.

    `sent` is false if nothing of the request was sent, so that repeating it is safe. `kind` is what the table of
    refusals makes of an answer with an error status, and `error_type` the provider's type of the error.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "provider_error",
        retry_after_s: float | None = None,
        sent: bool = True,
        body: bytes = b"",
        request_id: str = "",
        param: str | None = None,
        kind: Kind | None = None,
        error_type: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.sent = sent
        self.body = body
        self.request_id = request_id
        self.param = param
        self.kind = kind
        self.error_type = error_type


class OverloadedError(UpstreamError):
    """The provider takes nothing now (429, 503, 529, a refused connection, no credit): later it may."""


class UpstreamServerError(UpstreamError):
    """Another 5xx, or an answer that is cut short or invalid."""


class UpstreamTimeoutError(UpstreamError):
    """No answer in time; whether the provider did the work is unknown."""


class RefusedError(UpstreamError):
    """A 4xx that a retry would not change. `status` and `code` are the provider's, `param` the field it names."""


class MissingError(RefusedError):
    """The object does not exist at the provider (404), or no longer."""


class ConfigurationError(ValueError):
    """A provider's configuration is invalid; the message names the variable and the fix."""
