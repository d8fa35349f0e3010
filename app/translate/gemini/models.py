"""What each Gemini model takes, as a table; docs/dialects.md is made from it (contracts: providers, 28.3 and 31)."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

DOCS = "https://ai.google.dev/gemini-api/docs/"
CLOUD = "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/gemini/"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model takes.

    `thinking`: controlled by a token budget between `least_budget` and `most_budget`, by one of `levels`, or not at
    all. `can_turn_off` is False for models that always think. `output` is what the model makes; only text is handed
    out. `prefill`: it continues a final assistant message. `sampling`: it heeds temperature, top_p and top_k.
    """

    thinking: Literal["budget", "level"] | None = None
    least_budget: int = 0
    most_budget: int = 0
    levels: tuple[str, ...] = ()
    can_turn_off: bool = True
    sampling: bool = True
    penalties: bool = True
    prefill: bool = True
    tools_with_schema: bool = False
    signed_calls: bool = False
    media_results: bool = False
    output: Literal["text", "images", "sound"] = "text"
    call_ids_at_vertex: bool = False
    # In batches of the Developer API, a JSON schema has been reported to give wrong answers, unlike OpenAPI's form.
    json_schema_in_batches: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Models whose names match `pattern`, what they take, and the page that says so."""

    title: str
    pattern: str
    traits: Traits
    source: str


ALL_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
V2_5 = Traits(thinking="budget", least_budget=1, most_budget=24576, penalties=False)
V3 = Traits(
    thinking="level",
    levels=ALL_LEVELS,
    penalties=False,
    tools_with_schema=True,
    signed_calls=True,
    media_results=True,
    call_ids_at_vertex=True,
)
V3_6 = replace(V3, sampling=False, prefill=False)
NEWEST = replace(V3_6, levels=ALL_LEVELS[1:], can_turn_off=False)
# The first row that matches the beginning of a name counts.
ROWS: tuple[Row, ...] = (
    Row("`-image` models", r"gemini-.*image", Traits(output="images"), f"{DOCS}image-generation"),
    Row("`-tts` models", r"gemini-.*-tts", Traits(output="sound"), f"{DOCS}speech-generation"),
    Row("live and audio models", r"gemini-.*(live|native-audio)", Traits(output="sound"), f"{DOCS}live"),
    Row("Gemini 1 and 2.0, Robotics-ER 1.5", r"gemini-([a-z]+-)*(1|2\.0)", Traits(), f"{DOCS}models"),
    Row(
        "Gemini 2.5 Pro",
        r"gemini-2\.5-pro",
        replace(V2_5, least_budget=128, most_budget=32768, can_turn_off=False),
        f"{DOCS}thinking",
    ),
    Row("Gemini 2.5 Flash-Lite", r"gemini-2\.5-flash-lite", replace(V2_5, least_budget=512), f"{DOCS}thinking"),
    Row("Gemini 2.5 Flash", r"gemini-2\.5", V2_5, f"{DOCS}thinking"),
    Row(
        "Gemini 3 Pro",
        r"gemini-3-pro",
        replace(V3, levels=("LOW", "HIGH"), can_turn_off=False),
        f"{DOCS}thinking",
    ),
    Row(
        "Gemini 3.1 Pro",
        r"gemini-3\.1-pro",
        replace(V3, levels=ALL_LEVELS[1:], can_turn_off=False),
        f"{DOCS}thinking",
    ),
    Row("Gemini 3.5 Flash-Lite", r"gemini-3\.5-flash-lite", V3_6, f"{CLOUD}3-5-flash-lite"),
    Row("Gemini 3 Flash, 3.1 Flash-Lite, 3.5 Flash", r"gemini-3(\.[0-5])?(-|$)", V3, f"{DOCS}thinking"),
    Row("Gemini 3.6 Flash", r"gemini-3\.6", V3_6, f"{DOCS}whats-new-gemini-3.6"),
    Row("Gemini 3.7 and later, `-latest`", r"gemini", NEWEST, f"{DOCS}whats-new-gemini-3.8"),
)
# Other names, such as Gemma and tuned models: thinking is not set, and what the model refuses is not known.
UNKNOWN = Traits()
_PATTERNS = tuple((re.compile(row.pattern, re.ASCII), row.traits) for row in ROWS)


@lru_cache(maxsize=1024)
def traits(model: str) -> Traits:
    """Return what a model takes, by its name; a Gemini model without a version counts as the newest."""
    name = model.rpartition("/")[2].lower()
    return next((found for pattern, found in _PATTERNS if pattern.match(name)), UNKNOWN)
