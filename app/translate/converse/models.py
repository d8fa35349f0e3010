"""What each model of Amazon's Nova takes, as a table; docs/dialects.md is made from it (contracts: providers, 31)."""

import re
from dataclasses import dataclass
from functools import lru_cache

GUIDE = "https://docs.aws.amazon.com/nova/latest/"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model takes: images and documents (`media`), and an effort of thinking (`thinking`).

    `history_needs_tools`: it refuses a history of calls in a request without tools, so those of the history are
    declared.
    """

    media: bool = True
    thinking: bool = False
    history_needs_tools: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """Models whose names match `pattern`, what they take, and the page that says so."""

    title: str
    pattern: str
    traits: Traits
    source: str


ROWS: tuple[Row, ...] = (
    Row("Nova 2", r"nova-2", Traits(thinking=True), f"{GUIDE}nova2-userguide/extended-thinking.html"),
    Row("Nova Micro", r"nova-micro", Traits(media=False), f"{GUIDE}userguide/what-is-nova.html"),
    Row("Nova Lite, Pro and Premier", r"nova-", Traits(), f"{GUIDE}userguide/what-is-nova.html"),
)
OTHER = Traits()  # of other makers, in Converse
_PATTERNS = tuple((re.compile(row.pattern, re.ASCII), row.traits) for row in ROWS)


@lru_cache(maxsize=1024)
def traits(model: str) -> Traits:
    """Return what a model takes, by its id."""
    return next((found for pattern, found in _PATTERNS if pattern.search(model)), OTHER)
