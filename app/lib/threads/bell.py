"""A bell that threads wait for between two looks at their work; whoever has news rings it."""

import threading


class Bell:
    """Thread-safe. `rung` counts the rings, so that none is missed between a look and the wait that follows it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.rung = 0

    def ring(self) -> None:
        """Wake all that wait."""
        with self._changed:
            self.rung += 1
            self._changed.notify_all()

    def wait(self, heard: int, timeout_s: float) -> None:
        """Wait until the bell has rung more than `heard` times, at most for `timeout_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.rung != heard, timeout_s)
