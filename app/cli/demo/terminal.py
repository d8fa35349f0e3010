"""Takes over the terminal, so that Ctrl-C reaches only this process."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def foreground() -> Iterator[None]:
    """Makes Ctrl-C reach this process and not the `make` that started it.

    A terminal signals its whole foreground process group, and make then reports an error however cleanly its recipe
    stopped. So this process moves into a foreground group of its own, as a shell does for its jobs, and returns the
    terminal at the end.
    """
    terminal = _terminal()
    if terminal is None:
        yield
        return
    makes_group = os.getpgrp()
    # SIGTTOU would stop a background group that takes the terminal; after Ctrl-Z no shell would resume this process.
    for number in (signal.SIGTTOU, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, makes_group)
        os.close(terminal)


def _terminal() -> int | None:
    """Returns the controlling terminal, if this process is in its foreground group but not the group's leader."""
    if os.getpgrp() == os.getpid():
        return None
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return None
    if os.tcgetpgrp(terminal) == os.getpgrp():
        return terminal
    os.close(terminal)
    return None
