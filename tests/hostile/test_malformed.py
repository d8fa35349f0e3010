"""Requests that are wrong get a clear refusal, and leave nothing behind (requests_table.py has them)."""

import io
from typing import Any

import pytest
from sqlalchemy import func, select

from app.blobs.local import LocalBlobs
from app.data.tables import batches, blobs, container_files, containers, files, uploads
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.hostile.requests_table import TABLE, Bad
from tests.support.batches import chat_line, create, jsonl, upload

ENVELOPE = {"event_id", "type", "is_bifrost_error", "status_code", "error", "extra_fields"}
ERROR = {"type", "code", "message", "param", "event_id"}
UPLOAD = {"filename": "a", "purpose": "user_data", "mime_type": "text/plain", "bytes": 3}


def objects(client: KeyClient) -> dict[str, str]:
    """One object of each kind, by the name that the table uses."""
    line = jsonl([chat_line("a")])
    running, cancelled = create(client, line), create(client, line)
    client.post(f"/v1/batches/{cancelled['id']}/cancel")
    return {
        "file": upload(client, line),
        "note": str(client.post("/v1/uploads", json=UPLOAD).json["id"]),
        "batch": running["id"],
        "used_file": running["input_file_id"],
        "cancelled_batch": cancelled["id"],
        "upload": str(client.post("/v1/uploads", json=UPLOAD).json["id"]),
        "container": str(client.post("/v1/containers", json={"name": "c"}).json["id"]),
    }


@pytest.fixture
def known(client: KeyClient, other_client: KeyClient) -> dict[str, str]:
    mine = objects(client)
    foreign = objects(other_client)
    return mine | {f"foreign_{name}": value for name, value in foreign.items()}


def filled(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, str) and "{" in value:
        for name, public_id in known.items():
            value = value.replace(f"{{{name}}}", public_id)
    if isinstance(value, dict):
        return {key: filled(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, known) for inner in value]
    return value


def census(gateway: Gateway) -> tuple[Any, ...]:
    """How many rows and bytes there are."""
    assert isinstance(gateway.blobs, LocalBlobs)
    on_disk = sorted(path.name for path in gateway.blobs.root.rglob("*") if path.is_file())
    with gateway.database.read() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (files, batches, blobs, containers, container_files, uploads)
        ]
    return counts, on_disk


def names(message: str, param: str | None) -> bool:
    """True when the message names the field. Ids in the path have no field: the object is named."""
    if param is None or param.endswith("id"):
        return bool(message)
    return param.rpartition(".")[2].lower() in message.lower()


def send(client: KeyClient, bad: Bad, known: dict[str, str]) -> Any:
    body: dict[str, Any] = {}
    if bad.form is not None:
        form = {k: v if isinstance(v, str) else (io.BytesIO(v[0].getvalue()), v[1]) for k, v in bad.form.items()}
        body = {"data": form, "content_type": "multipart/form-data"}
    elif bad.json is not None:
        body = {"json": filled(bad.json, known)}
    elif bad.data is not None:
        body = {"data": bad.data, "content_type": bad.content_type}
    return client.open(filled(bad.path, known), method=bad.method, headers=dict(bad.headers), **body)


def test_every_malformed_request_is_refused_clearly_and_leaves_nothing(
    client: KeyClient, gateway: Gateway, known: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(TABLE) > 150
    capfd.readouterr()
    before = census(gateway)
    wrong = []
    for bad in TABLE:
        answer = send(client, bad, known)
        told = answer.get_json(silent=True) or {}
        error = told.get("error") or {}
        problems = [
            *([f"status {answer.status_code}"] if answer.status_code != bad.status else []),
            *([f"param {error.get('param')!r}"] if bad.param not in (None, error.get("param")) else []),
            *(["envelope"] if set(told) != ENVELOPE or set(error) != ERROR else []),
            *(["field not named"] if not names(error.get("message", ""), bad.param) else []),
            *(["event id"] if error.get("event_id") != answer.headers.get("x-request-id") else []),
        ]
        after = census(gateway)
        if after != before:
            problems.append("left something")
            before = after
        if problems:
            wrong.append(f"{bad.method} {bad.path:.60} {bad.json or bad.data}: {problems} {error}")
    assert wrong == [], "\n".join(wrong)
    logged = capfd.readouterr()
    assert "Traceback" not in logged.err + logged.out
    assert '"level":"error"' not in logged.err + logged.out


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer sk-other"},
        {"Authorization": "Bearer sk-bf-"},
        {"Authorization": "Bearer sk-bf-x-y"},
        {"Authorization": f"Bearer sk-bf-{'a' * 5000}-b"},
        {"x-api-key": "sk-bf-0011223344556677-secret"},
        {"api-key": "\xff\xfe"},
    ],
    ids=str,
)
def test_bad_credentials_are_refused(client: KeyClient, headers: dict[str, str]) -> None:
    client.key = ""
    answer = client.get("/v1/files", headers=headers)
    assert answer.status_code == 401
    assert set(answer.json["error"]) == ERROR
    assert answer.json["error"]["code"] == "invalid_api_key"
