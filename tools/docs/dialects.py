"""docs/dialects.md, made by asking the writers of dialects: what becomes of each field of a chat completion."""

from collections.abc import Callable
from typing import Any

from app.translate.chat import requests
from app.translate.cohere import requests as cohere_requests
from app.translate.converse import families
from app.translate.errors import TranslationError
from app.translate.gemini import requests as gemini_requests
from app.translate.messages import requests as messages_requests
from app.translate.messages.settings import DEFAULT_MAX_TOKENS
from app.translate.neutral import Request, Written

HEAD = """# Dialects

Lines of OpenAI's chat completions at providers that speak another dialect. Made by `make docs`, which asks the code; a
test checks that it is current. `/v1/responses` lines are put as chats first, `/v1/messages` lines are read field by
field, like these.

- **yes**: said in the provider's dialect.
- **left out**: a hint that the dialect cannot give. The line runs, and names the field in `dropped_fields`
  (`GET /v1/batches/{id}/lines`, `v_lines`). So does a line with a field that nobody knows.
- **refused**: the answer would be another one without it. That line ends with status 400 and the field in `param`, and
  is never sent; the other lines run.

Numbers out of a dialect's bounds are brought within them (`temperature` above 1 at Anthropic), and Claude models, which
demand it, get `max_tokens` {max_tokens} where a line has none. At providers of OpenAI's shape lines go as they are.

"""
FOOT = """
A model may take less than its dialect has: newer Claude models no `temperature`, `top_p` and `top_k`, which are left
out then. Ids that a provider would not take as `custom_id` go as `bg-<line number>` and come back as they were.

## Embeddings

Texts go to Gemini, Vertex and Amazon Titan one by one, to Cohere's models 96 at a time, and come back as the one list
that the line asked for. `encoding_format` is done by the gateway. Tokens instead of text are refused. Cohere's models
want to know what texts are for: `input_type` of the line, else `search_document`.
"""

USER = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {}}}}
PNG = "data:image/png;base64,iVBORw0KGgo="


def _part(part: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "Look:"}, part]}]}


# What is asked for: a name for the table, and the fields of a body that has it.
FIELDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("system and developer messages", {"messages": [{"role": "system", "content": "Be brief."}, USER]}),
    ("images as data URI", _part({"type": "image_url", "image_url": {"url": PNG}})),
    ("images by URL", _part({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})),
    ("PDF files (`file_data`)", _part({"type": "file", "file": {"filename": "a.pdf", "file_data": "JVBERi0="}})),
    ("`input_audio`", _part({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}})),
    ("`tools`", {"tools": [TOOL]}),
    (
        "tool calls and their results",
        {
            "messages": [
                USER,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "1"},
            ],
            "tools": [TOOL],
        },
    ),
    ("`tool_choice: required`", {"tools": [TOOL], "tool_choice": "required"}),
    ("`tool_choice` of one tool", {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
    ("`tool_choice: none`", {"tools": [TOOL], "tool_choice": "none"}),
    ("`parallel_tool_calls: false`", {"tools": [TOOL], "parallel_tool_calls": False}),
    ("`response_format: json_schema`", {"response_format": SCHEMA}),
    ("`response_format: json_object`", {"response_format": {"type": "json_object"}}),
    ("`max_completion_tokens`, `max_tokens`", {"max_completion_tokens": 100}),
    ("`temperature`", {"temperature": 0.5}),
    ("`top_p`", {"top_p": 0.5}),
    ("`top_k`", {"top_k": 5}),
    ("`stop`", {"stop": ["END"]}),
    ("`n` above 1", {"n": 2}),
    ("`seed`", {"seed": 1}),
    ("`frequency_penalty`", {"frequency_penalty": 0.5}),
    ("`presence_penalty`", {"presence_penalty": 0.5}),
    ("`logprobs`", {"logprobs": True}),
    ("`logit_bias`", {"logit_bias": {"1": 5}}),
    ("`reasoning_effort`", {"reasoning_effort": "low"}),
    ("`verbosity`", {"verbosity": "low"}),
    ("`prediction`", {"prediction": {"type": "content", "content": "a"}}),
    ("`modalities` with audio", {"modalities": ["text", "audio"]}),
    ("`user`, `safety_identifier`", {"user": "u"}),
    ("`service_tier`", {"service_tier": "flex"}),
    ("`metadata`", {"metadata": {"a": "b"}}),
    ("`store`", {"store": True}),
)


def _bedrock(model: str, mode: str = "invoke") -> Callable[[Request], Written]:
    return families.family(model, mode=mode).write


# (title, a model, what writes its dialect)
TARGETS: tuple[tuple[str, str, Callable[[Request], Written]], ...] = (
    ("Anthropic", "claude-sonnet-4-5", messages_requests.write),
    ("Bedrock Claude", "anthropic.claude-sonnet-4-5-v1:0", _bedrock("anthropic.claude-sonnet-4-5-v1:0")),
    ("Bedrock Nova", "amazon.nova-pro-v1:0", _bedrock("amazon.nova-pro-v1:0")),
    ("Bedrock Converse", "amazon.nova-pro-v1:0", _bedrock("amazon.nova-pro-v1:0", "converse")),
    ("Bedrock Llama", "meta.llama3-1-70b-instruct-v1:0", _bedrock("meta.llama3-1-70b-instruct-v1:0")),
    ("Bedrock OpenAI-shaped", "openai.gpt-oss-120b-1:0", _bedrock("openai.gpt-oss-120b-1:0")),
    ("Gemini", "gemini-2.5-flash", gemini_requests.write),
    ("Vertex Gemini", "gemini-2.5-flash", lambda request: gemini_requests.write(request, flavour="vertex")),
    ("Vertex Claude", "claude-sonnet-4-5", lambda request: messages_requests.write(request, flavour="vertex")),
    ("Cohere", "command-a-03-2025", cohere_requests.write),
)


def render() -> str:
    """The page as Markdown."""
    titles = [title for title, _, _ in TARGETS]
    rows = ["| | " + " | ".join(titles) + " |\n", "|---" * (len(titles) + 1) + "|\n"]
    for name, fields in FIELDS:
        words = [fate(fields, model, write) for _, model, write in TARGETS]
        rows.append(f"| {name} | " + " | ".join(words) + " |\n")
    return "".join([HEAD.replace("{max_tokens}", str(DEFAULT_MAX_TOKENS)), *rows, FOOT])


def fate(fields: dict[str, Any], model: str, write: Callable[[Request], Written]) -> str:
    """What becomes of a line with these fields: yes, left out or refused."""
    try:
        written = write(requests.read({"model": model, "messages": [USER], **fields}))
    except TranslationError:
        return "refused"
    return "left out" if written.dropped else "yes"
