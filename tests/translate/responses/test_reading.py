"""Responses are read as what they were written from."""

from random import Random
from typing import Any

import pytest

from app.translate.chat.answers import read as read_chat
from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import Refusal, Thinking, ToolCall
from app.translate.responses.answers import from_chat
from app.translate.responses.reading import read
from tests.support.mutations import mutated


def chat(finish: str = "stop", **message: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    details = {
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "c", "created": 7, "model": "m", "choices": [choice], "usage": usage | details}


def written(body: dict[str, Any]) -> dict[str, Any]:
    return from_chat(body, request={"model": "m"}, response_id="resp_1", now_s=8)


@pytest.mark.parametrize(
    "body",
    [
        chat(content="hello"),
        chat("length", content="hel"),
        chat("content_filter", content="no", refusal="I will not."),
        chat(content="seven", reasoning_content="3 + 4"),
        chat(
            "tool_calls",
            content=None,
            tool_calls=[{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        ),
    ],
)
def test_what_was_a_chat_answer_is_read_as_one(body: dict[str, Any]) -> None:
    ours, wanted = read(written(body)), read_chat(body)
    assert ours.choices[0].parts == wanted.choices[0].parts
    assert ours.choices[0].finish == wanted.choices[0].finish
    assert (ours.usage, ours.model, ours.created) == (wanted.usage, "m", 7)


def test_what_only_responses_have_is_left_out() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}}
    message = {"type": "message", "content": [{"type": "output_text", "text": "x", "annotations": [{}]}]}
    summary = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "why"}]}
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    answer = read({"output": [search, summary, message, refusal, call]})
    assert answer.choices[0].parts == [Thinking("why"), "x", Refusal("no"), ToolCall("c", "f", "{}")]
    assert answer.choices[0].finish == "tool_calls"


def test_nonsense_is_refused_or_read() -> None:
    random = Random(1)
    body = written(chat(content="hello", reasoning_content="why", refusal="no"))
    for _ in range(2000):
        try:
            read(mutated(random, body))
        except UnexpectedAnswerError:
            continue
