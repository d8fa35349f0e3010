"""Ids of objects that belong to somebody, in lines of any dialect; what only looks like one stays."""

from typing import Any

import pytest

from app.lib import json
from app.services import line_rules


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


SCHEMA = {"type": "object", "properties": {"file_id": {"type": "string"}}, "default": {"file_id": "x"}}
CALL = {"type": "tool_use", "id": "t", "name": "read", "input": {"file_id": "report.txt", "container": "a"}}
OWNED = {
    "a document": (user({"type": "document", "source": {"type": "file", "file_id": "file_1"}}), "source.file_id"),
    "an upload": (user({"type": "container_upload", "file_id": "file_1"}), "file_id"),
    "a container": ({**user(), "container": "container_1"}, "body.container"),
    "a response's input": ({"input": [{"content": [{"type": "input_file", "file_id": "file_1"}]}]}, "file_id"),
}
NOT_OWNED = {
    "what a tool was called with": {"messages": [{"role": "assistant", "content": [CALL]}]},
    "what a tool of Anthropic's form takes": {**user(), "tools": [{"name": "read", "input_schema": SCHEMA}]},
    "what a function takes": {**user(), "tools": [{"type": "function", "function": {"parameters": SCHEMA}}]},
}


def owned(body: dict[str, Any]) -> str | None:
    return line_rules.owned_id(json.dumps(body), body)


@pytest.mark.parametrize("name", OWNED)
def test_ids_are_found_wherever_they_are(name: str) -> None:
    body, path = OWNED[name]
    assert str(owned(body)).endswith(path)


@pytest.mark.parametrize("name", NOT_OWNED)
def test_words_of_the_callers_own_are_no_ids(name: str) -> None:
    assert owned(NOT_OWNED[name]) is None
