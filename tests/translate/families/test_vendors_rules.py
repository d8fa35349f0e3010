"""Lines of every kind at every model that ships: what is sent, the rules of the vendor accept, as the fakes know them.

A line may be refused before it is sent; nothing may be sent that the vendor refuses.
"""

import itertools
from typing import Any

import pytest

from app.translate.chat import requests
from app.translate.converse import families
from app.translate.errors import TranslationError
from app.translate.gemini import models as gemini_models
from app.translate.gemini import requests as gemini_requests
from app.translate.messages import models as claude_models
from app.translate.messages import requests as messages_requests
from app.translate.mistral import to_mistral
from tests.fakes import anthropic_messages, gemini_dialect, model_rules
from tests.translate.corpus import ANSWERED, ASKED, BOTH, CALLED, FORMAT, HELLO, PDF_DATA, PNG

FREE = {"type": "object", "properties": {"labels": {"type": "object"}, "n": {"type": "integer", "minimum": 1}}}
BOUNDED = {"type": "object", "properties": {"s": {"type": ["string", "null"], "maxLength": 5, "pattern": "^a"}}}
NESTED = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": BOUNDED}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF_DATA}"}}
SAID = {"role": "assistant", "content": "Rain."}


def tool(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}


HISTORIES: dict[str, list[Any]] = {
    "a question": [HELLO],
    "calls": [ASKED, CALLED, *ANSWERED],
    "calls, and on": [ASKED, CALLED, *ANSWERED, HELLO],
    "calls, answered": [ASKED, CALLED, *ANSWERED, SAID, {"role": "system", "content": "Be brief."}, HELLO],
    "a final answer": [HELLO, SAID],
    "media": [{"role": "user", "content": [{"type": "text", "text": "What?"}, PDF, PDF]}],
    "an image": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}],
}
TOOLS: dict[str, dict[str, Any]] = {
    "none": {},
    "two": {"tools": BOTH},
    "forbidden": {"tools": BOTH, "tool_choice": "none"},
    "demanded": {"tools": BOTH, "tool_choice": "required"},
    "free": {"tools": [tool(FREE)]},
    "bounded": {"tools": [tool(BOUNDED)]},
    "nested": {"tools": [tool(NESTED)]},
}
FORMATS: dict[str, dict[str, Any]] = {
    "text": {},
    "any JSON": {"response_format": {"type": "json_object"}},
    "strict": {"response_format": FORMAT},
    "free": {"response_format": form(FREE)},
    "bounded": {"response_format": form(BOUNDED)},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "effort": {"reasoning_effort": "high"},
    "no effort": {"reasoning_effort": "none"},
    "least effort": {"reasoning_effort": "minimal", "user": "ada@example.com"},
    "sampling": {"temperature": 0.5, "frequency_penalty": 0.5, "presence_penalty": 0.5, "top_k": 3},
}
KINDS = list(itertools.product(HISTORIES.values(), TOOLS.values(), FORMATS.values(), SETTINGS.values()))
GEMINI = [
    *("gemini-2.0-flash", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview"),
    *("gemini-3.1-pro-preview", "gemini-3-flash-preview", "gemini-3.5-flash-lite", "gemini-3.6-flash"),
    *("gemini-3.7-flash", "gemini-3.8-flash"),
]
CLAUDE = [model for _, model in claude_models.SHIPPED]


def accepted(write: Any, check: Any, model: str) -> int:
    """How many kinds of lines are sent; the others are refused before."""
    count = 0
    for messages, *rest in KINDS:
        line: dict[str, Any] = {"model": model, "messages": messages}
        for fields in rest:
            line |= fields
        try:
            body = write(line)
        except TranslationError:
            continue
        check(body)
        count += 1
    return count


@pytest.mark.parametrize("flavour", ["gemini", "vertex"])
@pytest.mark.parametrize("model", GEMINI)
def test_gemini_accepts_what_is_sent(model: str, flavour: Any) -> None:
    def check(body: Any) -> None:
        gemini_dialect.to_chat(body, model)
        model_rules.gemini(body, model, vertex=flavour == "vertex")

    def write(line: Any) -> Any:
        return gemini_requests.write(requests.read(line), flavour=flavour, in_batch=flavour == "gemini").body

    assert accepted(write, check, model) > len(KINDS) // 2


@pytest.mark.parametrize("flavour", ["anthropic", "bedrock", "vertex"])
@pytest.mark.parametrize("model", CLAUDE)
def test_claude_accepts_what_is_sent(model: str, flavour: Any) -> None:
    def check(body: Any) -> None:
        anthropic_messages.chat_of({"model": model, **body})
        if flavour == "bedrock":
            model_rules.bedrock_claude({"model": model, **body})

    def write(line: Any) -> Any:
        return messages_requests.write(requests.read(line), flavour=flavour).body

    assert accepted(write, check, model) > len(KINDS) // 4


@pytest.mark.parametrize("model", ["amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0", "amazon.nova-2-lite-v1:0"])
def test_nova_accepts_what_is_sent(model: str) -> None:
    def write(line: Any) -> Any:
        return families.family(model).write(requests.read(line)).body

    assert accepted(write, lambda body: model_rules.nova(body, model), model) > len(KINDS) // 2


@pytest.mark.parametrize("model", ["mistral-small-latest", "magistral-medium-latest"])
def test_mistral_accepts_what_is_sent(model: str) -> None:
    assert accepted(to_mistral, lambda body: model_rules.mistral(body["messages"]), model) == len(KINDS)


def test_every_row_of_the_table_of_gemini_is_tried() -> None:
    tried = {gemini_models.traits(model) for model in GEMINI}
    assert {row.traits for row in gemini_models.ROWS if row.traits.output == "text"} <= tried
