"""Files at the dashboard: sent in parts, looked at, estimated, run."""

import io

import pytest

from tests.conftest import KeyClient
from tests.support.batches import chat_line, jsonl
from tests.support.browsing import Browser

HOSTILE = '<img src=x onerror="alert(1)">.jsonl'


def send(browser: Browser, path: str, *, json: object = None, data: bytes | None = None) -> dict[str, str]:
    headers = {"X-CSRF-Token": browser.form_token()}
    answer = browser.client.post(path, json=json, data=data, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


def test_a_file_is_sent_in_parts_looked_at_and_run(client: KeyClient, member: Browser) -> None:
    data = jsonl([chat_line("a"), chat_line("b")]) + b'{"custom_id": "c"}\nnonsense\n'
    announced = {"filename": HOSTILE, "purpose": "batch", "bytes": len(data), "mime_type": "application/jsonl"}
    upload = send(member, "/ui/uploads", json=announced)["id"]
    assert member.get(f"/ui/uploads/{upload}").json["status"] == "pending"
    parts = [send(member, f"/ui/uploads/{upload}/parts", data=part)["id"] for part in (data[:40], data[40:], data[40:])]
    # The answer to the second part was lost, and so it was sent again.
    file = send(member, f"/ui/uploads/{upload}/complete", json={"part_ids": [parts[0], parts[2]]})["file"]
    assert client.get(f"/v1/files/{file}/content").data == data

    page = member.page(f"/ui/files/{file}")
    assert not [each for each in page.all("img") if each.attributes.get("src") == "x"]
    shown = member.get(f"/ui/files/{file}").text
    assert "2 with findings" in shown and "not parseable as valid JSON" in shown and "2 invalid" in shown
    assert file in member.get("/ui/files").text and file in member.get("/ui/files?purpose=batch").text
    assert file not in member.get("/ui/files?purpose=vision").text

    started = member.post(f"/ui/files/{file}/batch", endpoint="/v1/chat/completions", provider="local", name="Run")
    batch = client.get(f"/v1/batches/{started.headers['Location'].rpartition('/')[2]}").json
    assert (batch["input_file_id"], batch["metadata"]) == (file, {"name": "Run"})
    assert member.post(f"/ui/files/{file}/batch", endpoint="/v1/x").status_code == 400
    assert member.post(f"/ui/files/{file}/batch", endpoint="/v1/chat/completions", provider="no").status_code == 400
    assert member.post(f"/ui/files/{file}/delete").status_code == 409  # in use
    assert member.post(f"/ui/batches/{batch['id']}/cancel").status_code == 303


@pytest.mark.one_database
def test_content_never_becomes_a_page_of_this_host(client: KeyClient, member: Browser) -> None:
    form = {"purpose": "user_data", "file": (io.BytesIO(b"<script>alert(1)</script>"), "a.html")}
    file = client.post("/v1/files", data=form).json["id"]
    for answer in (member.get(f"/ui/files/{file}/content"), client.get(f"/v1/files/{file}/content")):
        assert answer.data == b"<script>alert(1)</script>"
        assert answer.headers["Content-Security-Policy"] == "sandbox"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.mimetype == "application/octet-stream"
    assert (
        "alert(1)" in member.get(f"/ui/files/{file}").text
        and "Start a batch" not in member.get(f"/ui/files/{file}").text
    )


@pytest.mark.one_database
def test_what_is_wrong_with_an_upload_is_said_in_words(member: Browser) -> None:
    headers = {"X-CSRF-Token": member.form_token()}
    answer = member.client.post("/ui/uploads", json={"filename": "a"}, headers=headers)
    assert (answer.status_code, answer.mimetype) == (400, "text/plain")
    assert member.client.post("/ui/uploads/upload_no/parts", data=b"x", headers=headers).status_code == 404
    assert member.client.post("/ui/uploads", json={}).status_code == 403
