"""What each Claude model takes, by its name (contracts: providers, 28.1 and 29.4; Anthropic's migration guides).

Names stand in many forms: `claude-sonnet-4-5-20250929`, `us.anthropic.claude-opus-4-6-v1`, `claude-opus-4-5@20251101`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

MODEL = re.compile(
    r"claude-(?:(?P<line>[a-z]+)-)?(?P<major>\d)(?:[-.](?P<minor>\d{1,2}))?(?![\d])(?:-(?P<after>[a-z]+))?", re.ASCII
)
PREVIEW = "mythos-preview"
# Models that always think, and the first of their line that does.
ALWAYS = {"fable": (0, 0), "mythos": (0, 0), "opus": (5, 5), "sonnet": (5, 5)}
LAST_WITH_PREFILL = LAST_WITH_BUDGET_ONLY = (4, 5)
LAST_WITH_SAMPLING = LAST_WITH_BUDGET = (4, 6)
LAST_THAT_THINKS_WHEN_ASKED = (4, 8)
FIRST_THAT_THINKS = (3, 7)
FIRST_WITH_XHIGH = (4, 7)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model takes.

    `thinks`: with a budget of tokens, as much as it likes (adaptive), or not at all. `off` is how thinking is turned
    off, None where it cannot be. `thinks_unasked` tells that it thinks unless it is turned off.
    """

    sampling: bool = True
    prefill: bool = True
    thinks: Literal["budget", "adaptive", "never"] = "adaptive"
    budget: bool = False
    xhigh: bool = True
    off: Literal["disabled", "between_tools"] | None = "disabled"
    thinks_unasked: bool = False


# Of a name that tells nothing, such as an alias: all is sent, and the provider may refuse it.
UNKNOWN = Traits(budget=True)


@lru_cache(maxsize=1024)
def traits(model: str) -> Traits:
    """What the model takes."""
    if PREVIEW in model:
        return _traits("mythos", (5, 0))
    found = MODEL.search(model)
    if found is None:
        return UNKNOWN
    return _traits(found["line"] or found["after"] or "", (int(found["major"]), int(found["minor"] or 0)))


def _traits(line: str, version: tuple[int, int]) -> Traits:
    always = line in ALWAYS and version >= ALWAYS[line]
    return Traits(
        sampling=version <= LAST_WITH_SAMPLING,
        prefill=version <= LAST_WITH_PREFILL,
        thinks="never" if version < FIRST_THAT_THINKS else "adaptive" if version > LAST_WITH_BUDGET_ONLY else "budget",
        budget=FIRST_THAT_THINKS <= version <= LAST_WITH_BUDGET,
        xhigh=version >= FIRST_WITH_XHIGH,
        off=("between_tools" if line == "sonnet" else None) if always else "disabled",
        thinks_unasked=version > LAST_THAT_THINKS_WHEN_ASKED,
    )
