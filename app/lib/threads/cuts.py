"""Ending a call from another thread: whoever made it stops waiting at once, whatever the server does."""

import socket
import threading
from contextlib import suppress


class Cut:
    """The handle of one call. It knows the socket while the call uses one. Safe to use from many threads."""

    __slots__ = ("_is_cut", "_lock", "_socket")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def use(self, sock: socket.socket | None) -> None:
        """Run on `sock` from now on; None when the call no longer needs it, so that it may serve another."""
        with self._lock:
            self._socket = sock
            if self._is_cut and sock is not None:
                _shut(sock)

    def cut(self) -> None:
        """End the call; it fails as if the connection had broken."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                _shut(self._socket)


class _Current(threading.local):
    """The handle of the call that this thread makes: connectors do not pass it through."""

    cut: Cut | None = None


_CURRENT = _Current()


def current() -> Cut | None:
    """The handle of the call that this thread makes, if somebody may end it."""
    return _CURRENT.cut


class watched:  # noqa: N801 - used as a function
    """Calls of this thread within the `with` block can be ended by `cut`. Not a generator: each line has one."""

    __slots__ = ("_cut",)

    def __init__(self, cut: Cut | None) -> None:
        self._cut = cut

    def __enter__(self) -> None:
        _CURRENT.cut = self._cut

    def __exit__(self, *_: object) -> None:
        _CURRENT.cut = None


def _shut(sock: socket.socket) -> None:
    # SSLSocket's own `shutdown` would drop the TLS state under the thread that reads.
    with suppress(OSError):  # closed meanwhile
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
