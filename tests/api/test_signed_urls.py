"""Downloads that are handed over to the object store."""

import io
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.support import stored
from tests.support.seaweed import SECRET, Seaweed
from tests.support.server import LiveServer

pytestmark = pytest.mark.one_database
LARGE = b"0123456789abcdef" * (512 * 1024)  # 8 MiB
NAME = "Übersicht & more.bin"


@pytest.fixture
def blob_settings(seaweed: Seaweed) -> dict[str, str]:
    return {**stored.settings(seaweed.address()), "BATCHGATE_SIGNED_URL_SECONDS": "60"}


def upload(client: KeyClient, data: bytes) -> str:
    sent = {"purpose": "user_data", "file": (io.BytesIO(data), NAME)}
    file_id: str = client.post("/v1/files", data=sent).json["id"]
    return f"/v1/files/{file_id}/content"


def test_a_large_download_comes_from_the_store(client: KeyClient, live_server: LiveServer, gateway: Gateway) -> None:
    url = live_server.url + upload(client, LARGE)
    headers = {"Authorization": f"Bearer {client.key}"}
    answer = requests.get(url, headers=headers, timeout=30)
    assert answer.content == LARGE
    assert "filename*=UTF-8''%C3%9Cbersicht%20&%20more.bin" in answer.headers["Content-Disposition"]
    assert answer.headers["Content-Type"] == "application/octet-stream"
    [redirect] = answer.history
    assert (redirect.status_code, redirect.headers["Cache-Control"]) == (302, "no-store")
    assert redirect.headers["Referrer-Policy"] == "no-referrer"
    location = redirect.headers["Location"]
    assert parse_qs(urlsplit(location).query)["X-Amz-Expires"] == ["60"]
    assert SECRET not in location and client.key not in location
    assert "Authorization" not in answer.request.headers
    assert requests.put(location, data=b"x", timeout=30).status_code == 403  # it is good for reading this alone
    changed = location.replace("X-Amz-Expires=60", "X-Amz-Expires=600")
    assert requests.get(changed, timeout=30).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-9"},
        {"Range": "bytes=0-9", "If-Range": '"x"'},
        # Clients send these on to wherever they are redirected.
        {"Authorization": "", "x-api-key": "KEY"},
        {"Authorization": "", "api-key": "KEY"},
        {"x-api-key": "KEY"},
    ],
)
def test_other_requests_are_answered_by_the_gateway(client: KeyClient, headers: dict[str, str]) -> None:
    path = upload(client, LARGE)
    given = {name: value.replace("KEY", client.key) for name, value in headers.items()}
    answer = client.get(path, headers=given)
    assert answer.status_code in (200, 206), answer.text
    assert LARGE.startswith(answer.data)


def test_small_files_and_heads_are_answered_by_the_gateway(client: KeyClient) -> None:
    assert client.get(upload(client, b"small")).data == b"small"
    large = client.head(upload(client, LARGE))
    assert (large.status_code, large.headers["Content-Length"]) == (200, str(len(LARGE)))


def test_who_may_not_read_gets_no_url(client: KeyClient, other_client: KeyClient) -> None:
    assert other_client.get(upload(client, LARGE)).status_code == 404
    assert client.get(upload(client, LARGE), headers={"Authorization": "Bearer sk-none"}).status_code == 401


class TestOff:
    """Unless the operator allows it."""

    @pytest.fixture
    def blob_settings(self, seaweed: Seaweed) -> dict[str, str]:
        return stored.settings(seaweed.address())

    def test_the_gateway_sends_all_bytes_itself(self, client: KeyClient) -> None:
        answer = client.get(upload(client, LARGE))
        assert (answer.status_code, answer.data) == (200, LARGE)


class TestInAFolder:
    """There is nothing to sign."""

    @pytest.fixture
    def blob_settings(self) -> dict[str, str]:
        return {"BATCHGATE_SIGNED_URL_SECONDS": "60"}

    def test_the_gateway_sends_all_bytes_itself(self, client: KeyClient) -> None:
        assert client.get(upload(client, LARGE)).status_code == 200
