"""Ports for servers that must be given one, as free when they start as when they were chosen.

The system gives any port of its own range (from 32768 on Linux) to the next connection that is made.
"""

import random
import socket
from contextlib import ExitStack

FIRST, LAST = 10_000, 32_000
_DICE = random.SystemRandom()  # all processes of a run seed the common one alike


def free(count: int) -> list[int]:
    """Ports of this machine that are not in use, outside of the system's range."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            port = _DICE.randrange(FIRST, LAST)
            try:
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue  # taken
            found.append(port)
    return found
