"""Requests keep their content in every dialect, as read by code independent of the code under test."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translate.chat.requests import read as read_chat
from app.translate.messages.requests import read as read_messages
from app.translate.neutral import Request, Tool, ToolCall, ToolResult
from tests.translate.targets import DIALECTS

# The content, in order: ("user" | "assistant" | "system", text), ("call", id, name, arguments), ("result", id, text).
Items = list[tuple[Any, ...]]

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<["), min_size=1, max_size=12).filter(
    lambda text: text == text.strip()
)
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
ARGUMENTS = st.dictionaries(NAME, st.text(max_size=5) | st.integers(-9, 9) | st.booleans() | st.none(), max_size=3)


@st.composite
def exchanges(draw):
    """Tool calls of the assistant, optionally after text, and their results."""
    start = draw(st.integers(0, 10**6)) * 10
    calls = [
        ToolCall(f"call_{start + n}", draw(NAME), orjson.dumps(draw(ARGUMENTS)).decode())
        for n in range(draw(st.integers(1, 3)))
    ]
    results = [("tool", ToolResult(call.id, draw(TEXT))) for call in calls]
    return [("assistant", [*draw(st.lists(TEXT, max_size=1)), *calls]), *results]


@st.composite
def requests(draw, *, tools=True):
    """A conversation of any length that begins and ends with the user."""
    plain = st.tuples(st.sampled_from(["user", "assistant", "system"]), TEXT | st.lists(TEXT, min_size=1, max_size=3))
    kinds = [plain.map(lambda turn: [turn]), exchanges()] if tools else [plain.map(lambda turn: [turn])]
    middle = [turn for turns in draw(st.lists(st.one_of(kinds), max_size=4)) for turn in turns]
    ids = [part.id for _, parts in middle if isinstance(parts, list) for part in parts if isinstance(part, ToolCall)]
    turns = [("user", draw(TEXT)), *middle, ("user", draw(TEXT))]
    if len(set(ids)) < len(ids):
        turns = [turns[0], turns[-1]]
    offered = [Tool(name, parameters={"type": "object", "properties": {}}) for name in draw(st.sets(NAME, max_size=2))]
    return Request("m", turns, {"max_tokens": 100}, offered if tools else [])


def content_of(request: Request) -> Items:
    """The content of a neutral request."""
    result: Items = []
    for role, content in request.turns:
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, ToolCall):
                given = part.arguments
                result.append(
                    ("call", part.id, part.name, orjson.loads(given or "{}") if isinstance(given, str) else given)
                )
            elif isinstance(part, ToolResult):
                inner = part.content
                result.append(("result", part.call_id, inner if isinstance(inner, str) else "\n".join(inner)))
            else:
                result.append((role, part))
    return result


def hoisted(items: Items) -> Items:
    """Move system texts to the front, for dialects with one field for them."""
    return [item for item in items if item[0] == "system"] + [item for item in items if item[0] != "system"]


def gemini_content(body: Any) -> Items:
    result: Items = [("system", part["text"]) for part in body.get("systemInstruction", {"parts": []})["parts"]]
    for content in body["contents"]:
        role = {"model": "assistant", "user": "user"}[content["role"]]
        for part in content["parts"]:
            if "functionCall" in part:
                call = part["functionCall"]
                result.append(("call", call.get("id"), call["name"], call["args"]))
            elif "functionResponse" in part:
                answer = part["functionResponse"]
                result.append(("result", answer.get("id"), answer["response"]["result"]))
            else:
                result.append((role, part["text"]))
    return result


def converse_content(body: Any) -> Items:
    result: Items = [("system", block["text"]) for block in body.get("system", [])]
    for message in body["messages"]:
        for block in message["content"]:
            if "toolUse" in block:
                result.append(
                    ("call", block["toolUse"]["toolUseId"], block["toolUse"]["name"], block["toolUse"]["input"])
                )
            elif "toolResult" in block:
                texts = [item.get("text", item.get("json")) for item in block["toolResult"]["content"]]
                texts = [text if isinstance(text, str) else orjson.dumps(text).decode() for text in texts]
                result.append(("result", block["toolResult"]["toolUseId"], "\n".join(texts)))
            else:
                result.append((message["role"], block["text"]))
    return result


def cohere_content(body: Any) -> Items:
    result: Items = []
    for message in body["messages"]:
        texts = [part["text"] for part in message.get("content", [])]
        if message["role"] == "tool":
            result.append(("result", message["tool_call_id"], "\n".join(texts)))
            continue
        result += [(message["role"], text) for text in texts]
        for call in message.get("tool_calls", []):
            function = call["function"]
            result.append(("call", call["id"], function["name"], orjson.loads(function["arguments"])))
    return result


def chat_content(body: Any) -> Items:
    return content_of(read_chat({"model": "m", **body}))


def messages_content(body: Any) -> Items:
    return content_of(read_messages({"model": "m", **body}))


READERS = {
    "chat": chat_content,
    "bedrock openai": chat_content,
    "anthropic": messages_content,
    "vertex claude": messages_content,
    "bedrock claude": messages_content,
    "bedrock nova": converse_content,
    "gemini": gemini_content,
    "gemini 3": gemini_content,
    "vertex": gemini_content,
    "cohere": cohere_content,
    "cohere line": cohere_content,
}
IN_PLACE = ("chat", "bedrock openai", "cohere", "cohere line")  # system turns keep their position


@pytest.mark.parametrize("dialect", READERS)
@given(request=requests())
def test_a_request_keeps_its_content_in_every_dialect(dialect, request):
    target = DIALECTS[dialect]
    request.model = target.model
    body = orjson.loads(orjson.dumps(target.write(request).body))
    target.checked(body)
    expected = content_of(request)
    if dialect == "vertex":  # Gemini 2 knows no ids of calls there
        expected = [(item[0], None, *item[2:]) if item[0] in ("call", "result") else item for item in expected]
    assert READERS[dialect](body) == (expected if dialect in IN_PLACE else hoisted(expected))


@given(request=requests(tools=False))
def test_a_text_conversation_keeps_its_content_without_tools(request):
    assert converse_content(DIALECTS["bedrock converse"].write(request).body) == hoisted(content_of(request))
    request.model = DIALECTS["bedrock llama"].model
    prompt = DIALECTS["bedrock llama"].write(request).body["prompt"]
    place = 0
    for _, text in content_of(request):
        place = prompt.index(text, place) + len(text)
