"""Requests of Nova and Converse, validated with botocore's own model of the service."""

import copy
from itertools import pairwise

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from app.lib import json
from app.translate.chat import requests
from app.translate.converse.families import family
from app.translate.errors import TranslationError
from app.translate.gemini.parts import SIGNED
from app.translate.neutral import Request, Thinking

NOVA = "us.amazon.nova-lite-v1:0"
NOVA_2 = "global.amazon.nova-2-lite-v1:0"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}
SPEC = {"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}, "description": "d"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
RUNTIME = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse")
# Fields that only Nova's InvokeModel has.
NOVAS_OWN = ("schemaVersion",)


def written(body, *, model=NOVA, mode="invoke"):
    """Validate the body with the service's own model."""
    request = requests.read({"model": model, "messages": [{"role": "user", "content": "Hi"}], **body})
    output = family(model, mode=mode).write(request)
    held = copy.deepcopy(output.body)
    for name in NOVAS_OWN:
        held.pop(name, None)
    for name in ("topK", "reasoningConfig"):
        if mode == "invoke":
            held.get("inferenceConfig", {}).pop(name, None)
    report = ParamValidator().validate({"modelId": model, **held}, RUNTIME.input_shape)
    assert not report.has_errors(), report.generate_report()
    return output


def turns(*messages, **kwargs):
    return written({"messages": list(messages)}, **kwargs).body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"max_tokens": 5}, {"inferenceConfig": {"maxTokens": 5}}),
        ({"max_completion_tokens": 5}, {"inferenceConfig": {"maxTokens": 5}}),
        ({"temperature": 0, "top_p": 0.5}, {"inferenceConfig": {"temperature": 0, "topP": 0.5}}),
        ({"stop": "a"}, {"inferenceConfig": {"stopSequences": ["a"]}}),
        ({"stop": ["a", ""]}, {"inferenceConfig": {"stopSequences": ["a"]}}),
        ({"stop": [""]}, {}),
        ({"n": 1, "modalities": ["text"], "parallel_tool_calls": True, "logprobs": False}, {}),
    ],
)
@pytest.mark.parametrize("mode", ["invoke", "converse"])
def test_settings(body, expected, mode):
    output = written(body, mode=mode)
    rest = {name: value for name, value in output.body.items() if name not in ("messages", "schemaVersion")}
    assert (rest, output.dropped) == (expected, [])
    assert ("schemaVersion" in output.body) is (mode == "invoke")


@pytest.mark.parametrize(
    "body",
    [
        {"seed": 1},
        {"user": "u"},
        {"metadata": {"a": "b"}},
        {"frequency_penalty": 0.5},
        {"presence_penalty": 0.5},
        {"logprobs": True},
        {"logit_bias": {"1": 2}},
        {"service_tier": "flex"},
        {"verbosity": "low"},
        {"parallel_tool_calls": False},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "low"},
        {"temperature": 1.5},
    ],
)
@pytest.mark.parametrize("mode", ["invoke", "converse"])
def test_dropped_and_clamped_settings_are_listed(body, mode):
    output = written(body, mode=mode)
    assert output.dropped == list(body)
    assert output.body.get("inferenceConfig") in (None, {"temperature": 1})


@pytest.mark.parametrize(
    "body",
    [
        {"n": 2},
        {"modalities": ["text", "audio"]},
        {"tool_choice": "required"},
        {"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]},
        {"messages": [{"role": "user", "content": " "}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/bmp;base64,AA=="}}]}
            ]
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]}
            ]
        },
        {
            "messages": [
                {"role": "user", "content": "a"},
                {**CALLED, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "["}}]},
            ]
        },
    ],
)
@pytest.mark.parametrize("mode", ["invoke", "converse"])
def test_unsupported_requests_are_rejected_by_field(body, mode):
    with pytest.raises(TranslationError):
        written(body, mode=mode)


@pytest.mark.parametrize("mode", ["invoke", "converse"])
def test_turns_alternate_and_blank_texts_are_dropped(mode):
    body = turns(
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": ""}, PNG]},
        {"role": "developer", "content": "t"},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "c", "refusal": "no"},
        {"role": "user", "content": "d"},
        mode=mode,
    )
    image = {"image": {"format": "png", "source": {"bytes": "AAAA"}}}
    assert body["system"] == [{"text": "s"}, {"text": "t"}]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "a"}, {"text": "b"}, image]},
        {"role": "assistant", "content": [{"text": "c"}, {"text": "no"}]},
        {"role": "user", "content": [{"text": "d"}]},
    ]


@pytest.mark.parametrize(
    ("filename", "name"),
    [("q3_report.v2.pdf", "q3 report v2"), ("Ünï.pdf", "n"), (".pdf", "pdf"), ("a (1) [b]-c.pdf", "a (1) [b]-c")],
)
def test_document_names_use_allowed_characters(filename, name):
    file = {"type": "file", "file": {"filename": filename, "file_data": "data:application/pdf;base64,AAAA"}}
    [message] = turns({"role": "user", "content": [file, {"type": "text", "text": "What?"}]})["messages"]
    assert message["content"][0] == {"document": {"format": "pdf", "name": name, "source": {"bytes": "AAAA"}}}


def test_tool_calls_and_results():
    results = [
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
        {"role": "tool", "tool_call_id": "ä", "content": ""},
    ]
    body = written({"messages": [{"role": "user", "content": "a"}, CALLED, *results], "tools": [TOOL]}).body
    [_, text, data] = body["messages"]
    assert text["content"] == [{"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": "b"}}}]
    first, second = (block["toolResult"] for block in data["content"])
    assert first == {"toolUseId": "c1", "content": [{"text": "x"}]}
    assert second["content"] == [] and second["toolUseId"].startswith("call_")
    assert body["toolConfig"] == {"tools": [SPEC], "toolChoice": {"auto": {}}}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}}),
        ("none", None),
    ],
)
def test_tool_choice(choice, expected):
    body = written({"tools": [TOOL], "tool_choice": choice}).body
    assert body.get("toolConfig", {}).get("toolChoice") == expected


def test_batches_of_converse_reject_tools():
    history = [{"role": "user", "content": "a"}, CALLED, {"role": "tool", "tool_call_id": "c1", "content": "x"}]
    for body in ({"tools": [TOOL]}, {"messages": history}):
        with pytest.raises(TranslationError, match="invoke"):
            written(body, mode="converse")
    assert "toolConfig" not in written({"tools": [TOOL], "tool_choice": "none"}, mode="converse").body


def test_a_response_schema_is_a_tool_for_nova_and_a_format_for_converse():
    forced = written({"response_format": FORMAT}).body["toolConfig"]
    assert forced["toolChoice"] == {"tool": {"name": "batchgate_answer"}}
    assert forced["tools"][0]["toolSpec"]["inputSchema"] == {"json": SCHEMA}
    beside = written({"response_format": FORMAT, "tools": [TOOL]}).body["toolConfig"]
    assert beside["toolChoice"] == {"any": {}} and len(beside["tools"]) == 2
    data = written({"response_format": FORMAT}, mode="converse").body["outputConfig"]["textFormat"]
    assert json.loads(data["structure"]["jsonSchema"]["schema"]) == SCHEMA
    taken = {"type": "function", "function": {"name": "batchgate_answer"}}
    with pytest.raises(TranslationError, match="batchgate_answer"):
        written({"response_format": FORMAT, "tools": [taken]})
    with pytest.raises(TranslationError, match="JSON objects"):
        written({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}}})


def test_reasoning_effort_of_nova_2():
    low = {"type": "enabled", "maxReasoningEffort": "low"}
    output = written({"reasoning_effort": "minimal", "max_tokens": 9}, model=NOVA_2)
    assert output.body["inferenceConfig"] == {"maxTokens": 9, "reasoningConfig": low}
    output = written({"reasoning_effort": "low"}, model=NOVA_2, mode="converse")
    assert output.body["additionalModelRequestFields"] == {"reasoningConfig": low}
    output = written({"reasoning_effort": "none"}, model=NOVA_2)
    assert output.body["inferenceConfig"] == {"reasoningConfig": {"type": "disabled"}}
    # High effort excludes other settings.
    output = written({"reasoning_effort": "high", "temperature": 0.5, "top_k": 3}, model=NOVA_2, mode="converse")
    assert output.dropped == ["temperature", "top_k"] and "inferenceConfig" not in output.body
    assert list(output.body["additionalModelRequestFields"]) == ["reasoningConfig"]
    output = written({"reasoning_effort": "high", "max_tokens": 9}, model=NOVA_2)
    assert output.dropped == ["reasoning_effort"]
    assert output.body["inferenceConfig"]["reasoningConfig"]["maxReasoningEffort"] == "medium"
    output = written({"reasoning_effort": "low", "tools": [TOOL], "tool_choice": "required"}, model=NOVA_2)
    assert output.dropped == ["reasoning_effort"]


def test_top_k_is_placed_by_model():
    assert written({"top_k": 3}).body["inferenceConfig"] == {"topK": 3}
    fields = "additionalModelRequestFields"
    assert written({"top_k": 3}, mode="converse").body[fields] == {"inferenceConfig": {"topK": 3}}
    assert written({"top_k": 3}, model=CLAUDE, mode="converse").body[fields] == {"top_k": 3}
    assert written({"top_k": 3}, model=LLAMA, mode="converse").dropped == ["top_k"]


def test_claude_by_converse_has_claudes_settings():
    output = written({"temperature": 0.5, "top_p": 0.5, "stop": "a", "user": "u"}, model=CLAUDE, mode="converse")
    assert output.body["inferenceConfig"] == {"temperature": 0.5, "stopSequences": ["a"]}
    assert sorted(output.dropped) == ["top_p", "user"]
    output = written({"reasoning_effort": "low"}, model=CLAUDE, mode="converse")
    assert output.body["additionalModelRequestFields"]["thinking"]["type"] == "enabled"
    assert (
        output.body["inferenceConfig"]["maxTokens"]
        > output.body["additionalModelRequestFields"]["thinking"]["budget_tokens"]
    )
    opus = written({"reasoning_effort": "low"}, model="anthropic.claude-opus-4-7", mode="converse").body
    assert opus["outputConfig"] == {"effort": "low"}
    data = written({"response_format": FORMAT}, model=CLAUDE, mode="converse").body["outputConfig"]["textFormat"]
    assert json.loads(data["structure"]["jsonSchema"]["schema"])["additionalProperties"] is False


def test_only_signed_thinking_is_sent_back():
    thoughts = [Thinking("t", "s"), Thinking("", redacted="AAAA"), Thinking("u"), Thinking("", SIGNED + "x"), "b"]
    request = Request(CLAUDE, [("user", "a"), ("assistant", thoughts), ("user", "c")], {})
    output = family(CLAUDE, mode="converse").write(request)
    assert output.body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "b"},
    ]
    assert output.dropped == ["reasoning_content"]


def test_converse_accepts_any_profile():
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef012345"
    assert written({"max_tokens": 3}, model=profile, mode="converse").body["inferenceConfig"] == {"maxTokens": 3}


TEXTS = st.text(min_size=1).filter(lambda text: not text.isspace())
MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda text: {"role": "user", "content": text}, TEXTS),
        st.builds(lambda text: {"role": "assistant", "content": text}, TEXTS),
        st.builds(
            lambda n: {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": f"c{n}"}]},
            st.integers(0, 99),
        ),
        st.builds(
            lambda n, text: {"role": "tool", "tool_call_id": f"c{n}", "content": text}, st.integers(0, 99), TEXTS
        ),
    ),
    max_size=8,
)


def _said(message):
    """The content of a message, in order, read independently of the code under test."""
    if message["role"] == "tool":
        return [("result", message["tool_call_id"], message["content"])]
    if message.get("tool_calls"):
        return [("call", call["id"], json.loads(call["function"]["arguments"])) for call in message["tool_calls"]]
    return [(message["role"], message["content"])]


def _read_back(message):
    for block in message["content"]:
        if "text" in block:
            yield (message["role"], block["text"])
        elif "toolUse" in block:
            yield ("call", block["toolUse"]["toolUseId"], block["toolUse"]["input"])
        else:
            data = block["toolResult"]
            yield ("result", data["toolUseId"], "".join(item["text"] for item in data["content"]))


@given(MESSAGES)
def test_all_texts_calls_and_results_are_kept_in_order(messages):
    messages = [{"role": "user", "content": "Hi"}, *messages]
    body = written({"messages": messages, "tools": [TOOL]}).body
    assert [item for turn in body["messages"] for item in _read_back(turn)] == [i for m in messages for i in _said(m)]
    roles = [turn["role"] for turn in body["messages"]]
    assert all(one != next_one for one, next_one in pairwise(roles))
