"""Recently read pieces of objects, kept in memory: lines are read one by one, and a request for each would be slow."""

import threading
from collections import OrderedDict
from collections.abc import Callable

BLOCK_BYTES = 512 * 1024
MAX_BYTES = 16 * 2**20

Name = tuple[str, int]


class Blocks:
    """The blocks that were used last, by object and number. Safe to share between threads; a block is fetched once."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[Name, bytes] = OrderedDict()
        self._bytes = 0
        self._fetching: dict[Name, threading.Event] = {}

    def get(self, name: Name, fetch: Callable[[], bytes]) -> bytes:
        """The block, fetched by this thread or by another one that wants it, too. Raises what `fetch` raises."""
        while True:
            with self._lock:
                data = self._held.get(name)
                if data is not None:
                    self._held.move_to_end(name)
                    return data
                fetched = self._fetching.get(name)
                if fetched is None:
                    self._fetching[name] = threading.Event()
                    break
            fetched.wait()
        try:
            data = fetch()
            self.put(name, data)
            return data
        finally:
            with self._lock:
                self._fetching.pop(name).set()

    def put(self, name: Name, data: bytes) -> None:
        """Keep a block, in place of those that nobody used for longest."""
        with self._lock:
            if name in self._held:
                return
            self._held[name] = data
            self._bytes += len(data)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._held.popitem(last=False)[1])
