"""Answers that a provider writes as a text of JSON in its rows of results: they are read, and their tokens counted."""

import orjson
import pytest

from app.connectors.providers.anthropic import shapes as anthropic
from app.connectors.providers.bedrock import shapes as bedrock
from app.connectors.providers.fireworks import shapes as fireworks
from app.connectors.providers.mistral import _result as mistral
from app.connectors.providers.openai import results as openai
from app.connectors.providers.openrouter import shapes as openrouter
from app.connectors.providers.together import _result as together
from app.connectors.providers.xai import _result as xai
from app.connectors.shared import parsing
from app.translate.messages import answers

BODY = {
    "id": "c",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}
MESSAGE = {
    "id": "m",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 4},
}
TEXT, SAID = orjson.dumps(BODY).decode(), orjson.dumps(MESSAGE).decode()
ROW = {"custom_id": "a", "response": {"status_code": 200, "body": TEXT}}
WHOLE = {"custom_id": "a", "response": orjson.dumps({"status_code": 200, "body": TEXT}).decode()}
XAI = {"batch_request_id": "a", "batch_result": {"response": {"chat_get_completion": TEXT}}}
ANTHROPIC = orjson.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": SAID}})
BEDROCK = orjson.dumps({"recordId": "a", "modelOutput": SAID})
READS = {
    "openai": lambda: openai.result(orjson.dumps(ROW), 1),
    "openai, the whole response": lambda: openai.result(orjson.dumps(WHOLE), 1),
    "mistral": lambda: mistral(orjson.dumps(ROW), 1, chat=True),
    "together": lambda: together(orjson.dumps(ROW), 1),
    "fireworks": lambda: fireworks.result(orjson.dumps({"custom_id": "a", "response": TEXT})),
    "fireworks, wrapped": lambda: fireworks.result(orjson.dumps(ROW)),
    "openrouter": lambda: openrouter.result(ROW),
    "xai": lambda: xai(XAI),
    "anthropic": lambda: anthropic.result(ANTHROPIC, ended_at_s=None, untouched=False),
    "anthropic, untouched": lambda: anthropic.result(ANTHROPIC, ended_at_s=None, untouched=True),
    "bedrock": lambda: bedrock.result(BEDROCK, 1, lambda value: answers.read(value, created=None)),
}


@pytest.mark.parametrize("case", READS)
def test_a_body_that_is_json_in_a_text_is_read_and_counted(case):
    result = READS[case]()

    assert (result.custom_id, result.status_code, result.usage.total_tokens) == ("a", 200, 7)
    assert result.answer is not None or isinstance(orjson.loads(result.body), dict)


def test_an_error_in_a_text_keeps_its_status_and_words():
    error = orjson.dumps({"error": {"message": "Too long.", "type": "t", "code": "c"}}).decode()
    result = openai.result(orjson.dumps({"custom_id": "a", "response": {"status_code": 400, "body": error}}), 1)

    assert (result.status_code, orjson.loads(result.body)["error"]["message"]) == (400, "Too long.")


@pytest.mark.parametrize("value", ["text", "", "[1]", "{not json", "17", None, 17, [], {"a": 1}])
def test_what_is_no_object_in_a_text_stays_as_it_is(value):
    assert parsing.unquoted(value) == value
