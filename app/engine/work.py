"""What an engine needs from the rest of the app: where work comes from, how a line is sent, where results go."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.engine.gate import Signals
from app.engine.outcomes import Line, Outcome, Result, Words
from app.engine.run import Segment, WaitNews
from app.engine.shares import Pause
from app.lib.threads.cuts import Cut

# Clocks differ: a deadline is another one when it differs by more.
SAME_DEADLINE_S = 2.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """One model at one account: permits are counted for it."""

    account_id: int
    model: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The lines of one project at one capacity."""

    project_id: int
    capacity: Capacity


@dataclass(frozen=True, slots=True)
class Grant:
    """This process's permits, the pauses that all processes observe, and whether there are several projects.

    `version` is the account's: it grows with each change of its credential.
    """

    limit: int
    pauses: Sequence[Pause] = ()
    is_shared: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class Orders:
    """How a batch is to be run, now. `left_s` is left of its window; `is_limited`: it has a `concurrency`."""

    priority: int
    left_s: float
    is_limited: bool


@dataclass(frozen=True, slots=True)
class Stops:
    """Ids of segments that send no more lines, and how the others are to be run, by batch.

    Nobody waits for the answers of those that are `over`, whose batch was cancelled or has ended. Those that are
    `halted`, whose account is disabled or whose batch is paused, go on later: lines that are out come to their end.
    """

    over: Collection[int] = ()
    halted: Collection[int] = ()
    orders: Mapping[int, Orders] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Bar:
    """What a process holds of a lane, that has lines enough: only a batch that comes before this is worth a claim.

    That is one of a higher `priority`, or of the same one with less than `left_s` of its window left. None is, where
    `left_s` is None.
    """

    lane: Lane
    priority: int
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Due:
    """Kinds of work that have something to do at this moment (`app.engine.parts`).

    `is_quiet` when no batch runs at all, so that nothing becomes due by itself.
    """

    kinds: frozenset[str] = frozenset()
    is_quiet: bool = False


class Work(Protocol):
    """The store and the providers, as an engine sees them. Every call may raise StoreAwayError."""

    def due(self, kinds: Collection[str]) -> Due:
        """Which of `kinds` have something to do."""
        ...

    def claim(
        self, *, skip: Collection[Bar], full: Collection[int] = (), used_up: Collection[int] = ()
    ) -> tuple[Capacity, Segment] | None:
        """Lease the best open segment of a lane that is not in `skip`, else of a batch that comes before one of these.

        Nothing of a project in `full`, or of a batch in `used_up`.
        """
        ...

    def renew(self, segments: Sequence[Segment]) -> set[int]:
        """Renew the leases; returns the ids of segments whose lease is lost."""
        ...

    def stops(self, segments: Sequence[Segment]) -> Stops:
        """Which of the segments send no more lines."""
        ...

    def release(self, segment: Segment) -> None:
        """Release the segment, or close it when no line is left."""
        ...

    def exchange(self, capacity: Capacity, *, held: int, wanted: int, signals: Signals) -> Grant:
        """Report what was seen and request `wanted` permits; returns this process's share."""
        ...

    def share(self, batch_id: int, *, held: int, wanted: int) -> int | None:
        """As `exchange`, of a batch with a limit of its own; None when it has none any more."""
        ...

    def give_back_share(self, batch_id: int) -> None:
        """Return all that this process had of such a batch."""
        ...

    def leave(self, capacity: Capacity) -> None:
        """Return all permits."""
        ...

    def prepare(self, segment: Segment, line: Line) -> Any:
        """The request of a line, ready for `send`, or a Result when it can never be sent."""
        ...

    def send(
        self,
        request: Any,
        *,
        timeout_s: float,
        room: Callable[[int, float], bool],
        borrow: Callable[[int], bool],
        cut: Cut | None = None,
    ) -> Outcome:
        """Make one attempt at the provider, which `cut` may end.

        `room` is asked for the bytes of a large answer before they are read, and how long that may take; `borrow` for
        those of files that are put into the request.
        """
        ...

    def given_up(self, segment: Segment, line: Line, words: Words) -> Result:
        """The result of a line that is not sent any more, since all are refused for too long."""
        ...

    def note(self, news: Sequence[WaitNews]) -> None:
        """Record which lines run for long or wait to be sent again, and which no longer do."""
        ...

    def broken(self, segment: Segment, line: Line) -> Result:
        """The result of a line that the gateway itself failed to process."""
        ...

    def probe(self, segment: Segment, line: Line) -> None:
        """Note that this line of a segment that runs alone is about to be sent."""
        ...

    def flush(self, segment: Segment, results: Sequence[Result], retried: Sequence[Line], *, last: bool) -> bool:
        """Write results. False when the lease is lost and nothing more was written.

        A result that the store refuses ends its line as `gateway_error`. Raises NotWrittenError when only some of them
        were written.
        """
        ...

    def plan(self) -> bool:
        """Plan a new batch for a slice of time; False when there is none. Several threads call it."""
        ...

    def finalise(self) -> bool:
        """As `plan`, for a batch that has run."""
        ...

    def job(self) -> bool:
        """Take one step of a job (submit, poll, harvest, ...); False when none is due. Many threads call it."""
        ...

    def deliver(self) -> bool:
        """Deliver webhooks to one endpoint for a while; False when none is due. Many threads call it."""
        ...

    def sweep(self) -> None:
        """Do periodic work if it is this process's turn."""
        ...

    def close(self) -> None:
        """Give back what is half planned or half finalised, when no thread calls `plan` or `finalise` any more."""
        ...


class StoreAwayError(Exception):
    """The database or blob store does not answer; the call may be retried."""


class NotWrittenError(Exception):
    """Some results could not be written, and not for a reason of their own; the others of that flush were written."""

    def __init__(self, results: Sequence[Result]) -> None:
        super().__init__(f"{len(results)} results were not written")
        self.results = list(results)
