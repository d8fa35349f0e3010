"""`python -m bench.slow_puts`: a worker whose blob store delays every commit by BENCH_PUT_MS."""

import os
import time
from dataclasses import dataclass, replace
from typing import Any

from app.blobs import BlobWriter
from app.settings import from_environment
from app.wiring import build_gateway
from app.worker import serve


@dataclass(frozen=True, slots=True)
class SlowWriter:
    """Delays commits of `inner`, as a store behind a network does."""

    inner: BlobWriter
    delay_s: float

    def write(self, data: bytes | memoryview) -> None:
        self.inner.write(data)

    def commit(self) -> None:
        time.sleep(self.delay_s)
        self.inner.commit()

    def abort(self) -> None:
        self.inner.abort()


class SlowPuts:
    """A blob store that delays every commit of `inner` by `delay_s`."""

    def __init__(self, inner: Any, *, delay_s: float) -> None:
        self._inner = inner
        self._delay_s = delay_s

    def open_write(self, key: str) -> SlowWriter:
        return SlowWriter(self._inner.open_write(key), self._delay_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def main() -> None:
    """Work until SIGTERM."""
    gateway = build_gateway(from_environment())
    delay_s = float(os.environ["BENCH_PUT_MS"]) / 1000
    raise SystemExit(serve(replace(gateway, blobs=SlowPuts(gateway.blobs, delay_s=delay_s))))


if __name__ == "__main__":
    main()
