"""How calls to providers fail: one tree of exceptions for all connectors."""

from app.connectors.contract.refusals import Kind
from app.lib import bounds


class UpstreamError(Exception):
    """A call without a usable answer.

    `sent` is false if nothing of the request was sent, so that repeating it is safe. Texts are clean, so that they can
    be stored; they are cut later, because a cut could leave part of a secret that is still to be redacted. `kind` is
    what the table of refusals makes of an answer with an error status, and `error_type` the provider's type of the
    error. `where` the call went, and what else only an operator may read, is not part of the message.
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
        where: str = "",
    ) -> None:
        self.message = bounds.clean(message)
        super().__init__(self.message)
        self.status = status
        self.code = bounds.clean(code)
        self.retry_after_s = retry_after_s
        self.sent = sent
        self.body = body
        self.request_id = bounds.clean(request_id)
        self.param = None if param is None else bounds.clean(param)
        self.kind = kind
        self.where = bounds.clean(where)
        self.error_type = None if error_type is None else bounds.clean(error_type)

    @property
    def for_operator(self) -> str:
        """The message, and where the call went."""
        return f"{self.message} ({self.where})" if self.where else self.message


class OverloadedError(UpstreamError):
    """The provider takes nothing now (429, 503, 529, a refused connection, no credit): later it may."""


class UpstreamServerError(UpstreamError):
    """Another 5xx, or an answer that is cut short or invalid."""


class AnswerTooLargeError(UpstreamServerError):
    """An answer that is larger than the gateway takes. It would be no smaller, and cost as much, another time."""


class UpstreamTimeoutError(UpstreamError):
    """No answer in time; whether the provider did the work is unknown."""


class RefusedError(UpstreamError):
    """A 4xx that a retry would not change. `status` and `code` are the provider's, `param` the field it names."""


class MissingError(RefusedError):
    """The object does not exist at the provider (404), or no longer."""


class ConfigurationError(ValueError):
    """A provider's configuration is invalid; the message names the variable and the fix."""
