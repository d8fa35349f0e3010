"""How long refused lines wait, how long pauses last, and when a line is given up."""

import random
from dataclasses import dataclass

# Refusals of the account itself: they pass when an operator acts, not in a moment.
ACCOUNT_KINDS = frozenset({"account", "credential", "model"})
MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, and how many refusals a line may have.

    A line waits from `first_s`, doubling up to `max_s`. A pause lasts from `first_s` (`first_account_s` when the
    account itself is refused), doubling up to `max_pause_s`, which also bounds what a provider's `Retry-After` asks
    for. A line ends after `max_alone` refusals while others were answered, or after `max_refused_s`.
    """

    first_s: float = 0.25
    max_s: float = 60.0
    first_account_s: float = 15.0
    max_pause_s: float = 300.0
    max_alone: int = 12
    max_refused_s: float = 6 * 3600.0

    def line_delay_s(self, refusals: int, retry_after_s: float | None) -> float:
        """How long a line waits after so many refusals in a row."""
        # Jitter only spreads the retries of many lines, so it need not be unpredictable.
        jitter = random.uniform(0.7, 1.0)  # noqa: S311
        own = min(self.max_s, self.first_s * 2.0 ** min(refusals - 1, MAX_DOUBLINGS)) * jitter
        return max(own, min(retry_after_s or 0.0, self.max_pause_s))

    def pause_s(self, pauses: int, kind: str, retry_after_s: float | None) -> float:
        """How long a pause lasts that follows so many others without an answer between."""
        first = self.first_account_s if kind in ACCOUNT_KINDS else self.first_s
        own = min(self.max_pause_s, first * 2.0 ** min(pauses, MAX_DOUBLINGS))
        if retry_after_s is None:
            return own
        return min(max(retry_after_s, own if kind in ACCOUNT_KINDS or pauses > 3 else 0.0), self.max_pause_s)
