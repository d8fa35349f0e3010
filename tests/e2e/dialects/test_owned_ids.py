"""Ids of objects that belong to somebody, in lines of any dialect; what only looks like one stays."""

from typing import Any, get_args

import pytest

from app.lib import json
from app.services.lines import rules
from app.translate import dialects
from app.translate.errors import TranslationError
from app.translate.gemini import requests
from app.translate.gemini.parts import Flavour

pytestmark = pytest.mark.spread


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
    return rules.owned_id(json.dumps(body), body)


@pytest.mark.parametrize("name", OWNED)
def test_ids_are_found_wherever_they_are(name: str) -> None:
    body, path = OWNED[name]
    assert str(owned(body)).endswith(path)


def test_ids_under_a_name_that_is_written_with_escapes_are_found() -> None:
    body = {"input": [{"type": "input_file", "file_id": "file_1"}]}
    data = json.dumps(body).replace(b'"file_id"', b'"file\\u005fid"')
    assert json.loads(data) == body
    assert rules.owned_id(data, body) == "body.input[0].file_id"


CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
READ_BY_THE_ACCOUNT = {
    "an image in a bucket of Google": (CHAT, {"type": "image_url", "image_url": {"url": "gs://bucket/a.png"}}),
    "an image in a bucket of Amazon": (CHAT, {"type": "image_url", "image_url": {"url": "S3://bucket/a.png"}}),
    "a document in a bucket": (CHAT, {"type": "file", "file": {"file_data": "gs://bucket/a.pdf"}}),
    "an image of Anthropic's form": (MESSAGES, {"type": "image", "source": {"type": "url", "url": "s3://bucket/a"}}),
}
AT_GEMINI = (
    "https://generativelanguage.googleapis.com/v1beta/files/abc.png",
    "https://user@GenerativeLanguage.googleapis.com:443/v1beta/files/abc.png",
    "https://generativelanguage%2egoogleapis.com./v1beta/files/abc.png",
)


@pytest.mark.parametrize("name", READ_BY_THE_ACCOUNT)
def test_what_only_the_account_may_read_cannot_be_named_by_its_address(name: str) -> None:
    endpoint, block = READ_BY_THE_ACCOUNT[name]
    with pytest.raises(TranslationError) as refused:
        dialects.read_request(endpoint, {"model": "m", "max_tokens": 9, **user(block)})
    assert refused.value.code == "unsupported_id"


@pytest.mark.parametrize("address", AT_GEMINI)
def test_files_of_a_google_account_cannot_be_named_by_their_address(address: str) -> None:
    image = {"type": "image_url", "image_url": {"url": address}}
    request = dialects.read_request(CHAT, {"model": "gemini-3-pro", **user(image)})
    for flavour in get_args(Flavour):
        with pytest.raises(TranslationError) as refused:
            requests.write(request, flavour=flavour)
        assert refused.value.code == "unsupported_id"


@pytest.mark.parametrize("name", NOT_OWNED)
def test_words_of_the_callers_own_are_no_ids(name: str) -> None:
    assert owned(NOT_OWNED[name]) is None
