"""The outcomes of running a line, as the engine sees them."""

from dataclasses import dataclass, field
from typing import Final

# The error code of a line whose answer could not be read; the provider has charged for it all the same.
BAD_ANSWER: Final = "bad_answer"
# The error code of a line whose model gave up, although the provider calls that a success.
ABORTED_ANSWER: Final = "aborted_answer"


@dataclass(frozen=True, slots=True)
class Line:
    """A line to run: the place of its request in the input blob, and how often it was tried.

    `unknown_attempts` are those that the provider may have answered, and charged for, unheard.
    """

    number: int
    custom_id: str
    offset: int
    length: int
    attempts: int = 0
    unknown_attempts: int = 0


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that an answer reports."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """The final result of a line. `data` is its complete line of the output or error file, newline included.

    `dropped` are fields of the request that the provider's dialect cannot express.
    """

    line: Line
    succeeded: bool
    data: bytes
    status_code: int | None = None
    error_code: str | None = None
    latency_ms: int | None = None
    tokens: Tokens = field(default_factory=Tokens)
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overloaded:
    """The provider is overloaded: the line waits, and the attempt does not count."""

    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Faulted:
    """The attempt failed for a reason of the line itself.

    `max_attempts` is how many this kind of fault allows; `result` ends the line when they are used up.
    `cost_unknown` is true when the provider may have done the work and charged for it.
    """

    max_attempts: int
    result: Result
    cost_unknown: bool


Outcome = Result | Overloaded | Faulted
