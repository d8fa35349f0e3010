"""What one project has at a gate: its lines in flight, what it learned from refusals, and the pauses that hold it.

And what one batch has, where it has a limit of its own: its shares of all processes add up to the limit, as permits of
an account do (`app.services.running.quotas`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.engine.outcomes import Words

if TYPE_CHECKING:
    from app.engine.run import SegmentRun
    from app.engine.work import Work

LOWER_TO = 0.7
LOWER_EVERY_S = 1.0
# A burst lowers the limit when so many lines were refused for the first time, one for so many answers.
MIN_REFUSED = 2
ANSWERS_PER_REFUSAL = 10


@dataclass(frozen=True, slots=True)
class NewPause:
    """A pause that this process found necessary: of one project (`project_id`), or of all; of the model, or of the
    whole account.
    """

    project_id: int | None
    whole_account: bool
    pause_s: float
    words: Words


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that all processes observe. Once `left_s` is over, one line at a time probes until one is answered.

    `age_s` is how long nothing has been answered.
    """

    project_id: int | None
    whole_account: bool
    left_s: float
    age_s: float
    pauses: int
    words: Words


@dataclass(slots=True)
class Hold:
    """A pause in this process; instants on the monotonic clock. `began` is when this process learned of it."""

    project_id: int | None
    whole_account: bool
    began: float
    until: float
    since: float
    pauses: int
    words: Words
    probe_out: bool = False
    is_reported: bool = False


@dataclass(slots=True)
class Share:
    """One project at one gate. `refused` are the lines that were refused since its last answer, `out` are the instants
    since when its lines are in flight, the oldest first.

    `firsts` (lines that were refused for the first time) and `answers` are counted for about a second.
    """

    project_id: int
    in_flight: int = 0
    out: dict[int, float] = field(default_factory=dict)
    limit: float = math.inf
    is_bounded: bool = True  # as it was when last looked at
    refused: set[tuple[int, int]] = field(default_factory=set)
    firsts: int = 0
    answers: int = 0
    counted_since: float = -math.inf
    lowered_at: float = -math.inf
    answered_at: float = -math.inf
    refused_at: float = -math.inf
    first_refused_at: float = -math.inf
    troubled_at: float = -math.inf

    @property
    def is_troubled(self) -> bool:
        """True while nothing was answered since it was paused or lowered."""
        return self.troubled_at > self.answered_at

    def is_active(self, since: float) -> bool:
        """True when a line was answered or refused since then."""
        return max(self.answered_at, self.refused_at) >= since

    def hangs(self, since: float, *, most: int) -> bool:
        """True when more than `most` lines have been out since then."""
        for count, at in enumerate(self.out.values()):
            if at > since:
                return False
            if count == most:
                return True
        return False

    def note_answer(self, now: float, *, gate_limit: int) -> None:
        """A line was answered: the limit grows by one for each round of answers."""
        self.answers += 1
        self.answered_at = now
        self.refused.clear()
        if self.limit != math.inf:
            self.limit += 1 / self.limit
            if self.limit >= gate_limit:
                self.limit = math.inf

    def note_refusal(self, now: float, key: tuple[int, int], *, first: bool) -> None:
        """A line was refused for a reason that may be the project's: many of them lower its limit."""
        self.refused.add(key)
        if now - self.counted_since >= LOWER_EVERY_S:
            self.firsts = self.answers = 0
            self.counted_since = now
        if first:
            self.firsts += 1
            self.first_refused_at = now
        many = self.firsts >= MIN_REFUSED and self.firsts * ANSWERS_PER_REFUSAL >= self.answers
        if many and now - self.lowered_at >= LOWER_EVERY_S:
            self.limit = max(1.0, min(self.limit, float(self.in_flight + 1)) * LOWER_TO)
            self.lowered_at = self.troubled_at = now
            self.is_bounded = True


@dataclass(slots=True)
class Quota:
    """The runs of one batch share it. `taken` lines are between being taken and their end; no `limit`: any number."""

    taken: int = 0
    limit: int | None = None

    @property
    def is_open(self) -> bool:
        """True when another line may be taken."""
        return self.limit is None or self.taken < self.limit


class Quotas:
    """The quotas of the batches that this process runs; those with a limit are agreed upon about once a second."""

    def __init__(self, *, every_s: float) -> None:
        self._every_s = every_s
        self._of: dict[int, Quota] = {}
        self._next: dict[int, float] = {}  # of batches with a limit: when to ask again

    def of(self, batch_id: int) -> Quota:
        """The quota that all runs of the batch share."""
        return self._of.setdefault(batch_id, Quota())

    def limited(self, batch_id: int, *, is_limited: bool) -> None:
        """Note whether a batch has a limit: nothing more of one that has is taken until a share is agreed upon."""
        if is_limited and batch_id not in self._next:
            self._next[batch_id], self.of(batch_id).limit = 0.0, 0
        elif not is_limited and batch_id in self._next:
            self._next[batch_id] = 0.0

    def agree(self, work: "Work", runs: Sequence["SegmentRun"], *, now: float, most: int) -> bool:
        """Ask for the shares that are due, each of at most `most`. True when one of them has grown."""
        due = {batch_id for batch_id, at in self._next.items() if now >= at}
        if not due:
            return False
        ready: Counter[int] = Counter()
        for run in runs:
            ready[run.segment.batch_id] += run.ready
        has_grown = False
        for batch_id in due:
            quota = self._of[batch_id]
            before = quota.limit or 0
            wanted = min(most, quota.taken + ready[batch_id])
            quota.limit = work.share(batch_id, held=quota.taken, wanted=wanted)
            if quota.limit is None:
                del self._next[batch_id]
            else:
                self._next[batch_id] = now + self._every_s
            has_grown = has_grown or quota.limit is None or quota.limit > before
        return has_grown

    def used_up(self, runs: Iterable["SegmentRun"]) -> list[int]:
        """Batches with a limit of which this process has lines enough."""
        ready: Counter[int] = Counter()
        for run in runs:
            if run.segment.batch_id in self._next:
                ready[run.segment.batch_id] += run.ready
        return [batch_id for batch_id, lines in ready.items() if lines >= (self._of[batch_id].limit or 0)]

    def keep(self, work: "Work", batch_ids: set[int]) -> None:
        """Forget the quotas of other batches, and give back what this process had of them."""
        for batch_id in self._of.keys() - batch_ids:
            if self._of[batch_id].taken:
                continue
            if self._next.pop(batch_id, None) is not None:
                work.give_back_share(batch_id)
            del self._of[batch_id]
