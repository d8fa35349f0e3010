"""Checking the models that the lines of a batch name against those that its key may use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.services.access import permissions
from app.services.lines.rules import SCHEMAS, Finding, LineFacts

CODE = "model_not_allowed"
# Members of a body that hold content, in which "model" is an ordinary word.
CONTENT = ("messages", "input", "prompt", "system", "instructions", "metadata", *SCHEMAS)
# Fallback models, as the routers of some providers take them: names, or objects with a `model`.
LISTS = ("models", "fallbacks")


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
        for path, model in _named(facts.body, facts.form, has_override=self.override is not None):
            if not self._allows(model):
                text = f"The key of this batch may not use model {model!r:.300}."
                return Finding(CODE, text, path, number)
        return None

    def _allows(self, model: str) -> bool:
        if model not in self._known:
            self._known[model] = permissions.allows_model(self.patterns, provider=self.provider, model=model)
        return self._known[model]


def _named(value: Any, path: str, *, has_override: bool = False) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "model" and isinstance(inner, str):
                if not has_override:
                    yield f"{path}.{name}", inner
            elif name in LISTS and isinstance(inner, list):
                yield from ((f"{path}.{name}", model) for model in inner if isinstance(model, str))
                yield from _named(inner, f"{path}.{name}")
            elif name not in CONTENT:
                yield from _named(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _named(inner, f"{path}[{position}]")
