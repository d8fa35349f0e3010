"""What each Claude model supports, by its name (contracts: providers, 28.1, 29.4; Anthropic's migration guides).

Names take many forms: `claude-sonnet-4-5-20250929`, `us.anthropic.claude-opus-4-6-v1`, `claude-opus-4-5@20251101`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

MODEL = re.compile(
    r"claude-(?:(?P<line>[a-z]+)-)?(?P<major>\d)(?:[-.](?P<minor>\d{1,2}))?(?![\d])(?:-(?P<after>[a-z]+))?", re.ASCII
)
PREVIEW = "mythos-preview"
# Lines of models that always think, and the first version of each that does.
ALWAYS_THINKING = {"fable": (0, 0), "mythos": (0, 0), "opus": (5, 5), "sonnet": (5, 5)}
LAST_WITH_PREFILL = LAST_WITH_BUDGET_ONLY = (4, 5)
LAST_WITH_SAMPLING = LAST_WITH_BUDGET = (4, 6)
LAST_THINKING_ON_REQUEST = (4, 8)
FIRST_THINKING = (3, 7)
FIRST_STRUCTURED = (4, 5)
FIRST_WITH_XHIGH = (4, 7)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model supports.

    `thinks`: with a token budget, adaptively (the model decides how much), or never. `off` is the value that turns
    thinking off, None if it cannot be turned off. `thinks_by_default`: the model thinks unless thinking is turned off.
    `structured`: it has structured outputs and strict tools. `prefill`: it continues a final assistant message.
    `history_needs_tools`: where the history has calls and the request no tools, those of the history are declared.
    Whether Claude needs that has been reported both ways.
    """

    sampling: bool = True
    prefill: bool = True
    thinks: Literal["budget", "adaptive", "never"] = "adaptive"
    budget: bool = False
    xhigh: bool = True
    off: Literal["disabled", "between_tools"] | None = "disabled"
    thinks_by_default: bool = False
    structured: bool = True
    history_needs_tools: bool = True


# For names without a version, such as an alias: everything is sent, and the provider may reject it.
UNKNOWN = Traits(budget=True)


@lru_cache(maxsize=1024)
def traits(model: str) -> Traits:
    """Return what a model supports, by its name."""
    if PREVIEW in model:
        return _traits("mythos", (5, 0))
    match = MODEL.search(model)
    if match is None:
        return UNKNOWN
    return _traits(match["line"] or match["after"] or "", (int(match["major"]), int(match["minor"] or 0)))


def _traits(line: str, version: tuple[int, int]) -> Traits:
    always = line in ALWAYS_THINKING and version >= ALWAYS_THINKING[line]
    return Traits(
        sampling=version <= LAST_WITH_SAMPLING,
        prefill=version <= LAST_WITH_PREFILL,
        thinks="never" if version < FIRST_THINKING else "adaptive" if version > LAST_WITH_BUDGET_ONLY else "budget",
        budget=FIRST_THINKING <= version <= LAST_WITH_BUDGET,
        xhigh=version >= FIRST_WITH_XHIGH,
        off=("between_tools" if line == "sonnet" else None) if always else "disabled",
        thinks_by_default=version > LAST_THINKING_ON_REQUEST,
        structured=version >= FIRST_STRUCTURED,
    )


# The models that ship, by an id of each kind; docs/dialects.md lists what they take.
SHIPPED = (
    ("Claude 3, 3.5", "claude-3-5-sonnet-20241022"),
    ("Claude Sonnet 3.7", "claude-3-7-sonnet-20250219"),
    ("Claude 4, 4.1", "claude-opus-4-1-20250805"),
    ("Claude 4.5", "claude-sonnet-4-5-20250929"),
    ("Claude 4.6", "claude-opus-4-6"),
    ("Claude 4.7, 4.8", "claude-opus-4-8"),
    ("Claude Opus 5, Sonnet 5", "claude-opus-5"),
    ("Claude Sonnet 5.5", "claude-sonnet-5-5"),
    ("Claude Opus 5.5, Fable, Mythos", "claude-opus-5-5"),
)
