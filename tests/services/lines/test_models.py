"""Every place in which a line can name a model, against the models that its key may use."""

from typing import Any

import pytest

from app.services.lines.models import LineModels, named
from app.services.lines.rules import Finding, LineFacts

SAID = {"messages": [{"role": "user", "content": "hello"}]}


def check(body: dict[str, Any], *, override: str | None = None) -> Finding | None:
    models = LineModels(["cheap*"], "openrouter", override)
    return models.check(LineFacts("a", "/v1/chat/completions", body.get("model"), {**SAID, **body}), number=3)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "model": ({"model": "dear"}, "body.model"),
    "in another case": ({"model": "cheap", "Model": "dear"}, "body.Model"),
    "in capitals": ({"model": "cheap", "MODEL": "dear"}, "body.MODEL"),
    "a list": ({"model": "cheap", "models": ["cheap-1", "dear"]}, "body.models"),
    "a list in another case": ({"model": "cheap", "Models": ["dear"]}, "body.Models"),
    "no list": ({"model": "cheap", "models": "dear"}, "body.models"),
    "fallbacks by name": ({"model": "cheap", "fallbacks": ["dear"]}, "body.fallbacks"),
    "fallbacks as objects": ({"model": "cheap", "fallbacks": [{"model": "dear"}]}, "body.fallbacks[0].model"),
    "a preset": ({"model": "cheap", "preset": "dear"}, "body.preset"),
    "an adapter": ({"model": "cheap", "lora_adapter": "dear"}, "body.lora_adapter"),
    "a number of an adapter": ({"model": "cheap", "lora": [{"id": 7, "scale": 1.0}]}, "body.lora"),
    "an adapter's path": ({"model": "cheap", "lora_path": ["dear"]}, "body.lora_path"),
    "an adapter as an object": ({"model": "cheap", "lora_request": {"lora_name": "dear"}}, "body.lora_request"),
    "models of a router": ({"plugins": [{"id": "auto-router", "allowed_models": ["dear"]}]}, "allowed_models"),
    "a judge": ({"plugins": [{"judge_model": "dear"}]}, "body.plugins[0].judge_model"),
    "below parameters": ({"tools": [{"type": "x:advisor", "parameters": {"model": "dear"}}]}, "parameters.model"),
    "of a tool": ({"tools": [{"type": "image_generation", "model": "dear"}]}, "body.tools[0].model"),
    "of a tool within the input": (
        {"input": [{"type": "additional_tools", "tools": [{"type": "image_generation", "model": "dear"}]}]},
        "body.input[0].tools[0].model",
    ),
    "of a compound": ({"compound_custom": {"models": {"answering_model": "dear"}}}, "answering_model"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_every_model_of_a_line_is_checked(name: str) -> None:
    body, path = REFUSED[name]
    finding = check(body)
    assert finding is not None
    assert (finding.code, finding.line) == ("model_not_allowed", 3)
    assert str(finding.param).endswith(path)


ALLOWED: list[dict[str, Any]] = [
    {"model": "cheap", "models": ["cheap-1"], "fallbacks": [{"model": "cheap-2"}], "preset": None},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "model": "T"}]}]},
    {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": {"model": "T", "tools": ["x"]}}]}]},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"default": {"model": "T"}}}}]},
    {"tools": [{"name": "f", "input_schema": {"properties": {"model": {"type": "string"}}, "const": {"model": "T"}}}]},
    {"metadata": {"model": "T", "preset": "x"}},
    {"plugins": [{"id": "auto-router", "excluded_models": ["dear"], "pin_model": True}]},
]


@pytest.mark.parametrize("body", ALLOWED)
def test_words_of_the_callers_own_name_no_model(body: dict[str, Any]) -> None:
    assert check(body) is None


def test_what_replaces_the_model_replaces_no_other_name() -> None:
    assert check({"model": "dear"}, override="cheap") is None
    assert check({"model": "dear", "MODEL": "dear"}, override="cheap") is not None
    assert check({"model": "dear", "models": ["dear"]}, override="cheap") is not None
    assert list(named({"model": "a", "tools": [{"model": "b"}]}, has_override=True)) == [("body.tools[0].model", "b")]
