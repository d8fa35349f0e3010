"""Shows how far something is: one line that changes on a terminal, else a line now and then."""

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable

import click

from app.cli.shared.text import plain

SHOW_S, LOG_S = 0.2, 10.0
# How far back the present rate looks.
RATE_S = 60.0
MIB = 2**20


class Progress:
    """A line on standard error, or on standard output where it is all that a command prints."""

    def __init__(self, *, is_shown: bool = True, err: bool = True) -> None:
        self._err = err
        self.is_terminal = (sys.stderr if err else sys.stdout).isatty()
        self._is_shown = is_shown
        self._every_s = SHOW_S if self.is_terminal else LOG_S
        self._next = 0.0 if self.is_terminal else time.monotonic() + LOG_S
        self._width = 0

    def show(self, text: str, *, is_new: bool = False) -> None:
        """Shows `text` if it is time for it, or at once if it `is_new`."""
        now = time.monotonic()
        if not self._is_shown or (now < self._next and not is_new):
            return
        self._next = now + self._every_s
        text = plain(text)
        if not self.is_terminal:
            click.echo(text, err=self._err)
            return
        text = text[: max(20, shutil.get_terminal_size().columns - 1)]
        click.echo(f"\r{text:<{self._width}}", err=self._err, nl=False)
        self._width = len(text)

    def note(self, text: str) -> None:
        """Says something that stays."""
        self.end()
        click.echo(plain(text), err=self._err)

    def end(self) -> None:
        """Leaves the line that changes, as it is."""
        if self._width:
            click.echo(err=self._err)
            self._width = 0


class Rate:
    """How fast a count grows, by what was seen in the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def saw(self, done: int) -> None:
        """Records the count."""
        now = self._clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_S:
            self._seen.popleft()

    def per_second(self) -> float | None:
        """Returns the rate, or None when nothing is known yet."""
        if len(self._seen) < 2:
            return None
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else None


class Transfer:
    """Shows bytes on their way."""

    def __init__(self, progress: Progress, what: str, total: int | None, *, done: int = 0) -> None:
        self._progress, self._what, self._total, self._done = progress, what, total, done
        self._rate = Rate()
        self._rate.saw(done)

    def __call__(self, count: int) -> None:
        """Adds bytes that went."""
        self._done += count
        self._rate.saw(self._done)
        rate = self._rate.per_second()
        parts = [f"{self._what}: {self._done / MIB:.1f}"]
        if self._total:
            parts[0] += f" of {self._total / MIB:.1f} MiB ({100 * self._done // self._total}%)"
        else:
            parts[0] += " MiB"
        if rate:
            parts.append(f"{rate / MIB:.1f} MiB/s")
            parts += [f"{time_left((self._total - self._done) / rate)} left"] if self._total else []
        self._progress.show(", ".join(parts))

    def back_to(self, done: int) -> None:
        """Begins again at a position."""
        self._done = done


def copied(progress: Progress) -> Callable[[str, int, int | None], None]:
    """Returns what shows how many rows, blobs or bytes are copied."""

    def show(what: str, done: int, total: int | None) -> None:
        share = f" of {total:,} ({100 * done // max(total, 1)}%)" if total is not None else ""
        progress.show(f"{done:,}{share} {what} copied")

    return show


def time_left(seconds: float) -> str:
    """Formats a time for people: `40 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
