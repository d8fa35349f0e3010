"""Who gets Ctrl-C."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def foreground() -> Iterator[None]:
    """Make Ctrl-C reach this process and not the `make` that started it.

    A terminal signals its whole foreground process group, and make then ends with an error however
    cleanly its recipe stopped. So this process becomes a foreground group of its own, as a shell
    does for what it starts, and hands the terminal back at the end.
    """
    terminal = _terminal()
    if terminal is None:
        yield
        return
    makes_group = os.getpgrp()
    # A background group that takes the terminal is stopped by SIGTTOU; nobody waits to resume us after Ctrl-Z.
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
    """The controlling terminal, if this process is in its foreground group and does not lead that."""
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
