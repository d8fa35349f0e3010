"""What an engine needs from the rest of the app: where work comes from, how a line is sent, where results go."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.engine.gate import Signals
from app.engine.outcomes import Line, Outcome, Result, Words
from app.engine.run import Segment, WaitNews
from app.engine.shares import Pause
from app.lib.cuts import Cut


@dataclass(frozen=True, slots=True)
class Capacity:
    """One model at one account: permits are counted for it."""

    account_id: int
    model: str


@dataclass(frozen=True, slots=True)
class Grant:
    """This process's permits, the pauses that all processes observe, and whether there are several projects."""

    limit: int
    pauses: Sequence[Pause] = ()
    is_shared: bool = False


class Work(Protocol):
    """The store and the providers, as an engine sees them. Every call may raise StoreAwayError."""

    def claim(self, *, skip: Collection[Capacity], full: Collection[int] = ()) -> tuple[Capacity, Segment] | None:
        """Lease the best open segment whose capacity is not in `skip`, and whose project is not in `full`."""
        ...

    def renew(self, segments: Sequence[Segment]) -> set[int]:
        """Renew the leases; returns the ids of segments whose lease is lost."""
        ...

    def ended(self, segments: Sequence[Segment]) -> set[int]:
        """Ids of segments whose batch was cancelled or has ended: none of their lines is sent any more."""
        ...

    def release(self, segment: Segment) -> None:
        """Release the segment, or close it when no line is left."""
        ...

    def exchange(self, capacity: Capacity, *, held: int, wanted: int, signals: Signals) -> Grant:
        """Report what was seen and request `wanted` permits; returns this process's share."""
        ...

    def leave(self, capacity: Capacity) -> None:
        """Return all permits."""
        ...

    def prepare(self, segment: Segment, line: Line) -> Any:
        """The request of a line, ready for `send`, or a Result when it can never be sent."""
        ...

    def send(self, request: Any, *, timeout_s: float, cut: Cut | None = None) -> Outcome:
        """Make one attempt at the provider, which `cut` may end."""
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
        """Write results, all or nothing. False when the lease is lost and nothing was written."""
        ...

    def step(self) -> bool:
        """Take one step of a batch (plan, finalise, ...); False when there was nothing to do."""
        ...

    def job(self) -> bool:
        """Take one step of a job (submit, poll, harvest, ...); False when none is due. Many threads call it."""
        ...

    def sweep(self) -> None:
        """Do periodic work if it is this process's turn."""
        ...


class StoreAwayError(Exception):
    """The database or blob store does not answer; the call may be retried."""
