"""Requests in every dialect still say what they said, as other code than the one under test reads them."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translate.chat.requests import read as read_chat
from app.translate.messages.requests import read as read_messages
from app.translate.neutral import Request, Tool, ToolCall, ToolResult
from tests.translate.targets import DIALECTS

# What was said, in order: ("user" | "assistant" | "system", text), ("call", id, name, arguments), ("result", id, text).
Said = list[tuple[Any, ...]]

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<["), min_size=1, max_size=12).filter(
    lambda text: text == text.strip()
)
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
ARGUMENTS = st.dictionaries(NAME, st.text(max_size=5) | st.integers(-9, 9) | st.booleans() | st.none(), max_size=3)


@st.composite
def exchanges(draw):
    """Calls of the assistant, maybe after words, and what came of each."""
    start = draw(st.integers(0, 10**6)) * 10
    calls = [
        ToolCall(f"call_{start + n}", draw(NAME), orjson.dumps(draw(ARGUMENTS)).decode())
        for n in range(draw(st.integers(1, 3)))
    ]
    results = [("tool", ToolResult(call.id, draw(TEXT))) for call in calls]
    return [("assistant", [*draw(st.lists(TEXT, max_size=1)), *calls]), *results]


@st.composite
def requests(draw, *, tools=True):
    """A talk of any length that begins and ends with the user."""
    plain = st.tuples(st.sampled_from(["user", "assistant", "system"]), TEXT | st.lists(TEXT, min_size=1, max_size=3))
    kinds = [plain.map(lambda turn: [turn]), exchanges()] if tools else [plain.map(lambda turn: [turn])]
    middle = [turn for turns in draw(st.lists(st.one_of(kinds), max_size=4)) for turn in turns]
    ids = [part.id for _, parts in middle if isinstance(parts, list) for part in parts if isinstance(part, ToolCall)]
    turns = [("user", draw(TEXT)), *middle, ("user", draw(TEXT))]
    if len(set(ids)) < len(ids):
        turns = [turns[0], turns[-1]]
    offered = [Tool(name, parameters={"type": "object", "properties": {}}) for name in draw(st.sets(NAME, max_size=2))]
    return Request("m", turns, {"max_tokens": 100}, offered if tools else [])


def said(request: Request) -> Said:
    """What a neutral request says."""
    found: Said = []
    for role, content in request.turns:
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, ToolCall):
                given = part.arguments
                found.append(
                    ("call", part.id, part.name, orjson.loads(given or "{}") if isinstance(given, str) else given)
                )
            elif isinstance(part, ToolResult):
                inner = part.content
                found.append(("result", part.call_id, inner if isinstance(inner, str) else "\n".join(inner)))
            else:
                found.append((role, part))
    return found


def hoisted(items: Said) -> Said:
    """The system's words first, where a dialect has one place for all of them."""
    return [item for item in items if item[0] == "system"] + [item for item in items if item[0] != "system"]


def gemini_said(body: Any) -> Said:
    found: Said = [("system", part["text"]) for part in body.get("systemInstruction", {"parts": []})["parts"]]
    for content in body["contents"]:
        role = {"model": "assistant", "user": "user"}[content["role"]]
        for part in content["parts"]:
            if "functionCall" in part:
                call = part["functionCall"]
                found.append(("call", call["id"], call["name"], call["args"]))
            elif "functionResponse" in part:
                found.append(("result", part["functionResponse"]["id"], part["functionResponse"]["response"]["result"]))
            else:
                found.append((role, part["text"]))
    return found


def converse_said(body: Any) -> Said:
    found: Said = [("system", block["text"]) for block in body.get("system", [])]
    for message in body["messages"]:
        for block in message["content"]:
            if "toolUse" in block:
                found.append(
                    ("call", block["toolUse"]["toolUseId"], block["toolUse"]["name"], block["toolUse"]["input"])
                )
            elif "toolResult" in block:
                texts = [item.get("text", item.get("json")) for item in block["toolResult"]["content"]]
                texts = [text if isinstance(text, str) else orjson.dumps(text).decode() for text in texts]
                found.append(("result", block["toolResult"]["toolUseId"], "\n".join(texts)))
            else:
                found.append((message["role"], block["text"]))
    return found


def cohere_said(body: Any) -> Said:
    found: Said = []
    for message in body["messages"]:
        texts = [part["text"] for part in message.get("content", [])]
        if message["role"] == "tool":
            found.append(("result", message["tool_call_id"], "\n".join(texts)))
            continue
        found += [(message["role"], text) for text in texts]
        for call in message.get("tool_calls", []):
            function = call["function"]
            found.append(("call", call["id"], function["name"], orjson.loads(function["arguments"])))
    return found


def chat_said(body: Any) -> Said:
    return said(read_chat({"model": "m", **body}))


def messages_said(body: Any) -> Said:
    return said(read_messages({"model": "m", **body}))


READERS = {
    "chat": chat_said,
    "bedrock openai": chat_said,
    "anthropic": messages_said,
    "vertex claude": messages_said,
    "bedrock claude": messages_said,
    "bedrock nova": converse_said,
    "gemini": gemini_said,
    "gemini 3": gemini_said,
    "vertex": gemini_said,
    "cohere": cohere_said,
    "cohere line": cohere_said,
}
IN_PLACE = ("chat", "bedrock openai", "cohere", "cohere line")  # the system speaks where the caller let it


@pytest.mark.parametrize("dialect", READERS)
@given(request=requests())
def test_a_request_says_the_same_in_every_dialect(dialect, request):
    target = DIALECTS[dialect]
    request.model = target.model
    body = orjson.loads(orjson.dumps(target.write(request).body))
    target.checked(body)
    expected = said(request)
    assert READERS[dialect](body) == (expected if dialect in IN_PLACE else hoisted(expected))


@given(request=requests(tools=False))
def test_a_talk_says_the_same_where_tools_are_unknown(request):
    assert converse_said(DIALECTS["bedrock converse"].write(request).body) == hoisted(said(request))
    request.model = DIALECTS["bedrock llama"].model
    prompt = DIALECTS["bedrock llama"].write(request).body["prompt"]
    place = 0
    for _, text in said(request):
        place = prompt.index(text, place) + len(text)
