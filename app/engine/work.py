"""What an engine asks of the rest: where work comes from, how a line is sent, where results go."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.engine.gate import Signals
from app.engine.outcomes import Line, Outcome, Result
from app.engine.run import Segment


@dataclass(frozen=True, slots=True)
class Capacity:
    """What permits are counted for: one model at one account."""

    account_id: int
    model: str


@dataclass(frozen=True, slots=True)
class Grant:
    """This process's permits, and the pause that everyone keeps."""

    limit: int
    pause_s: float


class Work(Protocol):
    """The store and the providers, as an engine sees them. Every call may raise StoreAwayError."""

    def claim(self, *, skip: Collection[Capacity]) -> tuple[Capacity, Segment] | None:
        """Lease the best open segment whose capacity is not in `skip`."""
        ...

    def renew(self, segments: Sequence[Segment]) -> set[int]:
        """Keep the leases; returns the ids of segments that are lost."""
        ...

    def ended(self, segments: Sequence[Segment]) -> set[int]:
        """Ids of segments whose batch was cancelled or is over: nothing more of them is sent."""
        ...

    def release(self, segment: Segment) -> None:
        """Give the segment back, or close it when no line is left."""
        ...

    def exchange(self, capacity: Capacity, *, held: int, wanted: int, signals: Signals) -> Grant:
        """Tell what was seen, ask for `wanted` permits, get this process's share."""
        ...

    def leave(self, capacity: Capacity) -> None:
        """Give all permits back."""
        ...

    def prepare(self, segment: Segment, line: Line) -> Any:
        """The request of a line, ready for `send`; a Result when it can never be sent."""
        ...

    def send(self, request: Any, *, timeout_s: float) -> Outcome:
        """One attempt at the provider."""
        ...

    def broken(self, segment: Segment, line: Line) -> Result:
        """The end of a line whose handling failed in the gateway itself."""
        ...

    def probe(self, segment: Segment, line: Line) -> None:
        """Note that this line of a segment that runs alone is about to be sent."""
        ...

    def flush(self, segment: Segment, results: Sequence[Result], retried: Sequence[Line], *, last: bool) -> bool:
        """Write results down, all or nothing. False when the segment is lost and nothing was written."""
        ...

    def step(self) -> bool:
        """Move one batch on (plan, finalise, ...); False when there was nothing to do."""
        ...

    def job(self) -> bool:
        """Move one native batch on (make, look, bring home, ...); False when none is due. Many threads call it."""
        ...

    def sweep(self) -> None:
        """Periodic work, if it is this process's turn."""
        ...


class StoreAwayError(Exception):
    """The database or blob store does not answer; what was asked may be asked again."""
