"""Where lines name files, what is no name of a file, and lines with something else in its place."""

from typing import Any

import pytest

from app.lib import json
from app.services.lines import file_refs
from app.services.lines.file_refs import CHAT, RESPONSES
from app.services.lines.rules import MESSAGES

Body = dict[str, Any]


def said(*parts: Body, root: str = "messages") -> Body:
    return {root: [{"role": "user", "content": list(parts)}]}


RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {}}]}
IMAGE = {"type": "image", "source": {"type": "file", "file_id": "f"}}
DOCUMENT = {"type": "document", "source": {"type": "file", "file_id": "f"}, "title": "T"}
NAMED = {
    "a file in a chat": (CHAT, said({"type": "file", "file": {"file_id": "f"}}), "content[0].file.file_id"),
    "in Mistral's form": (CHAT, said({"type": "file", "file_id": "f"}), "content[0].file_id"),
    "an input": (RESPONSES, said({"type": "input_file", "file_id": "f"}, root="input"), "content[0].file_id"),
    "a picture": (RESPONSES, said({"type": "input_image", "file_id": "f"}, root="input"), "content[0].file_id"),
    "a tool's output": (
        RESPONSES,
        {"input": [{"type": "function_call_output", "output": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].output[0].file_id",
    ),
    "a screenshot": (
        RESPONSES,
        {"input": [{"type": "computer_call_output", "output": {"type": "computer_screenshot", "file_id": "f"}}]},
        "input[0].output.file_id",
    ),
    "a mask": (
        RESPONSES,
        {"input": "x", "tools": [{"type": "image_generation", "input_image_mask": {"file_id": "f"}}]},
        "tools[0].input_image_mask.file_id",
    ),
    "a document": (MESSAGES, said(DOCUMENT), "messages[0].content[0].source.file_id"),
    "an image": (MESSAGES, said({"type": "text", "text": "x"}, IMAGE), "content[1].source.file_id"),
    "a tool's result": (MESSAGES, said({**RESULT, "content": [IMAGE]}), "content[0].content[0].source.file_id"),
    "an image within a document": (
        MESSAGES,
        said({"type": "document", "source": {"type": "content", "content": [IMAGE]}}),
        "content[0].source.content[0].source.file_id",
    ),
    "a file for a container": (MESSAGES, said({"type": "container_upload", "file_id": "f"}), "content[0].file_id"),
}
SCHEMA = {"type": "object", "properties": {"file_id": {"type": "string", "enum": ["f"], "default": "f"}}}
FREE = {
    "pairs": (CHAT, {**said(), "metadata": {"file_id": "x", "vector_store_ids": "y"}}),
    "pairs of a response": (RESPONSES, {"input": "x", "metadata": {"file_id": "x"}}),
    "pairs of a message": (MESSAGES, {**said(), "metadata": {"user_id": "u", "file_id": "x"}}),
    "what a function takes": (
        CHAT,
        {**said(), "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]},
    ),
    "what a response's tool takes": (
        RESPONSES,
        {"input": "x", "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]},
    ),
    "what a message's tool takes": (MESSAGES, {**said(), "tools": [{"name": "f", "input_schema": SCHEMA}]}),
    "what an answer looks like": (
        CHAT,
        {**said(), "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
    ),
    "what a response looks like": (
        RESPONSES,
        {"input": "x", "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}},
    ),
    "what a function was called with": (
        CHAT,
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"file_id":"x"}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c", "content": '{"file_id":"x"}'},
            ]
        },
    ),
    "what a tool was called with": (
        MESSAGES,
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": IMAGE, "file_id": "x"}}],
                }
            ]
        },
    ),
    "what a response's tool was called with": (
        RESPONSES,
        {
            "input": [
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"file_id": "x"}'},
                {"type": "function_call_output", "call_id": "c", "output": '{"file_id": "x"}'},
            ]
        },
    ),
    "text": (CHAT, {"messages": [{"role": "user", "content": '{"type":"file","file":{"file_id":"f"}}'}]}),
}
# An id that is refused although a file is named beside it.
OTHERS = {
    "a container": (MESSAGES, {**said(DOCUMENT), "container": "cntr_1"}, "body.container"),
    "a vector store": (
        RESPONSES,
        {**NAMED["an input"][1], "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        "body.tools[0].vector_store_ids",
    ),
    "in capitals": (CHAT, said({"type": "file", "file": {"file_id": "f", "FILE_ID": "g"}}), "file.FILE_ID"),
    "beside the file": (CHAT, said({"type": "file", "file_id": "g", "file": {"file_id": "f"}}), "content[0].file_id"),
    "a foreign form": (CHAT, said({"type": "input_file", "file_id": "f"}), "content[0].file_id"),
    "a file for code": (
        RESPONSES,
        {"input": "x", "tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}]},
        "container.file_ids",
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_file_is_named_where_the_dialect_has_a_place_for_it(name: str) -> None:
    endpoint, body, path = NAMED[name]
    [reference], owned = file_refs.named_in(endpoint, body)
    assert owned is None
    assert (reference.file_id, reference.path.endswith(path)) == ("f", True)
    assert file_refs.may_name(json.dumps(body))
    before = json.dumps(body)
    changed = file_refs.replaced(body, [(reference, reference.part_with("native"))])
    assert json.dumps(changed) == before.replace(b'"file_id":"f"', b'"file_id":"native"')
    assert json.dumps(body) == before


@pytest.mark.parametrize("name", FREE)
def test_what_callers_name_as_they_like_is_no_file(name: str) -> None:
    endpoint, body = FREE[name]
    assert file_refs.named_in(endpoint, body) == ([], None)
    assert file_refs.find(endpoint, body) == []


@pytest.mark.parametrize("name", OTHERS)
def test_other_ids_are_refused_beside_a_file(name: str) -> None:
    endpoint, body, path = OTHERS[name]
    _, owned = file_refs.named_in(endpoint, body)
    assert str(owned).endswith(path)


def test_a_name_that_is_written_with_escapes_is_seen() -> None:
    data = json.dumps(NAMED["a file in a chat"][1]).replace(b"file_id", b"\\u0066ile_id")
    assert file_refs.may_name(data)
    assert not file_refs.may_name(json.dumps(said({"type": "text", "text": "a \\ b"})))
