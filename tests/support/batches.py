"""Batches from the outside: upload lines, create, wait, read the files."""

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from flask.testing import FlaskClient

from tests.support.waiting import until

TERMINAL = ("completed", "failed", "expired", "cancelled")
CHAT = "/v1/chat/completions"


def chat_line(custom_id: str, text: str = "hello", *, url: str = CHAT, **body: Any) -> dict[str, Any]:
    """One line of a batch input."""
    full = {"model": "m", "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": full}


def jsonl(lines: Iterable[Mapping[str, Any]]) -> bytes:
    """Lines as a file."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def upload(client: FlaskClient, data: bytes, *, filename: str = "in.jsonl") -> str:
    """Upload a batch input; returns its id."""
    form = {"purpose": "batch", "file": (io.BytesIO(data), filename)}
    answer = client.post("/v1/files", data=form, content_type="multipart/form-data")
    assert answer.status_code == 200, answer.text
    return str(answer.json["id"])


def create(client: FlaskClient, data: bytes, *, endpoint: str = CHAT, **fields: Any) -> dict[str, Any]:
    """Upload and start a batch; returns the batch object."""
    body = {"input_file_id": upload(client, data), "endpoint": endpoint, "completion_window": "24h", **fields}
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


def retrieve(client: FlaskClient, batch_id: str) -> dict[str, Any]:
    """The batch object as it is now."""
    return dict(client.get(f"/v1/batches/{batch_id}").json)


def ended(client: FlaskClient, batch_id: str, *, seconds: float = 30.0) -> dict[str, Any]:
    """Wait until the batch is over; returns it."""
    until(lambda: retrieve(client, batch_id)["status"] in TERMINAL, seconds=seconds, what=f"the end of {batch_id}")
    return retrieve(client, batch_id)


def read(client: FlaskClient, file_id: str | None) -> list[dict[str, Any]]:
    """The lines of an output or error file; none when there is no file."""
    if file_id is None:
        return []
    answer = client.get(f"/v1/files/{file_id}/content")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.data.splitlines()]
