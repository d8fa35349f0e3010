"""What Gemini's models differ in (contracts: providers, 28.3)."""

import re
from dataclasses import dataclass
from functools import lru_cache

VERSION = re.compile(r"gemini-(?:[a-z]+-)*(\d+)(?:\.(\d+))?")
NEWEST = (3, 0)
THINKS_BY_LEVEL = (3, 0)
THINKS_BY_BUDGET = (2, 5)


@dataclass(frozen=True, slots=True)
class Traits:
    """How a model is told how much to think, None when it cannot be; and whether it wants its calls signed."""

    thinking: str | None
    signed_calls: bool


@lru_cache(maxsize=1024)
def traits(model: str) -> Traits:
    """Of a model by its name; one of Gemini's that tells no version is taken for the newest."""
    name = model.rpartition("/")[2].lower()
    if not name.startswith("gemini"):
        return Traits(None, signed_calls=False)
    found = VERSION.match(name)
    version = (int(found[1]), int(found[2] or 0)) if found else NEWEST
    if version >= THINKS_BY_LEVEL:
        return Traits("level", signed_calls=True)
    return Traits("budget" if version >= THINKS_BY_BUDGET else None, signed_calls=False)
