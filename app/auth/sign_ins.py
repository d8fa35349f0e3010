"""How often somebody may sign in without success: so many times a minute from one address."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address

MAX_FAILURES = 10
SPAN_S = 60.0
MAX_ADDRESSES = 10_000
# An IPv6 network that one customer has.
CUSTOMER_BITS = 64


class SignIns:
    """The failures of this process. Thread-safe."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, address: str | None) -> float:
        """Seconds until somebody at `address` may try again; 0 for now."""
        now = self._monotonic()
        with self._lock:
            recent = self._recent(network(address), now)
        return SPAN_S - (now - recent[-MAX_FAILURES]) if len(recent) >= MAX_FAILURES else 0.0

    def failed(self, address: str | None) -> None:
        """Count a failure."""
        now, where = self._monotonic(), network(address)
        with self._lock:
            self._failures[where] = [*self._recent(where, now), now][-MAX_FAILURES:]
            self._failures.move_to_end(where)
            if len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, where: str, now: float) -> list[float]:
        return [at for at in self._failures.get(where, ()) if now - at < SPAN_S]


def network(address: str | None) -> str:
    """The network of one customer: an IPv4 address, or the first half of an IPv6 address."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if parsed.version == 4:
        return str(parsed)
    return f"{int(parsed) >> CUSTOMER_BITS:x}"
