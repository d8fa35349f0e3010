"""Gemini's answers, built with the types of Google's SDK (contracts: providers, 28.3)."""

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from app.translate.chat import answers
from app.translate.errors import UnexpectedAnswerError
from app.translate.gemini.answers import FINISHES, read
from app.translate.neutral import Choice, Media, Thinking, ToolCall, Usage


def answer(*parts, finish="STOP", **more):
    """An answer with one candidate, valid to the SDK."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    body = {"candidates": [candidate], "responseId": "r1", "modelVersion": "gemini-2.5-flash", **more}
    types.GenerateContentResponse.model_validate(body)
    return body


def test_a_plain_answer():
    usage = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 2,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 24,
    }
    result = read(answer({"text": "Hello"}, usageMetadata=usage), created=17)

    assert result.choices == [Choice(["Hello"])]
    assert result.usage == Usage(12, 4, 12, 7, 24)
    assert (result.id, result.model, result.created) == ("r1", "gemini-2.5-flash", 17)


def test_missing_totals_are_summed_and_missing_values_stay_empty():
    result = read(answer(usageMetadata={"promptTokenCount": 1, "thoughtsTokenCount": 2}))

    assert result.usage == Usage(1, 0, 2, 2, 3)
    assert (result.choices, result.created) == ([Choice([])], None)
    assert read({"candidates": [{}]}).usage == Usage()


@pytest.mark.parametrize("data", ["2026-11-21T12:00:00Z", "2026-11-21T12:00:00.123456789Z"])
def test_the_time_of_an_answer(data):
    assert read(answer(createTime=data), created=17).created == 1795262400


@pytest.mark.parametrize("data", ["today", 17, {}, "9999999-01-01"])
def test_an_invalid_time_is_ignored(data):
    assert read({**answer(), "createTime": data}, created=17).created == 17


@pytest.mark.parametrize("reason", [reason.value for reason in types.FinishReason])
def test_every_reason_of_the_sdk_has_a_meaning(reason):
    result = read(answer({"text": "x"}, finish=reason)).choices[0].finish

    expected = FINISHES.get(reason, "stop")
    assert result == expected
    filtered = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR")
    assert (expected == "content_filter") is (reason in filtered or reason.startswith("IMAGE_"))
    assert (expected == "length") is (reason == "MAX_TOKENS")


def test_thinking_and_tool_calls():
    result = read(
        answer(
            {"text": "Hm.", "thought": True},
            {"text": "Let me see."},
            {"functionCall": {"id": "c1", "name": "clock"}, "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "clock", "args": {"zone": "UTC"}}},
            {"functionCall": {"name": "clock", "args": {"zone": "UTC"}}},
            {"executableCode": {"code": "1", "language": "PYTHON"}},
        )
    ).choices[0]

    *before, one, other = result.parts
    assert before == [Thinking("Hm."), "Let me see.", Thinking("", "gemini:c2ln"), ToolCall("c1", "clock", {})]
    assert result.finish == "tool_calls"
    assert (one.name, one.arguments) == (other.name, other.arguments) == ("clock", {"zone": "UTC"})
    assert one.id.startswith("call_") and one.id != other.id


def test_generated_ids_are_stable():
    body = answer({"functionCall": {"name": "clock"}})

    assert read(body) == read(body)
    assert read(body).choices[0].parts[0].id != read({**body, "responseId": "r2"}).choices[0].parts[0].id


def test_a_truncated_answer_finishes_with_length():
    assert read(answer({"functionCall": {"name": "clock"}}, finish="MAX_TOKENS")).choices[0].finish == "length"


def test_candidates_keep_their_order():
    body = answer({"text": "a"})
    body["candidates"] += [{"content": {"parts": [{"text": "b"}]}, "index": 1}, {"finishReason": "SAFETY", "index": 2}]

    assert read(body).choices == [Choice(["a"]), Choice(["b"]), Choice([], "content_filter")]


@pytest.mark.parametrize("candidates", [{}, {"candidates": []}])
def test_a_blocked_prompt_is_an_answer_without_content(candidates):
    result = read({**candidates, "promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}})

    assert result.choices == [Choice([], "content_filter")]
    assert result.usage == Usage(3, 0, 0, 0, 3)
    chat = answers.write(result, answer_id="a", model="m", now_s=1)
    assert (chat["choices"][0]["message"]["content"], chat["choices"][0]["finish_reason"]) == ("", "content_filter")


def test_logprobs():
    body = answer({"text": "é!"})
    body["candidates"][0]["logprobsResult"] = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "!", "tokenId": 7}],
        "topCandidates": [{"candidates": [{"token": "e", "logProbability": -1}]}],
    }
    types.GenerateContentResponse.model_validate(body)

    assert read(body).choices[0].logprobs == {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [{"token": "e", "logprob": -1, "bytes": [101]}],
            },
            {"token": "!", "logprob": 0.0, "bytes": [33], "top_logprobs": []},
        ],
        "refusal": None,
    }


def test_images_and_audio():
    result = read(answer(*({"inlineData": {"mimeType": kind, "data": "AAAA"}} for kind in ("image/png", "audio/pcm"))))

    assert result.choices[0].parts == [
        Media("image", media_type="image/png", data="AAAA"),
        Media("audio", media_type="audio/pcm", data="AAAA"),
    ]


NONSENSE = [
    None,
    [],
    "text",
    {},
    {"candidates": {}},
    {"candidates": [], "promptFeedback": {"blockReason": 7}},
    {"promptFeedback": []},
    {"candidates": [None]},
    {"candidates": [{"content": "x"}]},
    {"candidates": [{"content": {"parts": "x"}}]},
    {"candidates": [{"content": {"parts": ["x"]}}]},
    {"candidates": [{"content": {"parts": [{"text": 7}]}}]},
    {"candidates": [{"content": {"parts": [{"functionCall": "x"}]}}]},
    {"candidates": [{"content": {"parts": [{"functionCall": {"name": ""}}]}}]},
    {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": "{}"}}]}}]},
    {"candidates": [{"content": {"parts": [{"inlineData": {"data": "AAAA"}}]}}]},
    {"candidates": [{"logprobsResult": []}]},
    {"candidates": [{"logprobsResult": {"chosenCandidates": 7}}]},
    {"candidates": [{"logprobsResult": {"chosenCandidates": [{"token": 7}]}}]},
    {"candidates": [{"logprobsResult": {"chosenCandidates": [{}], "topCandidates": [7]}}]},
]


@pytest.mark.parametrize("body", NONSENSE)
def test_an_invalid_answer_raises_an_error(body):
    with pytest.raises(UnexpectedAnswerError):
        read(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = ["candidates", "promptFeedback", "usageMetadata", "responseId", "modelVersion", "createTime"]
IN_CANDIDATE = ["content", "finishReason", "index", "logprobsResult"]


@given(
    st.dictionaries(st.sampled_from(PLACES), JSON),
    st.dictionaries(st.sampled_from(IN_CANDIDATE), JSON),
    st.dictionaries(st.sampled_from(["text", "thought", "functionCall", "inlineData", "thoughtSignature"]), JSON),
)
def test_any_json_is_read_or_raises_an_error(body, candidate, part):
    whole = {"content": {"parts": [part]}, **candidate}
    for data in (body, {**body, "candidates": [whole]}):
        try:
            answers.write(read(data), answer_id="a", model="m", now_s=1)
        except UnexpectedAnswerError as error:
            assert str(error)


@given(st.lists(st.text(min_size=1, max_size=9), max_size=4), st.integers(0, 3), st.integers(0, 2**31))
def test_all_texts_calls_and_counts_are_kept(texts, calls, tokens):
    parts = [{"text": text} for text in texts] + [
        {"functionCall": {"name": "f", "args": {"n": n}}} for n in range(calls)
    ]
    usage = {"promptTokenCount": tokens, "candidatesTokenCount": 1, "totalTokenCount": tokens + 1}
    body = {"candidates": [{"content": {"parts": parts}}] * 2, "usageMetadata": usage}
    chat = answers.write(read(body), answer_id="a", model="m", now_s=1)

    assert chat["usage"]["prompt_tokens"] == tokens and chat["usage"]["total_tokens"] == tokens + 1
    ids = set()
    for choice in chat["choices"]:
        assert (choice["message"]["content"] or "") == "".join(texts)
        written = choice["message"].get("tool_calls", [])
        assert [call["function"]["arguments"] for call in written] == [f'{{"n":{n}}}' for n in range(calls)]
        assert choice["finish_reason"] == ("tool_calls" if calls else "stop")
        ids |= {call["id"] for call in written}
    assert len(ids) == 2 * calls
