"""Requests that are wrong get a clear refusal, and leave nothing behind (requests_table.py and odd_requests.py)."""

import io
import re
from typing import Any

import pytest
from sqlalchemy import select

from app.api.requests import REFUSALS
from app.data.tables import events
from app.services.events.refusals import Refusals
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.hostile.census import census
from tests.e2e.hostile.odd_requests import ODD, SURVIVED
from tests.e2e.hostile.requests_table import TABLE, Bad
from tests.support.batches import chat_line, create, jsonl, upload

ENVELOPE = {"event_id", "type", "is_bifrost_error", "status_code", "error", "extra_fields"}
ERROR = {"type", "code", "message", "param", "event_id"}
EXTRA = {"provider", "model_requested", "request_type"}
UPLOAD = {"filename": "a", "purpose": "user_data", "mime_type": "text/plain", "bytes": 3}
PREFIXES = ("/v1", "/openai/v1", "/openai")
# Parameters of lists that clients send without a value.
ABSENT = {
    "/v1/files": ("limit", "order", "after", "purpose"),
    "/v1/batches": ("limit", "after", "status"),
    "/v1/containers": ("limit", "order", "after", "name"),
    "/v1/containers/{container}/files": ("limit", "order", "after"),
    "/v1/batches/{batch}/results": ("limit", "after"),
    "/v1/batches/{batch}/lines": ("limit", "after", "state"),
}


def objects(client: KeyClient) -> dict[str, str]:
    """One object of each kind, by the name that the tables use."""
    line = jsonl([chat_line("a")])
    running, cancelled = create(client, line), create(client, line)
    client.post(f"/v1/batches/{cancelled['id']}/cancel")
    file = upload(client, line)
    started, ended = (str(client.post("/v1/uploads", json=UPLOAD).json["id"]) for _ in range(2))
    piece = client.post(f"/v1/uploads/{started}/parts", data={"data": (io.BytesIO(b"abc"), "p")}).json
    client.post(f"/v1/uploads/{ended}/cancel")
    container = str(client.post("/v1/containers", json={"name": "c"}).json["id"])
    inside = client.post(f"/v1/containers/{container}/files", json={"file_id": file, "file_path": "a.txt"}).json
    note = {"purpose": "user_data", "file": (io.BytesIO(b"x"), "a.txt")}
    return {
        "file": file,
        "note": str(client.post("/v1/files", data=note).json["id"]),
        "batch": running["id"],
        "used_file": running["input_file_id"],
        "cancelled_batch": cancelled["id"],
        "upload": started,
        "part": piece["id"],
        "cancelled_upload": ended,
        "container": container,
        "container_file": inside["id"],
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


def send(client: KeyClient, bad: Bad, known: dict[str, str], prefix: str) -> Any:
    body: dict[str, Any] = {}
    if bad.form is not None:
        form = {k: v if isinstance(v, str) else (io.BytesIO(v[0].getvalue()), v[1]) for k, v in bad.form.items()}
        body = {"data": form, "content_type": "multipart/form-data"}
    elif bad.json is not None:
        body = {"json": filled(bad.json, known)}
    elif bad.data is not None:
        body = {"data": bad.data, "content_type": bad.content_type}
    path = filled(bad.path, known)
    path = prefix + path.removeprefix("/v1") if path.startswith("/v1/") else path
    return client.open(path, method=bad.method, headers=dict(bad.headers), **body)


def is_param(param: str | None, wanted: str | None) -> bool:
    """True when `param` is the wanted field, or a place in it."""
    return wanted is None or (param is not None and (param == wanted or param.startswith((f"{wanted}.", f"{wanted}["))))


def names(message: str, param: str | None) -> bool:
    """True when the message names the field. Ids in the path have no field: the object is named."""
    if param is None or param.endswith("id"):
        return bool(message)
    return param.rpartition(".")[2].lower() in message.lower()


def problems(answer: Any, bad: Bad) -> list[str]:
    """What is wrong with a refusal."""
    told = answer.get_json(silent=True) or {}
    error, extra = told.get("error") or {}, told.get("extra_fields") or {}
    event_id = answer.headers.get("x-request-id")
    checks = {
        f"status {answer.status_code}": answer.status_code == bad.status == told.get("status_code"),
        f"param {error.get('param')!r}": is_param(error.get("param"), bad.param),
        "envelope": (set(told), set(error), set(extra)) == (ENVELOPE, ERROR, EXTRA),
        "the gateway refused": told.get("is_bifrost_error") is True and told.get("type") == "invalid_request_error",
        "field not named": names(error.get("message", ""), error.get("param")),
        "event id": error.get("event_id") == told.get("event_id") == event_id,
        "message too long": len(error.get("message", "")) < 1000,
    }
    return [name for name, holds in checks.items() if not holds]


def recorded(gateway: Gateway, answer: Any) -> bool:
    """True when a refused operation is an event under its id. What is no operation at all is none."""
    told = answer.get_json(silent=True) or {}
    if told.get("extra_fields", {}).get("request_type") in ("unknown", None):
        return True
    with gateway.database.read() as connection:
        query = select(events.c.outcome, events.c.status_code).where(events.c.request_id == told.get("event_id", ""))
        rows = connection.execute(query).all()
    return [tuple(row) for row in rows] == [("refused", answer.status_code)]


def test_every_malformed_request_is_refused_clearly_and_leaves_nothing(
    client: KeyClient, gateway: Gateway, known: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    before = census(gateway)
    wrong = []
    for number, bad in enumerate([*TABLE, *ODD]):
        # Of one caller not this many refusals become events.
        client.application.extensions[REFUSALS] = Refusals()
        answer = send(client, bad, known, PREFIXES[number % len(PREFIXES)])
        found = problems(answer, bad)
        after = census(gateway)
        if after != before:
            found.append("left something")
            before = after
        if not recorded(gateway, answer):
            found.append("no event")
        if client.key in answer.text:
            found.append("tells the key")
        if found:
            sent = f"{bad.json or bad.data or bad.form or dict(bad.headers)!r:.200}"
            wrong.append(f"{bad.method} {bad.path:.80} {sent:.200}: {found} {answer.text[:300]}")
    assert wrong == [], "\n".join(wrong)
    assert_quiet(capfd, client.key)


def test_parameters_without_a_value_count_as_absent(client: KeyClient, known: dict[str, str]) -> None:
    def listed(path: str) -> tuple[int, list[str]]:
        answer = client.get(filled(path, known))
        return answer.status_code, re.findall(r'"(?:id|custom_id)":"([^"]+)"', answer.text)

    for path, names in ABSENT.items():
        plain = listed(path)
        assert plain[0] == 200, path
        assert {name: listed(f"{path}?{name}=") for name in names} == dict.fromkeys(names, plain), path
    assert listed("/v1/files?limit=%20") == listed("/v1/files")


def test_odd_headers_are_survived(client: KeyClient, known: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    for headers in SURVIVED:
        for path in ("/v1/files/{file}/content", "/v1/batches/{batch}/results", "/v1/files"):
            answer = client.get(filled(path, known), headers=headers)
            assert answer.status_code < 500, headers
            assert answer.headers["x-request-id"].startswith("req_"), headers
    assert_quiet(capfd, client.key)


@pytest.mark.parametrize(
    ("path", "body", "operation", "provider"),
    [
        ("/v1/batches", {"input_file_id": "{file}", "endpoint": "/v1/chat/completions"}, "batch_create", "elevenlabs"),
        ("/v1/containers", {"name": "c"}, "container_create", "anthropic"),
    ],
)
def test_what_a_provider_cannot_do_is_told_with_its_name(
    client: KeyClient, known: dict[str, str], path: str, body: Any, operation: str, provider: str
) -> None:
    answer = client.post(path, json=filled(body, known) | {"provider": provider})
    error = answer.json["error"]
    assert (answer.status_code, error["code"]) == (400, "unsupported_operation")
    assert provider in error["message"]
    assert operation in error["message"]
    assert answer.json["extra_fields"]["provider"] == provider


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer \x7f"},
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
def test_bad_credentials_are_refused(
    client: KeyClient, gateway: Gateway, headers: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    right, client.key = client.key, ""
    before = census(gateway)
    for method, path in (("GET", "/v1/files"), ("POST", "/openai/v1/batches"), ("DELETE", "/openai/containers/x")):
        answer = client.open(path, method=method, headers=headers)
        assert problems(answer, Bad(method, path, 401)) == []
        assert answer.json["error"]["code"] == "invalid_api_key"
    # A right key with its end cut off, or with more behind it, is none, and is not told to anybody.
    for key in (right[:-1], right + "x"):
        answer = client.get("/v1/files", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 401
        assert right[-20:-1] not in answer.text
    assert census(gateway) == before
    assert_quiet(capfd, right[:-1])


def assert_quiet(capfd: pytest.CaptureFixture[str], key: str) -> None:
    """No stack trace, nothing at level error, and no key in the log."""
    logged = "".join(capfd.readouterr())
    assert "Traceback" not in logged
    assert '"level":"error"' not in logged
    assert key not in logged
