"""Answers of every dialect keep their content in OpenAI's and Anthropic's dialects, and are valid to their SDKs."""

import base64
from typing import Any

import orjson
import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from app.translate import dialects
from app.translate.chat import answers as chat_answers
from app.translate.cohere import answers as cohere_answers
from app.translate.converse import answers as converse_answers
from app.translate.gemini import answers as gemini_answers
from app.translate.messages import answers as messages_answers
from app.translate.neutral import Answer, Choice, EmbeddingAnswer, Refusal, Thinking, ToolCall, Usage

TEXT = st.text(min_size=1, max_size=12)
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
ARGUMENTS = st.dictionaries(NAME, st.text(max_size=5) | st.integers(-9, 9) | st.booleans() | st.none(), max_size=3)
COUNT = st.integers(0, 10**6)


@st.composite
def choices(draw):
    calls = [ToolCall(f"call_{n}", draw(NAME), draw(ARGUMENTS)) for n in range(draw(st.integers(0, 3)))]
    texts = draw(st.lists(TEXT, max_size=3)) or ([] if calls else ["x"])
    finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "content_filter"]))
    return Choice([*texts, *calls], finish)


@st.composite
def answers(draw, *, most=1):
    given, written = draw(COUNT), draw(COUNT)
    usage = Usage(given, draw(st.integers(0, given)), written, draw(st.integers(0, written)), given + written)
    return Answer(draw(st.lists(choices(), min_size=1, max_size=most)), usage, "id-1", "some-model", 1_700_000_000)


def texts_of(choice: Choice) -> str:
    return "".join(part for part in choice.parts if isinstance(part, str))


def calls_of(choice: Choice) -> list[tuple[str, str, Any]]:
    result = []
    for part in choice.parts:
        if isinstance(part, ToolCall):
            given = part.arguments
            result.append((part.id, part.name, orjson.loads(given) if isinstance(given, str) else given))
    return result


def as_chat(answer: Answer) -> Any:
    usage = answer.usage
    data = []
    for number, choice in enumerate(answer.choices):
        calls = [
            {"id": name, "type": "function", "function": {"name": f, "arguments": orjson.dumps(a).decode()}}
            for name, f, a in calls_of(choice)
        ]
        message = {"role": "assistant", "content": texts_of(choice) or None, **({"tool_calls": calls} if calls else {})}
        data.append({"index": number, "message": message, "finish_reason": choice.finish})
    return {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": data,
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        },
    }


def as_message(answer: Answer) -> Any:
    [choice], usage = answer.choices, answer.usage
    reasons = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
    content = [{"type": "text", "text": part} for part in choice.parts if isinstance(part, str)]
    content += [{"type": "tool_use", "id": name, "name": f, "input": a} for name, f, a in calls_of(choice)]
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": reasons[choice.finish],
        "usage": {
            "input_tokens": usage.input_tokens - usage.cached_tokens,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        },
    }


def as_gemini(answer: Answer) -> Any:
    usage = answer.usage
    reasons = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
    data = []
    for number, choice in enumerate(answer.choices):
        parts: list[Any] = [{"text": part} for part in choice.parts if isinstance(part, str)]
        parts += [{"functionCall": {"id": name, "name": f, "args": a}} for name, f, a in calls_of(choice)]
        content = {"role": "model", "parts": parts}
        data.append({"index": number, "content": content, "finishReason": reasons[choice.finish]})
    return {
        "responseId": answer.id,
        "modelVersion": answer.model,
        "createTime": "2023-11-14T22:13:20Z",
        "candidates": data,
        "usageMetadata": {
            "promptTokenCount": usage.input_tokens,
            "cachedContentTokenCount": usage.cached_tokens,
            "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
            "thoughtsTokenCount": usage.reasoning_tokens,
            "totalTokenCount": usage.total_tokens,
        },
    }


def as_converse(answer: Answer) -> Any:
    [choice], usage = answer.choices, answer.usage
    reasons = {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "content_filter": "content_filtered",
    }
    content: list[Any] = [{"text": part} for part in choice.parts if isinstance(part, str)]
    content += [{"toolUse": {"toolUseId": name, "name": f, "input": a}} for name, f, a in calls_of(choice)]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reasons[choice.finish],
        "usage": {
            "inputTokens": usage.input_tokens - usage.cached_tokens,
            "cacheReadInputTokens": usage.cached_tokens,
            "outputTokens": usage.output_tokens,
            "totalTokens": usage.total_tokens,
        },
    }


def as_cohere(answer: Answer) -> Any:
    [choice], usage = answer.choices, answer.usage
    reasons = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}
    calls = [
        {"id": name, "type": "function", "function": {"name": f, "arguments": orjson.dumps(a).decode()}}
        for name, f, a in calls_of(choice)
    ]
    content = [{"type": "text", "text": part} for part in choice.parts if isinstance(part, str)]
    return {
        "id": answer.id,
        "message": {"role": "assistant", "content": content or None, "tool_calls": calls or None},
        "finish_reason": reasons[choice.finish],
        "usage": {
            "tokens": {"input_tokens": float(usage.input_tokens), "output_tokens": float(usage.output_tokens)},
            "cached_tokens": float(usage.cached_tokens),
        },
    }


# How an answer is written and read, the maximum number of candidates, and what the dialect omits.
ANSWERS = {
    "chat": (as_chat, chat_answers.read, 3, ()),
    "messages": (as_message, messages_answers.read, 1, ("created",)),
    "gemini": (as_gemini, gemini_answers.read, 3, ()),
    "converse": (as_converse, converse_answers.read, 1, ("created", "id", "model", "reasoning")),
    "cohere": (as_cohere, cohere_answers.read, 1, ("created", "model", "reasoning")),
}


@pytest.mark.parametrize("dialect", ANSWERS)
@given(data=st.data())
def test_an_answer_keeps_its_content_from_every_dialect(dialect, data):
    encode, read, max_candidates, omitted = ANSWERS[dialect]
    answer = data.draw(answers(most=max_candidates))
    if dialect == "cohere" and answer.choices[0].finish == "content_filter":
        answer.choices[0].finish = "stop"
    result = read(encode(answer))
    assert [(texts_of(c), calls_of(c), c.finish) for c in result.choices] == [
        (texts_of(c), calls_of(c), c.finish) for c in answer.choices
    ]
    expected = answer.usage
    counted = (
        result.usage.input_tokens,
        result.usage.cached_tokens,
        result.usage.output_tokens,
        result.usage.total_tokens,
    )
    assert counted == (
        expected.input_tokens,
        expected.cached_tokens,
        expected.output_tokens,
        expected.total_tokens,
    )
    assert "reasoning" in omitted or result.usage.reasoning_tokens == expected.reasoning_tokens
    for name, value in (("id", answer.id), ("model", answer.model), ("created", answer.created)):
        assert name in omitted or getattr(result, name) == value
    _hold(result, answer)


def write(endpoint: str, answer: Any, request: Any = None) -> Any:
    """Encode and decode, as storage does."""
    body = dialects.write_answer(
        endpoint, answer, request=request or {"input": "x"}, answer_id="abc_1", model="requested", now_s=1_700_000_000
    )
    return orjson.loads(orjson.dumps(body))


def _hold(result: Answer, expected: Answer) -> None:
    """Check that the answer is valid and complete as a chat completion, a message and a response."""
    first = expected.choices[0]
    chat = ChatCompletion.model_validate(write(dialects.CHAT, result), strict=True)
    assert [(c.message.content or "", c.finish_reason) for c in chat.choices] == [
        (texts_of(c), c.finish) for c in expected.choices
    ]
    for choice, other in zip(chat.choices, expected.choices, strict=True):
        calls = [(c.id, c.function.name, orjson.loads(c.function.arguments)) for c in choice.message.tool_calls or []]
        assert calls == calls_of(other)
    assert chat.usage is not None and chat.usage.total_tokens == expected.usage.total_tokens
    message = Message.model_validate_json(orjson.dumps(write(dialects.MESSAGES, result)), strict=True)
    assert "".join(block.text for block in message.content if block.type == "text") == texts_of(first)
    assert [(b.id, b.name, b.input) for b in message.content if b.type == "tool_use"] == calls_of(first)
    assert message.stop_reason == {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "content_filter": "refusal",
    }.get(first.finish)
    counted = message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)
    assert (counted, message.usage.output_tokens) == (expected.usage.input_tokens, expected.usage.output_tokens)
    response = Response.model_validate_json(orjson.dumps(write(dialects.RESPONSES, result)), strict=True)
    assert response.output_text == texts_of(first)
    written = [(i.call_id, i.name, orjson.loads(i.arguments)) for i in response.output if i.type == "function_call"]
    assert written == calls_of(first)
    assert response.status == ("incomplete" if first.finish in ("length", "content_filter") else "completed")
    assert response.usage is not None and response.usage.input_tokens == expected.usage.input_tokens


@given(
    parts=st.lists(
        TEXT
        | st.builds(Thinking, TEXT, st.none() | TEXT)
        | st.builds(Refusal, TEXT)
        | st.builds(ToolCall, st.just("") | NAME, NAME, ARGUMENTS),
        max_size=5,
    ),
    finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    stop=st.none() | TEXT,
)
def test_any_answer_is_valid_in_every_dialect(parts, finish, stop):
    answer = Answer([Choice(parts, finish, stop)], Usage())
    chat = ChatCompletion.model_validate(write(dialects.CHAT, answer), strict=True)
    assert all(call.id for call in chat.choices[0].message.tool_calls or [])
    assert (chat.id, chat.model, chat.created) == ("chatcmpl-abc_1", "requested", 1_700_000_000)
    Message.model_validate_json(orjson.dumps(write(dialects.MESSAGES, answer)), strict=True)
    Response.model_validate_json(orjson.dumps(write(dialects.RESPONSES, answer)), strict=True)


@given(
    vectors=st.lists(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=4), min_size=1, max_size=3),
    packed=st.booleans(),
)
def test_vectors_are_unchanged(vectors, packed):
    request = {"input": ["x"] * len(vectors), "encoding_format": "base64" if packed else "float"}
    body = write(dialects.EMBEDDINGS, EmbeddingAnswer(vectors, Usage(input_tokens=3)), request)
    if packed:
        unpacked = [memoryview(bytearray(_bytes(item["embedding"]))).cast("f").tolist() for item in body["data"]]
        assert unpacked == vectors
    else:
        written = CreateEmbeddingResponse.model_validate_json(orjson.dumps(body), strict=True)
        assert [item.embedding for item in written.data] == vectors
        assert (written.usage.prompt_tokens, written.usage.total_tokens) == (3, 3)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
