"""Checking the models that the lines of a batch name against those that its key may use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.services.access import permissions
from app.services.lines import owned_ids
from app.services.lines.rules import BODY, Finding, LineFacts

CODE = "model_not_allowed"
# Members that hold content, in which "model" is an ordinary word; only tools in it name models.
CONTENT = frozenset({"messages", "input", "prompt", "system", "instructions"})
TOOLS = frozenset({"tools", "tool"})
TOOLS_OF_LINES = TOOLS | {"tool_choice", "response_format", "text", "functions"}
# Names of models besides `model` and those that end with it: fallbacks, as the routers of some providers take them, a
# preset of the account (which has a model), and adapters, which are models of their own.
NAMES = frozenset({"models", "fallbacks", "preset"})
ADAPTERS = frozenset(
    {"lora", "lora_adapter", "lora_adapters", "lora_name", "lora_path", "lora_request"}
    | {"adapter", "adapters", "adapter_id", "adapter_name"}
)
# Models that are not to be used.
NOT_USED = frozenset({"excluded_models", "ignored_models"})


@dataclass(slots=True)
class LineModels:
    """The model patterns of a key (None allows all), and what matched. `override` replaces the lines' models."""

    patterns: Sequence[str] | None
    provider: str
    override: str | None
    _known: dict[str, bool] = field(default_factory=dict)

    def check(self, facts: LineFacts, *, number: int) -> Finding | None:
        """A Finding for the first model of the line that the key may not use; None if there is none."""
        if self.patterns is None:
            return None
        for path, model in named(facts.body, facts.form, has_override=self.override is not None):
            if not self._allows(model):
                text = f"The key of this batch may not use model {model!r:.300}."
                return Finding(CODE, text, path, number)
        return None

    def _allows(self, model: str) -> bool:
        if model not in self._known:
            self._known[model] = permissions.allows_model(self.patterns, provider=self.provider, model=model)
        return self._known[model]


def named(body: Mapping[str, Any], form: str = BODY, *, has_override: bool = False) -> Iterator[tuple[str, str]]:
    """(path, name) of all models that a body names, without its `model` if that is replaced.

    `form` is the member of the line that has the body.
    """
    for name, inner in body.items():
        # In another case it is not replaced, and a server that ignores case may read it.
        if not (has_override and name == "model"):
            yield from _member(name, inner, body, form, "")


def fallbacks(body: Mapping[str, Any], form: str = BODY) -> Iterator[tuple[str, str]]:
    """(path, name) of the models beside its `model` that may serve a line; not those that its tools use."""
    for name, inner in body.items():
        if name != "model" and owned_ids.word_of(name) not in CONTENT | TOOLS_OF_LINES:
            yield from _member(name, inner, body, form, "")


def _member(name: str, inner: Any, holder: Mapping[str, Any], path: str, reached_by: str) -> Iterator[tuple[str, str]]:
    word = owned_ids.word_of(name)
    if word in NOT_USED or owned_ids.is_free(name, holder, reached_by):
        return
    if word in ADAPTERS:
        yield from _texts(inner, f"{path}.{name}")
    elif word in CONTENT:
        yield from _tools(inner, f"{path}.{name}")
    else:
        if word in NAMES or word == "model" or word.endswith(("_model", "_models")):
            yield from _listed(inner, f"{path}.{name}")
        yield from _nested(inner, f"{path}.{name}", name)


def _nested(value: Any, path: str, reached_by: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _member(name, inner, value, path, reached_by)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _nested(inner, f"{path}[{position}]", reached_by)


def _tools(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Models of the tools within content."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if owned_ids.is_free(name, value, path):
                continue
            walk = _nested(inner, f"{path}.{name}", name) if name in TOOLS else _tools(inner, f"{path}.{name}")
            yield from walk
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _tools(inner, f"{path}[{position}]")


def _listed(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        yield from ((path, model) for model in value if isinstance(model, str))


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """All names in `value`; a number is the number of an adapter."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield path, str(value)
