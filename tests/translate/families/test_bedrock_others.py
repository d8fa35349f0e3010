"""What other models take and refuse at Bedrock, by Amazon's pages and what its servers answer.

- OpenAI's and others' chats: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html; the
  fields that the server names: https://github.com/BerriAI/litellm/issues/13959 ("unknown field, expected one of")
- Llama: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html
- Mistral's text models: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-text-completion.html
"""

import pytest

from app.translate.chat import requests
from app.translate.converse import families
from app.translate.errors import TranslationError

HELLO = [{"role": "user", "content": "Hello"}]
GPT_OSS, QWEN = "openai.gpt-oss-120b-1:0", "qwen.qwen3-32b-v1:0"
LLAMA_3, LLAMA_4, MISTRAL_TEXT = (
    "meta.llama3-1-70b-instruct-v1:0",
    "us.meta.llama4-maverick-17b-instruct-v1:0",
    "mistral.mistral-7b-instruct-v0:2",
)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}}}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = [
    *HELLO,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "1"},
]
KNOWN = frozenset(
    {
        *("messages", "model", "store", "reasoning_effort", "metadata", "frequency_penalty", "logit_bias", "logprobs"),
        *("top_logprobs", "max_tokens", "max_completion_tokens", "n", "modalities", "prediction", "audio"),
        *("presence_penalty", "response_format", "seed", "service_tier", "stop", "stream", "stream_options"),
        *("temperature", "top_p", "tools", "tool_choice", "parallel_tool_calls", "user", "function_call", "functions"),
    }
)


def written(model, *, messages=HELLO, **fields):
    return families.family(model).write(requests.read({"model": model, "messages": messages, **fields}))


# (model, fields, what the model gets, dropped fields).
SETTINGS = {
    "what both know": (
        GPT_OSS,
        {"temperature": 0.5, "seed": 1, "frequency_penalty": 0.5, "n": 2},
        {"temperature": 0.5, "seed": 1, "frequency_penalty": 0.5, "n": 2},
        [],
    ),
    "what the server does not know": (GPT_OSS, {"top_k": 5, "verbosity": "low"}, {}, ["top_k", "verbosity"]),
    "the same at another model": (QWEN, {"top_k": 5, "verbosity": "low"}, {}, ["top_k", "verbosity"]),
    "effort": (GPT_OSS, {"reasoning_effort": "medium"}, {"reasoning_effort": "medium"}, []),
    "least effort": (GPT_OSS, {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}, []),
    "no effort": (GPT_OSS, {"reasoning_effort": "none"}, {"reasoning_effort": "low"}, ["reasoning_effort"]),
    "most effort": (GPT_OSS, {"reasoning_effort": "max"}, {"reasoning_effort": "high"}, []),
    "Llama": (
        LLAMA_3,
        {"max_tokens": 5, "temperature": 0.5, "top_p": 0.5},
        {"max_gen_len": 5, "temperature": 0.5, "top_p": 0.5},
        [],
    ),
    "Llama, hints": (LLAMA_4, {"stop": ["END"], "seed": 1, "top_k": 3}, {}, ["stop", "seed", "top_k"]),
    "Llama, any JSON": (LLAMA_3, {"response_format": {"type": "json_object"}}, {}, ["response_format"]),
    "Mistral's text": (MISTRAL_TEXT, {"top_k": 3, "stop": ["END"]}, {"top_k": 3, "stop": ["END"]}, []),
    "Mistral's text, hints": (MISTRAL_TEXT, {"seed": 1, "presence_penalty": 1}, {}, ["seed", "presence_penalty"]),
}


@pytest.mark.parametrize(("model", "fields", "expected", "dropped"), SETTINGS.values(), ids=SETTINGS)
def test_settings_are_sent_or_listed(model, fields, expected, dropped):
    output = written(model, **fields)

    assert {name: value for name, value in output.body.items() if name not in ("messages", "prompt")} == expected
    assert output.dropped == dropped
    assert "prompt" in output.body or set(output.body) <= KNOWN


REFUSED = {
    "Llama, tools": (LLAMA_3, {"tools": [TOOL]}, "tools"),
    "Llama, a history of calls": (LLAMA_4, {"messages": CALLED}, "messages"),
    "Llama, a schema": (LLAMA_3, {"response_format": SCHEMA}, "response_format"),
    "Llama, an image": (LLAMA_4, {"messages": [{"role": "user", "content": [PNG]}]}, "messages"),
    "Llama, its own token": (LLAMA_3, {"messages": [{"role": "user", "content": "<|eot_id|>"}]}, "messages"),
    "Llama, several answers": (LLAMA_3, {"n": 2}, "n"),
    "Mistral's text, tools": (MISTRAL_TEXT, {"tools": [TOOL]}, "tools"),
    "Mistral's text, a final answer": (
        MISTRAL_TEXT,
        {"messages": [*HELLO, {"role": "assistant", "content": "Hi"}]},
        "messages",
    ),
    "Mistral's text, its own token": (MISTRAL_TEXT, {"messages": [{"role": "user", "content": "[/INST]"}]}, "messages"),
    "sound in the answer": (GPT_OSS, {"modalities": ["text", "audio"]}, "modalities"),
    "chats at a model of vectors": ("amazon.titan-embed-text-v2:0", {}, "model"),
}


@pytest.mark.parametrize(("model", "fields", "param"), REFUSED.values(), ids=REFUSED)
def test_what_the_model_cannot_do_is_refused_before_sending(model, fields, param):
    with pytest.raises(TranslationError) as refused:
        written(model, **fields)
    assert refused.value.param == param


def test_a_history_of_calls_needs_no_tools():
    assert "tools" not in written(GPT_OSS, messages=CALLED).body
