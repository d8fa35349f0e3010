"""The outcomes of running a line, as the engine sees them."""

from dataclasses import dataclass, field
from typing import Final

from app.lib import bounds

# The error code of a line whose answer could not be read; the provider has charged for it all the same.
BAD_ANSWER: Final = "bad_answer"
# The error code of a line that ends for a reason of the gateway's own.
GATEWAY_ERROR: Final = "gateway_error"


@dataclass(frozen=True, slots=True)
class Words:
    """Why a provider refused a line, or did not answer it: the kind of refusal, the status, and its own words.

    `version` is that of the account whose credential was used, if that is known.
    """

    kind: str = "busy"
    status_code: int | None = None
    code: str = ""
    message: str = ""
    version: int | None = None

    def is_outdated(self, version: int) -> bool:
        """True when another credential was used than the account has in `version`."""
        return self.version is not None and self.version < version


@dataclass(frozen=True, slots=True)
class Refused:
    """How a line has been refused without an answer between: how often, and how often of those while others were
    answered (`alone`). Instants are on the monotonic clock; `answers` is how many others had been answered at the last
    refusal.
    """

    times: int
    alone: int
    since: float
    at: float
    answers: int


# The error code of a line whose model gave up, although the provider calls that a success.
ABORTED_ANSWER: Final = "aborted_answer"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that an answer reports."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line to run: the place of its request in the input blob, and how often it was tried.

    `unknown_attempts` are those that the provider may have answered, and charged for, unheard; `most` is what such an
    attempt can have used. A refusal is no attempt.
    """

    number: int
    custom_id: str
    offset: int
    length: int
    attempts: int = 0
    unknown_attempts: int = 0
    refused: Refused | None = None
    most: Tokens | None = None

    def tried(self, *, cost_unknown: bool = False, most: Tokens | None = None) -> "Line":
        """The line after another attempt. (`dataclasses.replace` takes three times as long, and lines are many.)"""
        place = (self.number, self.custom_id, self.offset, self.length)
        return Line(*place, self.attempts + 1, self.unknown_attempts + cost_unknown, most=most or self.most)


@dataclass(frozen=True, slots=True)
class Result:
    """The final result of a line. `data` is its complete line of the output or error file, newline included.

    `dropped` are fields of the request that the provider's dialect cannot express. Wherever these come from, they can
    be stored: they are within `app.lib.bounds`. `most` is what the line can have used, where the answer does not say.
    `refused_param` is the field because of which the line could not be translated.
    """

    line: Line
    succeeded: bool
    data: bytes
    status_code: int | None = None
    error_code: str | None = None
    latency_ms: int | None = None
    tokens: Tokens = field(default_factory=Tokens)
    dropped: tuple[str, ...] = ()
    most: Tokens | None = None
    refused_param: str | None = None

    def __post_init__(self) -> None:
        if self.error_code is not None:
            object.__setattr__(self, "error_code", bounds.word(self.error_code, "code"))
        if self.dropped:
            object.__setattr__(self, "dropped", bounds.fields(self.dropped))
        if self.status_code is not None and not bounds.is_status(self.status_code):
            object.__setattr__(self, "status_code", None)

    def of(self, line: Line) -> "Result":
        """The same result for `line`, which is the line after this attempt."""
        end = (
            self.status_code,
            self.error_code,
            self.latency_ms,
            self.tokens,
            self.dropped,
            self.most,
            self.refused_param,
        )
        return Result(line, self.succeeded, self.data, *end)


@dataclass(frozen=True, slots=True)
class Overloaded:
    """The provider took nothing: the line waits, and the attempt does not count.

    `result` ends the line if it is refused for too long.
    """

    retry_after_s: float | None
    result: Result
    words: Words = Words()


@dataclass(frozen=True, slots=True)
class Faulted:
    """The attempt failed for a reason of the line itself.

    `max_attempts` is how many this kind of fault allows; `result` ends the line when they are used up.
    `cost_unknown` is true when the provider may have done the work and charged for it: `most` at most.
    """

    max_attempts: int
    result: Result
    cost_unknown: bool
    words: Words = Words()
    most: Tokens | None = None


@dataclass(frozen=True, slots=True)
class NotReady:
    """The line was not sent, since something that it needs is not there yet. It waits; nothing counts against it."""

    delay_s: float
    words: Words = Words()


Outcome = Result | Overloaded | Faulted | NotReady
