"""What running a line comes to, in the engine's words."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Line:
    """A line to run: where its request lies, and how often it was tried."""

    number: int
    custom_id: str
    offset: int
    length: int
    attempts: int = 0
    unknown_attempts: int = 0


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an answer says it used."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a line. `data` is its ready line of the output or error file, newline included.

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
    """The provider has no room: the line waits and nothing counts against it."""

    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Faulted:
    """The attempt failed in a way that is the line's own.

    `most_attempts` is how many the kind of fault allows; `result` ends the line when they are used up.
    `cost_unknown` is true when the provider may have done, and charged, the work.
    """

    most_attempts: int
    result: Result
    cost_unknown: bool


Outcome = Result | Overloaded | Faulted
