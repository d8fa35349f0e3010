"""Finish reasons of compatible servers: callers get OpenAI's words only."""

import orjson
import pytest

from app.connectors.contract.objects import JobResult
from app.services.lines import dialects
from app.translate.dialects import CHAT, MESSAGES, RESPONSES

WORDS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "function_call",
    "content_filter": "content_filter",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "STOP": "stop",
    "stop_sequence": "stop",
    "new word": "stop",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "safety": "content_filter",
    "SAFETY": "content_filter",
    "recitation": "content_filter",
}


def came(reason: str, *, endpoint: str = CHAT, text: str = "Hi") -> JobResult:
    """A chat completion with this finish reason, as a line of `endpoint` gets it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    body = {"id": "c", "choices": [choice, choice], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    result = JobResult("a", 200, body=orjson.dumps(body, option=orjson.OPT_INDENT_2))
    if not dialects.needs_reading(result.body, endpoint, CHAT):
        return result
    words = {"answer_id": "x", "model": "m", "now_s": 1}
    return dialects.incoming(result, endpoint=endpoint, target=CHAT, request=dict, **words)  # type: ignore[arg-type]


@pytest.mark.parametrize(("reason", "expected"), WORDS.items())
def test_chats_have_openais_words(reason: str, expected: str) -> None:
    body = orjson.loads(came(reason).body)
    assert [choice["finish_reason"] for choice in body["choices"]] == [expected, expected]
    assert (body["id"], body["choices"][0]["message"]["content"]) == ("c", "Hi")


@pytest.mark.parametrize(("reason", "expected"), [(reason, word) for reason, word in WORDS.items() if word == "length"])
def test_other_dialects_learn_that_an_answer_was_cut(reason: str, expected: str) -> None:
    assert orjson.loads(came(reason, endpoint=MESSAGES).body)["stop_reason"] == "max_tokens"
    assert orjson.loads(came(reason, endpoint=RESPONSES).body)["status"] == "incomplete"


def test_texts_that_look_like_a_finish_reason_stay() -> None:
    text = '{"finish_reason": "eos"}'
    body = orjson.loads(came("eos", text=text).body)
    assert body["choices"][0]["message"]["content"] == text
    assert not dialects.needs_reading(orjson.dumps({"x": text}), CHAT, CHAT)


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_an_answer_that_was_given_up_is_an_error(reason: str) -> None:
    assert came(reason).error_code == "aborted_answer"
