"""Answers that are none: the model gave up, and the provider calls it a success. They are the errors of their lines."""

import pytest

from app.connectors.contract.objects import JobResult
from app.lib import json
from app.services.lines import dialects as line_dialects
from app.translate import dialects
from app.translate.chat import answers as chat_answers
from app.translate.converse import answers as converse_answers
from app.translate.errors import AbortedAnswerError
from app.translate.gemini import answers as gemini_answers
from app.translate.responses.answers import from_chat

ENDPOINTS = (dialects.CHAT, dialects.MESSAGES, dialects.RESPONSES)


def gemini(*candidates):
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 9}
    return gemini_answers.read({"candidates": list(candidates), "usageMetadata": usage})


def candidate(reason, *parts, **more):
    return {"finishReason": reason, "content": {"role": "model", "parts": list(parts)}, **more}


def nova(reason, *blocks):
    message = {"role": "assistant", "content": list(blocks)}
    return converse_answers.read({"output": {"message": message}, "stopReason": reason, "usage": {"inputTokens": 7}})


def chat(reason, content="Hal"):
    message = {"role": "assistant", "content": content}
    return chat_answers.read({"choices": [{"message": message, "finish_reason": reason}], "usage": {}})


# (answer, what its message names).
ABORTED = {
    "a malformed call": (gemini(candidate("MALFORMED_FUNCTION_CALL")), "MALFORMED_FUNCTION_CALL"),
    "a malformed call, explained": (
        gemini(candidate("MALFORMED_FUNCTION_CALL", finishMessage="print(weather(city='Oslo'")),
        "MALFORMED_FUNCTION_CALL instead of an answer: print(weather",
    ),
    "a malformed call after words": (gemini(candidate("MALFORMED_FUNCTION_CALL", {"text": "Let me"})), "MALFORMED"),
    "a call of no tool": (gemini(candidate("UNEXPECTED_TOOL_CALL")), "UNEXPECTED_TOOL_CALL"),
    "too many calls": (gemini(candidate("TOO_MANY_TOOL_CALLS")), "TOO_MANY_TOOL_CALLS"),
    "no image": (gemini(candidate("NO_IMAGE")), "NO_IMAGE"),
    "no signature": (gemini(candidate("MISSING_THOUGHT_SIGNATURE")), "MISSING_THOUGHT_SIGNATURE"),
    "a malformed answer": (gemini(candidate("MALFORMED_RESPONSE", {"text": "{"})), "MALFORMED_RESPONSE"),
    "nothing, for other reasons": (gemini(candidate("OTHER")), "OTHER"),
    "thoughts only, for a new reason": (gemini(candidate("TIRED", {"text": "Hm", "thought": True})), "TIRED"),
    "no language": (gemini({"finishReason": "LANGUAGE"}), "LANGUAGE"),
    "a malformed use of Nova": (nova("malformed_tool_use", {"text": "<"}), "malformed_tool_use"),
    "a malformed output of Nova": (nova("malformed_model_output"), "malformed_model_output"),
    "a new reason of Nova": (nova("gave_up"), "gave_up"),
    "an error of a server": (chat("error"), "finish_reason error"),
    "an abort of a server": (chat("abort"), "finish_reason abort"),
}


@pytest.mark.parametrize(("answer", "text"), ABORTED.values(), ids=ABORTED)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_aborted_answer_is_the_error_of_its_line(answer, text, endpoint):
    result = line_dialects.incoming(
        JobResult("one", 200, answer=answer, usage=answer.usage),
        endpoint=endpoint,
        target=endpoint,
        request=lambda: {"model": "m"},
        answer_id="a",
        model="m",
        now_s=1,
    )

    assert (result.status_code, result.error_code) == (None, "aborted_answer")
    assert text in result.message
    assert result.usage == answer.usage, "what was used is charged"


# (answer, its text, its finish reason).
ANSWERED = {
    "the end": (gemini(candidate("STOP", {"text": "Hi"})), "Hi", "stop"),
    "nothing, at its end": (gemini(candidate("STOP")), "", "stop"),
    "no reason": (gemini({"content": {"parts": []}}), "", "stop"),
    "blocked": (gemini(candidate("SAFETY")), "", "content_filter"),
    "an image that is not shown": (gemini(candidate("IMAGE_SAFETY")), "", "content_filter"),
    "cut": (gemini(candidate("MAX_TOKENS")), "", "length"),
    "words, and another reason": (gemini(candidate("OTHER", {"text": "Hi"})), "Hi", "stop"),
    "one of two": (gemini(candidate("NO_IMAGE"), candidate("STOP", {"text": "Hi"})), "Hi", "stop"),
    "Nova's guardrail": (nova("guardrail_intervened"), "", "content_filter"),
    "words, and a new reason of Nova": (nova("gave_up", {"text": "Hi"}), "Hi", "stop"),
}


@pytest.mark.parametrize(("answer", "text", "finish"), ANSWERED.values(), ids=ANSWERED)
def test_other_answers_stay_answers(answer, text, finish):
    body = dialects.write_answer(dialects.CHAT, answer, request={}, answer_id="a", model="m", now_s=1)

    [choice] = body["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (text, finish)


def test_an_aborted_answer_is_no_response():
    body = {"choices": [{"message": {"role": "assistant", "content": "Hal"}, "finish_reason": "error"}]}

    with pytest.raises(AbortedAnswerError, match="finish_reason error"):
        from_chat(body, request={}, response_id="resp_1", now_s=1)


@pytest.mark.parametrize("arguments", [{"city": "Oslo"}, {}])
def test_a_call_of_the_answering_tool_is_the_answer(arguments):
    call = {"functionCall": {"name": "batchgate_answer", "args": arguments}}
    answer = gemini(candidate("STOP", {"text": "Here:"}, call))
    body = dialects.write_answer(dialects.CHAT, answer, request={}, answer_id="a", model="m", now_s=1)

    [choice] = body["choices"]
    assert json.loads(choice["message"]["content"]) == arguments
    assert (choice["finish_reason"], "tool_calls" in choice["message"]) == ("stop", False)
    assert choice["message"]["reasoning_content"] == "Here:"


def passed(body):
    """The result of a chat that no dialect had to translate."""
    return line_dialects.incoming(
        JobResult("one", 200, body=body),
        endpoint=dialects.CHAT,
        target=dialects.CHAT,
        request=dict,
        answer_id="a",
        model="m",
        now_s=1,
    )


def chat_body(reason, content, *, usage):
    message = {"role": "assistant", "content": content}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage})


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_an_aborted_answer_of_an_openai_shaped_server_is_the_error_of_its_line(reason):
    result = passed(chat_body(reason, "Hal", usage={"prompt_tokens": 7, "completion_tokens": 2}))

    assert (result.status_code, result.error_code) == (None, "aborted_answer")
    assert result.usage.input_tokens == 7


@pytest.mark.parametrize("content", ['{"finish_reason":"error"}', '"error"', "error", None])
def test_other_answers_of_an_openai_shaped_server_pass_unchanged(content):
    body = chat_body("stop", content, usage={})

    assert passed(body).body == body
