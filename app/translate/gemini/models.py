"""Differences between Gemini models (contracts: providers, 28.3)."""

import re
from dataclasses import dataclass
from functools import lru_cache

VERSION = re.compile(r"gemini-(?:[a-z]+-)*(\d+)(?:\.(\d+))?")
NEWEST = (3, 0)
FIRST_WITH_LEVEL = (3, 0)
FIRST_WITH_BUDGET = (2, 5)


@dataclass(frozen=True, slots=True)
class Traits:
    """How thinking is controlled (by "level", by "budget", or None), and whether tool calls need a signature."""

    thinking: str | None
    signed_calls: bool


@lru_cache(maxsize=1024)
def traits(model: str) -> Traits:
    """Return the traits of a model by its name; a Gemini model without a version counts as the newest."""
    name = model.rpartition("/")[2].lower()
    if not name.startswith("gemini"):
        return Traits(None, signed_calls=False)
    match = VERSION.match(name)
    version = (int(match[1]), int(match[2] or 0)) if match else NEWEST
    if version >= FIRST_WITH_LEVEL:
        return Traits("level", signed_calls=True)
    return Traits("budget" if version >= FIRST_WITH_BUDGET else None, signed_calls=False)
