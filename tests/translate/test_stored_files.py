"""Files that the provider has already: read in each dialect, written where ids of files are known."""

from typing import Any

import pytest

from app.lib import json
from app.translate import dialects
from app.translate.chat import requests as chat
from app.translate.cohere import requests as cohere
from app.translate.converse import families
from app.translate.dialects import CHAT, MESSAGES, RESPONSES
from app.translate.errors import TranslationError
from app.translate.gemini import requests as gemini
from app.translate.messages import requests as messages
from app.translate.neutral import FileId

PDF, PNG = FileId("id_1", "application/pdf"), FileId("id_2", "image/png")


def body(endpoint: str, file_id: str) -> dict[str, Any]:
    """A request that shows a file."""
    is_image = getattr(file_id, "media_type", "") == "image/png"
    if endpoint == CHAT:
        content: list[Any] = [{"type": "file", "file": {"file_id": file_id}}]
    elif endpoint == RESPONSES:
        content = [{"type": "input_image" if is_image else "input_file", "file_id": file_id}]
    else:
        kind = "image" if is_image else "document"
        content = [{"type": kind, "source": {"type": "file", "file_id": file_id}}]
    turn = [{"role": "user", "content": content}]
    return {"model": "m", **({"input": turn} if endpoint == RESPONSES else {"messages": turn, "max_tokens": 9})}


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES, MESSAGES])
def test_a_file_is_written_by_its_id(endpoint: str) -> None:
    for file_id, kind in ((PDF, "document"), (PNG, "image")):
        request = dialects.read_request(endpoint, body(endpoint, file_id))
        [block] = messages.write(request).body["messages"][0]["content"]
        assert block == {"type": kind, "source": {"type": "file", "file_id": str(file_id)}}
        [part] = gemini.write(request).body["contents"][0]["parts"]
        uri = f"https://generativelanguage.googleapis.com/v1beta/{file_id}"
        assert part == {"fileData": {"mimeType": file_id.media_type, "fileUri": uri}}
        written = json.loads(json.dumps(chat.write(request).body))
        assert written["messages"][0]["content"] == [{"type": "file", "file": {"file_id": str(file_id)}}]


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES, MESSAGES])
def test_an_id_that_the_gateway_did_not_put_there_is_refused(endpoint: str) -> None:
    with pytest.raises(TranslationError) as refused:
        dialects.read_request(endpoint, body(endpoint, "file-foreign"))
    assert refused.value.param.endswith("file_id")


def test_dialects_without_files_refuse_their_ids() -> None:
    for file_id in (PDF, PNG):
        request = dialects.read_request(CHAT, body(CHAT, file_id))
        for model in ("us.amazon.nova-pro-v1:0", "meta.llama3-70b-instruct-v1:0"):
            with pytest.raises(TranslationError):
                families.family(model, mode="invoke").write(request)
        with pytest.raises(TranslationError):
            cohere.write(request)
