"""Spans, made when they have ended, with ids that every process can compute.

The trace of `batch_<30 digits>` has the id `b6<30 digits>`, so nothing is passed from process to process, and whoever
knows a batch finds its trace.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.lib import ids

ROOT = "batch"  # the span of the request that made the batch; all others are below it
INTERNAL, SERVER, CLIENT = "internal", "server", "client"
Attribute = str | int | float | bool
_DIGITS = re.compile(rf"{ids.BATCH}([0-9a-f]{{30}})")
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took `elapsed_s` and ended now. `own` names it, so that others can be below it (`parent`).

    `linked` is a `traceparent`, of the trace in which the caller sent the request. `error` is the type of what failed.
    """

    batch: str
    name: str
    elapsed_s: float
    own: str = ""
    parent: str = ROOT
    kind: str = INTERNAL
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    error: str = ""
    linked: str = ""


class Traces(Protocol):
    """Where spans go. `is_on` is False where nobody wants any: then none should be made."""

    is_on: bool

    def add(self, span: Span) -> None:
        """Pass on a span. Never waits, and never raises."""
        ...

    def close(self) -> None:
        """Send what has not been sent yet."""
        ...


class NoTraces:
    """Traces that are off."""

    is_on = False

    def add(self, span: Span) -> None:
        pass

    def close(self) -> None:
        pass


def trace_id(batch: str) -> int:
    """The id of a batch's trace; its lower half is random, as samplers expect."""
    found = _DIGITS.fullmatch(batch)
    if found is not None:
        return int(f"b6{found[1]}", 16)
    return int.from_bytes(hashlib.sha256(batch.encode()).digest()[:16])


def span_id(batch: str, own: str) -> int:
    """The id of a span by its name; a random one without."""
    if not own:
        return secrets.randbits(64) or 1
    return int.from_bytes(hashlib.sha256(f"{batch} {own}".encode()).digest()[:8]) or 1


def parsed(traceparent: str) -> tuple[int, int] | None:
    """(trace id, span id) of a `traceparent`; None if it is not valid."""
    found = _PARENT.fullmatch(traceparent)
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    return int(found[1], 16), int(found[2], 16)
