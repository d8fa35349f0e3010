"""Ids of objects that belong to somebody, in lines of any dialect; what only looks like one stays."""

from typing import Any, get_args

import pytest

from app.lib import json
from app.services.lines import owned_ids
from app.translate import dialects
from app.translate.errors import TranslationError
from app.translate.gemini import requests
from app.translate.gemini.parts import Flavour


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


SCHEMA = {"type": "object", "properties": {"file_id": {"type": "string"}}, "default": {"file_id": "x"}}
CALL = {"type": "tool_use", "id": "t", "name": "read", "input": {"file_id": "report.txt", "container": "a"}}
OWNED = {
    "a document": (user({"type": "document", "source": {"type": "file", "file_id": "file_1"}}), "source.file_id"),
    "an upload": (user({"type": "container_upload", "file_id": "file_1"}), "file_id"),
    "a container": ({**user(), "container": "container_1"}, "body.container"),
    "a conversation's name": ({"input": "x", "conversation": "conv_1"}, "body.conversation"),
    "a conversation": ({"input": "x", "conversation": {"id": "conv_1"}}, "conversation.id"),
    "a container's name in an environment": (
        {"tools": [{"type": "shell", "environment": {"type": "container_reference", "container_id": "cntr_1"}}]},
        "environment.container_id",
    ),
    "a container with skills": ({**user(), "container": {"id": "container_1"}}, "container.id"),
    "an item of a response": ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "body.input[0].id"),
    "an item without a type": ({"input": [{"id": "msg_1"}]}, "body.input[0].id"),
    "an item of unheard type": ({"input": [{"id": "x_1", "type": "new", "status": "completed"}]}, "body.input[0].id"),
    "thoughts that are kept": ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "body.input[0].id"),
    "a picture that is kept": ({"input": [{"type": "image_generation_call", "id": "ig_1"}]}, "body.input[0].id"),
    "a prompt": ({"prompt": {"id": "pmpt_1", "variables": {"city": "Rome"}}}, "body.prompt.id"),
    "a prompt's variable": ({"prompt": {"variables": {"f": {"type": "input_file", "file_id": "file_1"}}}}, "f.file_id"),
    "what was said": ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, "audio.id"),
    "a voice": ({**user(), "audio": {"format": "wav", "voice": {"id": "voice_1"}}}, "voice.id"),
    "a skill": (
        {"tools": [{"environment": {"skills": [{"type": "skill_reference", "skill_id": "skill_1"}]}}]},
        "skill_id",
    ),
    "parameters of a server's tool": (
        {"tools": [{"type": "x:bash", "parameters": {"environment": {"container_id": "cntr_1"}}}]},
        "environment.container_id",
    ),
    "parameters of the body": ({"name": "x", "parameters": {"file_id": "file_1"}}, "parameters.file_id"),
    "a schema that is none": ({"schema": {"file_ids": ["file_1"]}}, "schema.file_ids"),
    "an input that is no tool's": ({"type": "tool_use", "input": [{"content": [{"file_id": "file_1"}]}]}, "file_id"),
    "files of a message": ({"messages": [{"role": "user", "files": ["file_1"]}]}, "messages[0].files"),
    "files as objects": ({"messages": [{"role": "user", "attachments": [{"id": "file_1"}]}]}, "attachments[0].id"),
    "a video": ({"prompt": "x", "video": {"id": "video_1"}}, "video.id"),
    "a picture in a bucket": (user({"type": "image_url", "image_url": {"url": "GS://bucket/a.png"}}), "image_url.url"),
    "a picture on the server's disk": (user({"type": "image_url", "image_url": "file:///etc/passwd"}), "image_url"),
    "a file as a message": ({"messages": [{"role": "system", "content": "fileid://file-1"}]}, "messages[0].content"),
    "in capitals": ({"input": [{"FILE_ID": "file_1"}]}, "FILE_ID"),
    "with a hump": ({"input": [{"fileId": "file_1"}]}, "fileId"),
    "in one word": ({"input": [{"fileid": "file_1"}]}, "fileid"),
    "of a kind that nobody knows yet": ({"corpus_ids": ["corpus_1"]}, "corpus_ids"),
    "indexes that an account reads": ({"data_sources": [{"type": "azure_search"}]}, "data_sources"),
    "a response's input": ({"input": [{"content": [{"type": "input_file", "file_id": "file_1"}]}]}, "file_id"),
}
NOT_OWNED = {
    "what a tool was called with": {"messages": [{"role": "assistant", "content": [CALL]}]},
    "what a tool of Anthropic's form takes": {**user(), "tools": [{"name": "read", "input_schema": SCHEMA}]},
    "pairs": {**user(), "metadata": {"file_id": "x", "container": "y", "nested": {"id": "z"}}},
    "what a tool of the responses takes": {"tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]},
    "what an answer looks like": {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}},
    "what a chat's answer looks like": {"response_format": {"json_schema": {"name": "a", "schema": SCHEMA}}},
    "examples for a tool": {"tools": [{"name": "f", "input_examples": [{"file_id": "x"}]}]},
    "calls and their outputs": {
        "input": [
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        ]
    },
    "a container to be made": {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
    "a skill for all": {**user(), "container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}},
    "addresses for everybody": user({"type": "image_url", "image_url": {"url": "https://example.com/gs://a.png"}}),
    "a choice of plug-ins": {**user(), "plugins": [{"id": "web"}]},
    "adapters by number": {**user(), "lora": [{"id": 1, "scale": 0.5}]},
    "nothing": {"previous_response_id": None, "conversation": None, "file_ids": []},
    "who asks": {**user(), "user": "u", "session_id": "s", "id": "r"},
    "tokens": {"prompt": "x", "stop_token_ids": [1, 2], "return_token_ids": True},
    "what a function takes": {**user(), "tools": [{"type": "function", "function": {"parameters": SCHEMA}}]},
}


def owned(body: dict[str, Any]) -> str | None:
    return owned_ids.find(body)


@pytest.mark.parametrize("name", OWNED)
def test_ids_are_found_wherever_they_are(name: str) -> None:
    body, path = OWNED[name]
    assert str(owned(body)).endswith(path)


def test_ids_under_a_name_that_is_written_with_escapes_are_found() -> None:
    body = {"input": [{"type": "input_file", "file_id": "file_1"}]}
    data = json.dumps(body).replace(b'"file_id"', b'"file\\u005fid"')
    assert owned(json.loads(data)) == "body.input[0].file_id"


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
