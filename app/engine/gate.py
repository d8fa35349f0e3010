"""A gate for senders: this process's permits for one account and model, and who may use them after refusals.

A refusal counts against its line first: the line waits, longer each time. Several lines refused in a row count against
their project: its limit falls, and it pauses. Only when every project that is active here is in trouble, or when it is
the account that is refused, all pause. When a pause is over, one line probes; an answer to it ends the pause. A project
that was not refused itself may probe a pause of all at once, so that it never waits for what others ran into.

Where there are several projects, one that has not been answered of late, or of which many lines hang, has half of the
permits at most: the others need not wait until its lines time out.
"""

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.engine.outcomes import Line, Overloaded, Refused, Words
from app.engine.patience import ACCOUNT_KINDS, Patience
from app.engine.shares import Hold, NewPause, Pause, Share
from app.lib.clock import Clock

SLACK = 4
MIN_LINES = 2
RECENT_S = 10.0
# A line hangs when it has been out for so long, and for so many times as long as answers take.
HANGS_AFTER_S = 5.0
HANGS_AFTER_ANSWERS = 8
Scope = tuple[int | None, bool]


@dataclass(frozen=True, slots=True)
class Signals:
    """What this process saw since its last report: the limit and the pauses of all processes follow from it.

    `lifted` are the scopes (project or None, whole account) whose probe was answered.
    """

    successes: int
    overloads: int
    pauses: tuple[NewPause, ...] = ()
    lifted: tuple[Scope, ...] = ()


@dataclass(slots=True)
class Permit:
    """The right to send one line, since `at` on the monotonic clock; `probes` are the pauses that it tries to end."""

    share: Share
    at: float
    probes: tuple[Hold, ...] = ()


@dataclass(slots=True, eq=False)
class _Waiter:
    """A thread in line for a permit, of this project."""

    share: Share


class Gate:
    """At most `limit` lines between `enter` and `leave`, fewer or none of projects that are refused."""

    def __init__(self, clock: Clock, patience: Patience | None = None) -> None:
        self._clock = clock
        self._patience = patience or Patience()
        self._free = threading.Condition()
        self._limit = 0
        self._in_flight = 0
        self._shares: dict[int, Share] = {}
        self._holds: dict[Scope, Hold] = {}
        self._refused: set[tuple[int, int]] = set()  # since the last answer to anybody
        self._waiters: list[_Waiter] = []  # who has waited longest first
        self._answers = 0
        self._successes = self._overloads = 0
        self._lifted: set[Scope] = set()
        self._answer_s = 0.0  # how long answers take, on average
        self._is_shared = False
        self._version = -1  # of the account, when known
        # When an operator, or another process's probe, ended a pause: refused lines need not wait for their own time.
        self.resumed_at = -math.inf

    @property
    def in_flight(self) -> int:
        """Lines being sent now."""
        return self._in_flight

    @property
    def room(self) -> int:
        """How many lines may be prepared: as many as there are permits, and more where these are few, so that none is
        idle while a line is prepared. Where they are many, handing each over to another thread would cost more.
        """
        return self._limit + max(0, SLACK - self._limit // 4) if self._limit else 0

    @property
    def has_news(self) -> bool:
        """True when the other processes should learn of something at once."""
        return bool(self._overloads or self._lifted) or any(not hold.is_reported for hold in self._holds.values())

    def is_open(self, project_id: int) -> bool:
        """True in the usual case: there is no pause, and the project may have all permits."""
        share = self._shares.get(project_id)
        return not self._holds and share is not None and not share.is_bounded

    def room_for(self, project_id: int, *, age_s: float = 0.0) -> int:
        """How many lines of the project's batch may be prepared; `age_s` is how long the batch has been running."""
        if self.is_open(project_id):
            return self.room  # without the lock
        with self._free:
            share = self._share(project_id)
            now = self._clock.monotonic()
            held = self._held(share)
            if self._hopeless(share, now, age_s) is not None:
                return self.room  # its lines are not sent: they end
            if self._pause_s(share, now) > 0:
                return 0
            bound = min(share.limit, self._bound(share, now))
            share.is_bounded = bound != math.inf
            return 1 if held else math.ceil(min(bound, self.room))

    def holds_back(self, project_id: int) -> bool:
        """True when none of the project's lines can go though others may: it is paused, or has all that it may have."""
        with self._free:
            share, now = self._share(project_id), self._clock.monotonic()
            if self._held(share):
                return True
            bound = min(share.limit, self._bound(share, now))
            return share.in_flight >= bound and bound < self._limit

    def hopeless(self, project_id: int, *, age_s: float) -> Words | None:
        """Why lines of a batch are no longer sent: none was answered for as long as a line may be refused."""
        if not self._holds:
            return None
        with self._free:
            return self._hopeless(self._share(project_id), self._clock.monotonic(), age_s)

    def enter(self, project_id: int, *, timeout_s: float) -> Permit | None:
        """Take a permit. None when none became free in time, or the project is paused for longer."""
        ends = self._clock.monotonic() + timeout_s
        with self._free:
            share = self._share(project_id)
            now = self._clock.monotonic()
            permit = self._permit(share, now, behind=self._waiters)
            return permit or self._wait(share, ends)

    def _wait(self, share: Share, ends: float) -> Permit | None:
        """Wait in line for a permit.

        A thread that returns one and wants the next has the lock sooner than one that has to wake up: if it could go
        first, a project with many lines would keep out another's only one.
        """
        waiter = _Waiter(share)
        self._waiters.append(waiter)
        try:
            while True:
                now = self._clock.monotonic()
                permit = self._permit(share, now, behind=self._waiters[: self._waiters.index(waiter)])
                if permit is not None:
                    return permit
                pause_s = self._pause_s(share, now)
                if now >= ends or now + pause_s > ends:
                    return None
                self._free.wait(min(ends - now, pause_s) if pause_s > 0 else ends - now)
        finally:
            self._waiters.remove(waiter)

    def leave(self, permit: Permit) -> None:
        """Return the permit."""
        with self._free:
            self._in_flight -= 1
            permit.share.in_flight -= 1
            permit.share.out.pop(id(permit), None)
            for hold in permit.probes:
                hold.probe_out = False
            if self._waiters:
                self._free.notify_all()  # one of them may be the next

    def answered(self, permit: Permit) -> None:
        """Note an answer. One to a line that was sent during a pause ends the pause."""
        with self._free:
            self._successes += 1
            self._answers += 1
            now = self._clock.monotonic()
            self._answer_s += (now - permit.at - self._answer_s) / 8
            permit.share.note_answer(now, gate_limit=self._limit)
            if self._refused:
                self._refused.clear()
            if not self._holds:
                return
            for hold in self._held(permit.share):
                # Those that were out when it began say nothing about overload, but credit that is spent pays for none.
                if permit.at >= hold.began or (hold.project_id is None and hold.words.kind in ACCOUNT_KINDS):
                    self._lift(hold)

    def refused(self, permit: Permit, line: Line, key: tuple[int, int], refusal: Overloaded) -> tuple[Line, float]:
        """Note a refusal; returns the line with it, and how long the line waits. `key` identifies the line."""
        with self._free:
            now = self._clock.monotonic()
            before = line.refused
            share = permit.share
            share.refused_at = now
            alone = before is not None and self._answers > before.answers and not self._others_refused(before.at)
            times = 1 if before is None else before.times + 1
            noted = Refused(
                times=times,
                alone=(before.alone if before else 0) + alone,
                since=before.since if before else now,
                at=now,
                answers=self._answers,
            )
            if not alone:
                self._refused.add(key)
                share.note_refusal(now, key, first=before is None)
                self._consider_pauses(permit, refusal, now)
            return replace(line, refused=noted), self._patience.line_delay_s(times, refusal.retry_after_s)

    def gives_up(self, line: Line) -> bool:
        """True when the line has been refused often or long enough."""
        refused, patience = line.refused, self._patience
        if refused is None:
            return False
        return refused.alone >= patience.max_alone or refused.at - refused.since >= patience.max_refused_s

    def granted(self, limit: int, pauses: Iterable[Pause], *, is_shared: bool = False, version: int = 0) -> None:
        """Set this process's share of permits, and what all processes pause for. A pause that is gone is over.

        `is_shared` is false while there is but one project, which then has all permits. With another `version` the
        account has changed: what its credential of before was refused for is over, too.
        """
        with self._free:
            self._limit, self._is_shared = limit, is_shared
            now = self._clock.monotonic()
            before = {scope for scope, hold in self._holds.items() if hold.is_reported}
            holds = {
                scope: hold
                for scope, hold in self._holds.items()
                if not hold.is_reported and not _is_outdated(hold.words, version)
            }
            for pause in pauses:
                scope = (pause.project_id, pause.whole_account)
                if scope in self._lifted or scope in holds:
                    continue
                hold = self._holds.get(scope) or Hold(*scope, now, 0.0, 0.0, 0, pause.words, is_reported=True)
                hold.until, hold.since = now + pause.left_s, now - pause.age_s
                hold.pauses, hold.words = pause.pauses, pause.words
                holds[scope] = hold
            self._holds = holds
            if before - holds.keys() - self._lifted or 0 <= self._version < version:
                self.resumed_at = now
            self._version = max(self._version, version)
            self._free.notify_all()

    def drain_signals(self) -> Signals:
        """What happened since the last call."""
        with self._free:
            now = self._clock.monotonic()
            news = [hold for hold in self._holds.values() if not hold.is_reported]
            pauses = [
                NewPause(hold.project_id, hold.whole_account, max(0.0, hold.until - now), hold.words) for hold in news
            ]
            signals = Signals(self._successes, self._overloads, tuple(pauses), tuple(self._lifted))
            self._successes = self._overloads = 0
            self._lifted.clear()
            for hold in news:
                hold.is_reported = True
        return signals

    def _share(self, project_id: int) -> Share:
        share = self._shares.get(project_id)
        if share is None:
            share = self._shares[project_id] = Share(project_id)
        return share

    def _held(self, share: Share) -> list[Hold]:
        return [hold for hold in self._holds.values() if hold.project_id in (None, share.project_id)]

    def _pause_s(self, share: Share, now: float) -> float:
        """Seconds until a line of the project may go; 0 when one may."""
        left = (hold.until - now for hold in self._held(share) if not self._is_newcomer(share, hold))
        return max(0.0, max(left, default=0.0))

    def _is_newcomer(self, share: Share, hold: Hold) -> bool:
        """True of a project that may probe a pause of all at once: it was not refused since, and has nothing out."""
        return hold.project_id is None and share.refused_at < hold.began and not share.in_flight

    def _may_go(self, share: Share, now: float) -> bool:
        """True when only the number of permits could keep a line of the project back."""
        bound = min(share.limit, self._bound(share, now))
        share.is_bounded = bound != math.inf
        return share.in_flight < bound and all(
            (now >= hold.until and not hold.probe_out) or self._is_newcomer(share, hold) for hold in self._held(share)
        )

    def _permit(self, share: Share, now: float, *, behind: Sequence[_Waiter]) -> Permit | None:
        """A permit, unless those that are left are for others, who wait for longer (`behind`) and may go."""
        if self._in_flight >= self._limit or not self._may_go(share, now):
            return None
        if behind and self._limit - self._in_flight <= sum(self._may_go(other.share, now) for other in behind):
            return None
        probes: tuple[Hold, ...] = ()
        if self._holds:
            probes = tuple(self._held(share))
            for hold in probes:
                hold.probe_out = True
        self._in_flight += 1
        share.in_flight += 1
        permit = Permit(share, now, probes)
        share.out[id(permit)] = now
        return permit

    def _bound(self, share: Share, now: float) -> float:
        """How many lines the project may have out, so that others find permits."""
        if not self._is_shared:
            return math.inf
        hangs_s = max(HANGS_AFTER_S, HANGS_AFTER_ANSWERS * self._answer_s)
        if share.answered_at > now - hangs_s and not share.hangs(now - hangs_s, most=self._limit // 4):
            return math.inf
        return max(1, self._limit // 2)

    def _others_refused(self, since: float) -> bool:
        """True when lines were refused for the first time since then, whosever they are: it may be overload."""
        return any(share.first_refused_at > since for share in self._shares.values())

    def _hopeless(self, share: Share, now: float, age_s: float) -> Words | None:
        longest = self._patience.max_refused_s
        if age_s < longest:
            return None
        return next((hold.words for hold in self._held(share) if now - hold.since >= longest), None)

    def _consider_pauses(self, permit: Permit, refusal: Overloaded, now: float) -> None:
        share, words = permit.share, refusal.words
        if len(share.refused) >= MIN_LINES or self._probed(permit, (share.project_id, False)):
            share.troubled_at = now
            self._pause((share.project_id, False), permit, refusal, now)
        of_account = words.kind in ACCOUNT_KINDS
        scope = (None, of_account and words.kind != "model")
        active = [other for other in self._shares.values() if other.is_active(now - RECENT_S)]
        all_troubled = len(active) >= MIN_LINES and all(other.is_troubled for other in active)
        if (of_account and len(self._refused) >= MIN_LINES) or all_troubled or self._probed(permit, scope):
            self._overloads += not of_account
            self._pause(scope, permit, refusal, now)

    def _probed(self, permit: Permit, scope: Scope) -> bool:
        return any((hold.project_id, hold.whole_account) == scope for hold in permit.probes)

    def _pause(self, scope: Scope, permit: Permit, refusal: Overloaded, now: float) -> None:
        hold = self._holds.get(scope)
        if hold is not None and permit.at < hold.began:
            # Part of the burst for which the pause was made: only a longer Retry-After is new.
            asked = min(refusal.retry_after_s or 0.0, self._patience.max_pause_s)
            if hold.pauses == 0 and now + asked > hold.until:
                hold.until, hold.is_reported = now + asked, False
            return
        pauses = 0 if hold is None else hold.pauses + 1
        until = now + self._patience.pause_s(pauses, refusal.words.kind, refusal.retry_after_s)
        since = now if hold is None else hold.since
        self._holds[scope] = Hold(*scope, now, until, since, pauses, refusal.words)
        self._lifted.discard(scope)

    def _lift(self, hold: Hold) -> None:
        scope = (hold.project_id, hold.whole_account)
        if self._holds.pop(scope, None) is not None:
            self._lifted.add(scope)
            self._free.notify_all()


def _is_outdated(words: Words, version: int) -> bool:
    """True of what another credential was refused for than the account has now."""
    return words.kind in ACCOUNT_KINDS and words.is_outdated(version)


__all__ = ["Gate", "Permit", "Signals"]
