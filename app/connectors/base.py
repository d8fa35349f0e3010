"""What a connector is: it declares what it can do, and does one call at a time.

A connector knows neither SQL nor Flask. It is immutable and safe to share between threads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Support(Enum):
    """How a connector has an ability: the provider's own API, done by the gateway, or not at all."""

    NATIVE = "native"
    EMULATED = "emulated"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a provider can do. Callers ask this and never test a provider's name."""

    files: Support = Support.NONE
    batches: Support = Support.NONE
    containers: Support = Support.NONE
    endpoints: frozenset[str] = frozenset()
    windows: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LineCall:
    """One line on its way out: the batch's endpoint (`/v1/...`), the body, and what time is left."""

    endpoint: str
    body: Mapping[str, Any]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, under the names of the Responses API."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What came back for a line. `body` is raw JSON in the dialect of the line's endpoint."""

    status_code: int
    request_id: str
    body: bytes
    usage: Usage = field(default_factory=Usage)


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
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.sent = sent
        self.body = body
        self.request_id = request_id


class OverloadedError(UpstreamError):
    """429, 503, 529 or a refused connection: the line waits, for as long as the window lasts."""


class UpstreamServerError(UpstreamError):
    """Another 5xx, an answer cut short, or one that is not what it should be."""


class UpstreamTimeoutError(UpstreamError):
    """No answer in time; what it may have cost is not known."""


class Connector:
    """One account at one provider. The default of every call says that it is not supported."""

    abilities = Abilities()

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line. 2xx and final 4xx are answers; all else raises an UpstreamError."""
        raise NotImplementedError(f"{type(self).__name__} declares no endpoints")

    def list_models(self, *, timeout_s: float) -> Sequence[Mapping[str, Any]]:
        """The models the account can use, as OpenAI's model objects. Raises UpstreamError."""
        return ()
