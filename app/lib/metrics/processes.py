"""What all processes of a host have counted, for whichever of them is asked.

Each process keeps its totals in a file of its own, which it writes every few seconds, and holds a lock on another file
for as long as it lives. Whoever finds that lock free adds the totals of the dead process to `ended.json`, so that
counters never fall, and deletes its files, so that there are never more than processes.

prometheus-client has files for this, too, but maps them into memory: a full disk would kill the gateway with SIGBUS.
They also stay for ever, are told apart by process ids, which containers share, and make counting take thrice as long.
"""

import atexit
import fcntl
import os
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from app.lib import json, private
from app.lib.metrics.recorder import Recorder, Totals, add

SAVE_S = 2.0
ENDED = "ended.json"
GUARD = "guard"


class HostRecorder(Recorder):
    """The recorder of a process that shares `folder` with others of its host; without a folder, metrics are off.

    Nothing is opened before `start`, so a fork may come before it.
    """

    def __init__(self, folder: Path | None = None, *, log: Any = None) -> None:
        super().__init__(is_on=folder is not None)
        self._folder = folder or Path()
        self._log = log
        self._name = ""
        self._lock_fd = -1
        self._saving = threading.Lock()
        self._saved: Totals = {}
        self._has_failed = False
        self._over = threading.Event()

    def start(self) -> None:
        """Take part, and write every few seconds. Does nothing where metrics are off, or when called again."""
        if not self.is_on or self._name:
            return
        self._name = token_hex(8)
        self.save()
        threading.Thread(target=self._save_always, name="metrics", daemon=True).start()
        atexit.register(self.close)

    def close(self) -> None:
        """Write what was counted last, and leave it to the others."""
        self._over.set()
        with self._saving:
            if self._lock_fd >= 0:
                self._save()
                os.close(self._lock_fd)
                self._lock_fd = -1

    def save(self) -> None:
        """Write this process's totals, if they have changed."""
        with self._saving:
            if not self._over.is_set() and (self._lock_fd >= 0 or self._tried(self._enter)):
                self._save()

    def host_totals(self) -> Totals:
        """The sum of all processes of the host, this one as it is now; only its own while the folder is unusable."""
        found = self.totals()
        if self._lock_fd >= 0:
            self._tried(lambda: self._add_others(found))
        return found

    def _save(self) -> None:
        totals = self.totals()
        if totals != self._saved and self._tried(lambda: _write(self._folder / f"{self._name}.json", totals, ())):
            self._saved = totals

    def _enter(self) -> None:
        private.make_folder(self._folder)
        with self._guarded():
            path = self._folder / f"{self._name}.lock"
            held = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, private.FILE_MODE)
            fcntl.flock(held, fcntl.LOCK_EX)
            self._lock_fd = held
            self._fold()

    def _save_always(self) -> None:
        while not self._over.wait(SAVE_S):
            self.save()

    def _add_others(self, found: Totals) -> None:
        others: Totals = {}
        with self._guarded():
            self._fold()
            add(others, _read(self._folder / ENDED)[0])
            for path in self._folder.glob("*.json"):
                if path.stem not in (self._name, Path(ENDED).stem):
                    add(others, _read(path)[0])
        add(found, others)

    def _fold(self) -> None:
        """Add what processes have counted that are dead to the totals of the ended, then delete their files."""
        ended, folded = _read(self._folder / ENDED)
        self._delete(folded)  # of somebody who died before this
        dead = [path.stem for path in self._folder.glob("*.lock") if path.stem != self._name and _is_free(path)]
        if not dead:
            return
        for name in dead:
            add(ended, _read(self._folder / f"{name}.json")[0])
        _write(self._folder / ENDED, ended, dead)
        self._delete(dead)
        _write(self._folder / ENDED, ended, ())

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            (self._folder / f"{name}.json").unlink(missing_ok=True)
            (self._folder / f"{name}.lock").unlink(missing_ok=True)

    @contextmanager
    def _guarded(self) -> Generator[None]:
        """One process at a time counts the files, or adds its own."""
        guard = os.open(self._folder / GUARD, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, private.FILE_MODE)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield
        finally:
            os.close(guard)

    def _tried(self, act: Callable[[], None]) -> bool:
        """Whether `act` could use the folder. That it cannot is logged once: metrics must not stop what they count."""
        try:
            act()
        except OSError as error:
            if not self._has_failed:
                self._log.warning("metrics.not_shared", folder=str(self._folder), reason=str(error))
            self._has_failed = True
            return False
        self._has_failed = False
        return True


def _is_free(path: Path) -> bool:
    with suppress(FileNotFoundError):
        found = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(found)
    return True


def _read(path: Path) -> tuple[Totals, list[str]]:
    """(totals, names of processes whose files are still to be deleted); nothing of a file that is absent or broken."""
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        found = json.loads(path.read_bytes())
        return {tuple(key): values for key, values in found["totals"]}, found["folded"]
    return {}, []


def _write(path: Path, totals: Totals, folded: Iterable[str]) -> None:
    """Replace the file at once: readers find the old or the new one."""
    text = json.dumps({"totals": [[list(key), values] for key, values in totals.items()], "folded": list(folded)})
    part = path.with_suffix(".part")
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, private.FILE_MODE)
    with os.fdopen(file, "wb") as out:
        out.write(text)
    part.replace(path)
