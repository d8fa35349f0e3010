"""Chats written as Anthropic's Messages: the table of 28.1, validated with the SDK's types."""

import base64

import pytest

from app.translate.chat import requests
from app.translate.errors import TranslationError
from app.translate.messages import requests as messages_requests
from tests.fakes.anthropic_messages import chat_of
from tests.translate.messages_types import valid

OLD, NEW, ALWAYS = "claude-sonnet-4-5", "claude-opus-5", "claude-fable-5-1"
HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "f", "description": "Does f.", "parameters": SCHEMA}}
PNG = "data:image/png;base64,AAAA"


def call(call_id, arguments='{"a":"b"}', name="f"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def asks(*calls, **more):
    return {"role": "assistant", "content": None, "tool_calls": [call(*c) for c in calls], **more}


def tool(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def user(*parts):
    return {"role": "user", "content": list(parts)}


def text(words):
    return {"type": "text", "text": words}


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


def document(data, name="a.pdf"):
    return {"type": "file", "file": {"file_data": data, "filename": name}}


def use(call_id, given=None, name="f"):
    return {"type": "tool_use", "id": call_id, "name": name, "input": {"a": "b"} if given is None else given}


def tool_result(call_id, **more):
    return {"type": "tool_result", "tool_use_id": call_id, **more}


def written(flavour="anthropic", *, model=OLD, messages=HELLO, **fields):
    """Convert a chat to a message that is valid to Anthropic."""
    body = {"model": model, "messages": messages, **fields}
    output = messages_requests.write(requests.read(body), flavour=flavour)
    if flavour == "anthropic":
        valid(output.body)
    else:
        chat_of({"model": model, **output.body})
    return output


def refused(**fields):
    with pytest.raises(TranslationError) as refusal:
        written(**fields)
    return refusal.value


ANSWERED = [asks(("c1",), ("c2", "{}")), tool("c1", "one"), tool("c2", "two")]
TURNS = {
    "a text": (HELLO, None, HELLO),
    "system, wherever it stands": (
        [
            {"role": "system", "content": "A"},
            *HELLO,
            {"role": "developer", "content": [text("B"), text("C")]},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "So?"},
        ],
        [text("A"), text("B"), text("C")],
        [*HELLO, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "So?"}],
    ),
    "one system text": ([{"role": "system", "content": "A"}, *HELLO], "A", HELLO),
    "empty system": ([{"role": "system", "content": " "}, *HELLO], None, HELLO),
    "empty texts": (
        [*HELLO, {"role": "assistant", "content": ""}, user(text(" "), text("x"))],
        None,
        [{"role": "user", "content": [text("Hello"), text("x")]}],
    ),
    "the same role again": (
        [*HELLO, {"role": "user", "content": "there"}, user(text("you"), image(PNG))],
        None,
        [
            user(
                text("Hello"),
                text("there"),
                text("you"),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            )
        ],
    ),
    "one part": ([user(text("Hello"))], None, HELLO),
    "an image by its address": (
        [user(image("https://x/y.png", detail="auto"))],
        None,
        [user({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}})],
    ),
    "a jpg": (
        [user(image("data:image/jpg;base64,AAAA"))],
        None,
        [user({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}})],
    ),
    "a pdf": (
        [user(document("data:application/pdf;base64,AAAA"))],
        None,
        [
            user(
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
                    "title": "a.pdf",
                }
            )
        ],
    ),
    "a text file": (
        [user(document("data:text/plain;base64," + base64.b64encode("é".encode()).decode(), "a.txt"))],
        None,
        [
            user(
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "é"},
                    "title": "a.txt",
                }
            )
        ],
    ),
    "calls at once, their results in one turn": (
        [*HELLO, *ANSWERED, {"role": "user", "content": "So?"}],
        None,
        [
            *HELLO,
            {"role": "assistant", "content": [use("c1"), use("c2", {})]},
            user(tool_result("c1", content="one"), tool_result("c2", content="two"), text("So?")),
        ],
    ),
    "results first": (
        [*HELLO, asks(("c1",), ("c2",)), tool("c1", "one"), {"role": "user", "content": "x"}, tool("c2", [text("t")])],
        None,
        [
            *HELLO,
            {"role": "assistant", "content": [use("c1"), use("c2")]},
            user(tool_result("c1", content="one"), tool_result("c2", content="t"), text("x")),
        ],
    ),
    "words before a call": (
        [*HELLO, asks(("c1", ""), content="Let me see."), tool("c1", "")],
        None,
        [*HELLO, {"role": "assistant", "content": [text("Let me see."), use("c1", {})]}, user(tool_result("c1"))],
    ),
    "results with more than text": (
        [*HELLO, asks(("c1",)), tool("c1", [text("a"), text("b")])],
        None,
        [
            *HELLO,
            {"role": "assistant", "content": [use("c1")]},
            user(tool_result("c1", content=[text("a"), text("b")])),
        ],
    ),
    "a refusal": (
        [*HELLO, {"role": "assistant", "content": None, "refusal": "No."}, {"role": "user", "content": "Why?"}],
        None,
        [*HELLO, {"role": "assistant", "content": "No."}, {"role": "user", "content": "Why?"}],
    ),
    "prefill": (
        [*HELLO, {"role": "assistant", "content": "Sure: "}],
        None,
        [*HELLO, {"role": "assistant", "content": "Sure:"}],
    ),
    "prefill in parts": (
        [*HELLO, {"role": "assistant", "content": [text("So"), text("it ")]}],
        None,
        [*HELLO, {"role": "assistant", "content": [text("So"), text("it")]}],
    ),
}


@pytest.mark.parametrize("name", TURNS)
def test_turns(name):
    messages, system, expected = TURNS[name]

    body = written(messages=messages).body

    assert (body.get("system"), body["messages"]) == (system, expected)


def test_tool_call_ids_use_allowed_characters():
    messages = [*HELLO, asks(("functions.f:0",)), tool("functions.f:0", "x")]

    _, called, answered = written(messages=messages).body["messages"]

    assert called["content"][0]["id"] == answered["content"][0]["tool_use_id"]


REFUSED = {
    "many": ({"n": 2}, "n"),
    "sound": ({"modalities": ["text", "audio"]}, "modalities"),
    "white stop": ({"stop": ["\n\n"]}, "stop"),
    "input_audio": (
        {"messages": [user({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}})]},
        "messages",
    ),
    "tiff": ({"messages": [user(image("data:image/tiff;base64,AAAA"))]}, "messages"),
    "gs": ({"messages": [user(image("gs://b/x.png"))]}, "messages"),
    "docx": ({"messages": [user(document("data:application/msword;base64,AAAA"))]}, "messages"),
    "not text": ({"messages": [user(document("data:text/plain;base64,/w=="))]}, "messages"),
    "arguments": (
        {"messages": [*HELLO, asks(("c", "{")), tool("c", "")]},
        "messages.tool_calls.function.arguments",
    ),
    "arguments that are a list": (
        {"messages": [*HELLO, asks(("c", "[]")), tool("c", "")]},
        "messages.tool_calls.function.arguments",
    ),
    "deep arguments": (
        {"messages": [*HELLO, asks(("c", '{"a":' + "[" * 240 + "]" * 240 + "}")), tool("c", "")]},
        "messages.tool_calls.function.arguments",
    ),
    "system image": ({"messages": [{"role": "system", "content": [image(PNG)]}, *HELLO]}, "messages"),
    "assistant image": ({"messages": [*HELLO, {"role": "assistant", "content": [image(PNG)]}, *HELLO]}, "messages"),
    "nothing": ({"messages": [{"role": "user", "content": " "}]}, "messages"),
    "system only": ({"messages": [{"role": "system", "content": "Hi"}]}, "messages"),
    "prefill": ({"model": NEW, "messages": [*HELLO, {"role": "assistant", "content": "{"}]}, "messages"),
    "a call without tools": ({"tool_choice": "required"}, "tool_choice"),
    "a call of one that always thinks": (
        {"model": ALWAYS, "tools": [TOOL], "tool_choice": "required"},
        "tool_choice",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_requests_are_rejected_by_field(name):
    fields, param = REFUSED[name]

    assert refused(**fields).param.startswith(param)


@pytest.mark.parametrize(("flavour", "version"), [("bedrock", "bedrock-2023-05-31"), ("vertex", "vertex-2023-10-16")])
def test_bedrock_and_vertex_bodies_have_no_model(flavour, version):
    output = written(flavour, messages=[user(text("x"), image(PNG))], service_tier="auto", user="u")

    assert (output.body["anthropic_version"], "model" in output.body) == (version, False)
    assert output.dropped == ["service_tier"]
    assert list(output.body)[:3] == ["anthropic_version", "max_tokens", "messages"]


def test_arguments_with_many_brackets_are_not_necessarily_deep():
    messages = [*HELLO, asks(("c", '{"a":[' + "[]," * 300 + "[]]}")), tool("c", "")]

    assert len(written(messages=messages).body["messages"][1]["content"][0]["input"]["a"]) == 301


@pytest.mark.parametrize("flavour", ["bedrock", "vertex"])
def test_clouds_reject_urls(flavour):
    with pytest.raises(TranslationError):
        written(flavour, messages=[user(image("https://x/y.png"))])
