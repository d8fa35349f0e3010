"""Every line of the corpus in every dialect: either a complete body that the provider's SDK accepts, or a rejection of
the field that the table here names.
"""

from typing import Any

import orjson
import pytest

from app.translate import dialects
from app.translate.cohere import embeddings
from app.translate.errors import TranslationError
from app.translate.gemini import embeddings as gemini_embeddings
from tests.translate.corpus import BOTH, EMBEDDINGS, LINES
from tests.translate.targets import DIALECTS, leaves

ARGUMENTS = "messages.tool_calls.function.arguments"
CALLS = (
    "calls and results",
    "calls, results, and on",
    "words with a call",
    "a result in parts",
    "a result that is JSON",
    "results in another order",
    "a result of no call",
    "response with tools",
    "message with tools",
    "message with a failed tool",
)
OFFERS = (
    "tools",
    "tools, one demanded",
    "tools, any demanded",
    "tools, some allowed",
    "tools, one after the other",
    "a strict tool",
    "a deep tool",
)
IMAGES = (
    "an image in base64",
    "an image in detail",
    "two images",
    "response with an image",
    "message with an image",
)
SCHEMAS = ("a schema", "a deep schema", "response with a schema")
EMPTY = {"nothing but an empty text": "messages"}
BROKEN = {"a call with broken arguments": ARGUMENTS}
ONE_ANSWER = {"three candidates": "n"}
NO_SOUND = {"a sound": "messages"}
PDF_BY_URL = {"message with a PDF by URL": "messages"}
NO_ADDRESSES = {"an image by URL": "messages", **PDF_BY_URL}
CLAUDE = EMPTY | BROKEN | ONE_ANSWER | NO_SOUND
NO_CALLS = dict.fromkeys(CALLS, "messages") | dict.fromkeys(OFFERS, "tools")
GEMINI = EMPTY | BROKEN | {"a result of no call": "messages.tool_call_id", "many stops": "stop"}
COHERE = ONE_ANSWER | NO_SOUND | PDF_BY_URL | {"a PDF": "messages"}
DEMANDED = ("tools, one demanded", "tools, any demanded", "message with tools")
# By dialect: the lines that it rejects, and the field that the error names.
REFUSED: dict[str, dict[str, str]] = {
    "chat": PDF_BY_URL,
    "anthropic": CLAUDE,
    "vertex claude": CLAUDE | NO_ADDRESSES,
    "bedrock claude": CLAUDE | NO_ADDRESSES,
    "bedrock nova": CLAUDE | NO_ADDRESSES,
    "bedrock converse": CLAUDE | NO_ADDRESSES | NO_CALLS,
    "bedrock openai": PDF_BY_URL,
    "bedrock llama": {
        **(EMPTY | NO_CALLS | ONE_ANSWER | NO_SOUND | NO_ADDRESSES),
        **dict.fromkeys((*IMAGES, "a PDF", "a call with broken arguments"), "messages"),
        **dict.fromkeys(SCHEMAS, "response_format"),
    },
    "gemini": GEMINI,
    "gemini 3": GEMINI,
    "vertex": GEMINI,
    "cohere": {
        **COHERE,
        **dict.fromkeys((*SCHEMAS, "any JSON"), "response_format"),
        **dict.fromkeys(DEMANDED, "tool_choice"),
    },
    "cohere line": COHERE | {"many stops": "stop"},
}
CAN_FORBID = ("chat", "anthropic", "vertex claude", "bedrock claude", "gemini", "gemini 3", "vertex", "bedrock openai")
# Allowed by the types; the provider rejects them.
REFUSED_THERE = {("a result of no call", name) for name in ("anthropic", "vertex claude", "bedrock claude")}
# With `tool_choice: none`, dialects without such a choice leave out the tools.
UNOFFERED: dict[tuple[str, str], set[str]] = {
    **{("tools, none wanted", name): {*leaves(BOTH)} for name in DIALECTS if name not in CAN_FORBID},
    ("tools, one demanded", "cohere line"): {*leaves(BOTH[1])},
    # Gemini 2 knows no ids of calls at Vertex.
    **{(name, "vertex"): {"call_1", "call_2", "toolu_1"} for name in CALLS},
}
# Members whose values are not the caller's text: types, locations of files, provider-specific values.
NO_TEXTS = frozenset(
    {
        *("type", "role", "format", "detail", "filename", "media_type", "cache_control", "thinking", "signature"),
        *("annotations", "strict", "summary", "additionalProperties"),
    }
)


@pytest.mark.parametrize("name", LINES)
def test_a_line_is_translated_completely_or_rejected_by_field(name):
    before = orjson.dumps(LINES[name])
    data = {dialect: _refused(name, dialect) for dialect in DIALECTS}
    assert data == {dialect: refused.get(name) for dialect, refused in REFUSED.items()}
    assert orjson.dumps(LINES[name]) == before, "what the caller sent is not touched"


def _refused(name: str, dialect: str) -> str | None:
    """Return the field that the dialect rejects, or None if the body is complete and valid to the SDK."""
    endpoint, body = LINES[name]
    target = DIALECTS[dialect]
    try:
        request = dialects.read_request(endpoint, body)
        request.model = target.model
        written = target.write(request)
    except TranslationError as refused:
        return refused.param
    if (name, dialect) not in REFUSED_THERE:
        target.checked(written.body)
    result = "\0".join(leaves(orjson.loads(orjson.dumps(written.body))))
    lost = {text for text in texts_of(body) if text.strip() not in result}
    assert lost <= UNOFFERED.get((name, dialect), set()), dialect
    return None


def test_the_table_names_existing_lines():
    assert len(LINES) >= 60
    assert REFUSED.keys() == DIALECTS.keys()
    assert {name for refused in REFUSED.values() for name in refused} <= LINES.keys()


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_every_embedding_text_is_sent(name):
    body = EMBEDDINGS[name]
    chat = [body["input"]] if isinstance(body["input"], str) else body["input"]
    request = dialects.read_embedding(body)
    assert request.inputs == chat
    texts = list(leaves([gemini_embeddings.write(text, request) for text in request.inputs]))
    assert [text for text in chat if text not in texts] == []
    if request.dimensions is None:
        texts = list(leaves([written.body for written in embeddings.write(request)]))
        assert [text for text in chat if text not in texts] == []
    else:
        with pytest.raises(TranslationError, match="dimensions: "):
            embeddings.write(request)


def texts_of(body: dict[str, Any]) -> list[str]:
    """The caller's content: messages, tools and the response schema."""
    request = [body.get(name) for name in ("messages", "input", "system", "instructions")]
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    form = (body.get("text") or {}).get("format", {}).get("schema")
    return [text for text in _texts([*request, body.get("tools"), schema, form]) if text.strip()]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value.partition(";base64,")[2] if value.startswith("data:") else value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if not isinstance(value, dict):
        return []
    result: list[str] = []
    for name, item in value.items():
        if name == "properties":
            result += list(item)
        if name == "arguments":
            result += [text for text in leaves(_parsed(item)) if text]
        elif name not in NO_TEXTS and not (name in ("id", "name") and ("summary" in value or "content" in value)):
            result += _texts(item)
    return result


def _parsed(arguments: str) -> Any:
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
