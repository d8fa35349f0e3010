"""How a call to a provider fails: one tree of exceptions for all connectors."""


class UpstreamError(Exception):
    """A call that gave no usable answer.

    `sent` is false when nothing of the request left this machine, so that it is safe to repeat.
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


class OverloadedError(UpstreamError):
    """429, 503, 529 or a refused connection: the line waits, for as long as the window lasts."""


class UpstreamServerError(UpstreamError):
    """Another 5xx, an answer cut short, or one that is not what it should be."""


class UpstreamTimeoutError(UpstreamError):
    """No answer in time; what it may have cost is not known."""


class RefusedError(UpstreamError):
    """A 4xx that repeating would not change. `status` and `code` are the provider's, `param` the field it names."""


class MissingError(RefusedError):
    """The provider has no such object (404), or no longer."""


class ConfigurationError(ValueError):
    """A provider's variable that cannot be used; the message names it and the fix."""
