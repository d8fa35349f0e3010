"""A bell that ends the wait of a thread, also one for what arrives at a socket."""

import os
import select
import threading


class Bell:
    """Once rung, it ends each wait. `ring` may be called on any thread; whoever waits closes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read, self._write = os.pipe()
        self._is_open = True

    def ring(self) -> None:
        """End the wait."""
        with self._lock:
            if self._is_open:
                os.write(self._write, b"x")

    def wait(self, timeout_s: float, *, besides: int | None = None) -> bool:
        """Wait until the bell was rung (True), the descriptor `besides` can be read, or so much time has passed."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        if besides is not None:
            poll.register(besides, select.POLLIN)
        return any(descriptor == self._read for descriptor, _ in poll.poll(timeout_s * 1000))

    def close(self) -> None:
        """Give back what it needs of the system."""
        with self._lock:
            self._is_open = False
            os.close(self._read)
            os.close(self._write)
