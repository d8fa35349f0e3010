"""What a fake server can do wrong, and when."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came over the wire. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with a call. Fields of the second group combine freely.

    A fault meets the calls of `method` whose path ends in `path` and whose body has `containing`; of these every
    `every`-th one, at most `times` of them. `after_effect` lets the app act before its answer is spoilt.
    """

    path: str = ""
    method: str = ""
    containing: bytes = b""
    every: int = 1
    times: int | None = None

    status: int | None = None  # answer this, instead of asking the app
    body: bytes | None = None  # answer this body
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    latency_s: float = 0.0  # before anything happens
    hold_s: float = 0.0  # after the effect, before the first byte of the answer
    after_effect: bool = False  # the app acts first; then the fault
    reset: bool = False  # TCP reset instead of an answer
    hang_up: bool = False  # orderly close instead of an answer
    cut_at: int | None = None  # close after so many bytes of the body
    drip_s: float | None = None  # pause between bytes, head included
    length_off: int = 0  # added to Content-Length
    chunked: bool = False  # Transfer-Encoding: chunked

    def matches(self, request: Request) -> bool:
        named = request.path.endswith(self.path) and self.method in ("", request.method)
        return named and self.containing in request.body


def overload(*, status: int = 429, retry_after: str = "1", **when: Any) -> Fault:
    """A refusal with `Retry-After`, as OpenAI words it."""
    return Fault(
        status=status,
        body=orjson.dumps({"error": {"message": "Slow down.", "type": "rate_limit_exceeded", "code": None}}),
        headers={"Retry-After": retry_after},
        **when,
    )


def html(*, status: int = 502, **when: Any) -> Fault:
    """What a proxy in the way answers."""
    page = b"<html><head><title>%d Bad Gateway</title></head><body>nginx</body></html>\n" % status
    return Fault(status=status, body=page, content_type="text/html", **when)


class Faults:
    """The switchboard of one server; the first fault that meets a call wins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[tuple[Fault, list[int]]] = []  # with [calls that matched, faults done]

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._armed.append((fault, [0, 0]))

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    def meet(self, request: Request) -> Fault | None:
        if not self._armed:
            return None
        with self._lock:
            for fault, tally in self._armed:
                if not fault.matches(request):
                    continue
                tally[0] += 1
                if tally[0] % fault.every == 0 and (fault.times is None or tally[1] < fault.times):
                    tally[1] += 1
                    return fault
        return None
