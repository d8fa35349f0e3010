"""Files whose bytes only the provider has."""

from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest

from app.connectors.contract.errors import OverloadedError, RefusedError, UpstreamError, UpstreamServerError
from app.connectors.contract.objects import Download, NewFile, Payload
from app.data.files import files as file_rows
from app.data.tables import blobs
from app.services.copies import remote
from app.services.gateway import Caller, Gateway
from tests.api.openai.test_files import LINE, made, refusal, send, stored
from tests.conftest import KeyClient
from tests.services.copies.memory import MemoryProvider
from tests.services.copies.rows import all_rows

API = '{"api": {}}'


@pytest.fixture
def body(client: KeyClient) -> dict[str, Any]:
    """A file that is kept at the provider only."""
    return made(client, b"0123456789", name="d.bin", provider="openai", storage_config=API)


def test_no_bytes_stay_here(gateway: Gateway, provider: MemoryProvider, body: dict[str, Any]) -> None:
    (native_id,) = provider.files
    assert (body["storage_backend"], body["storage_uri"]) == ("api", f"api://openai/{native_id}")
    assert (body["bytes"], body["status"]) == (10, "processed")
    assert all_rows(gateway, blobs) == stored(gateway) == []


def test_the_setting_does_the_same_for_all(environment: dict[str, str], provider: MemoryProvider) -> None:
    from app.settings import SettingsError, from_environment

    assert from_environment({**environment, "BATCHGATE_KEEP_FILES": "false"}).keep_files is False
    with pytest.raises(SettingsError):
        from_environment({**environment, "BATCHGATE_KEEP_FILES": "perhaps"})


@pytest.mark.parametrize(
    "fields",
    [{"provider": "local"}, {"provider": "openai", "purpose": "batch"}, {"provider": "openai", "purpose": "evals"}],
)
def test_only_what_is_made_at_the_provider_can_stay_there(client: KeyClient, fields: dict[str, str]) -> None:
    response = send(client, LINE, name="in.jsonl", storage_config=API, **fields)
    assert refusal(response) == (400, "storage_config")


def test_content_is_streamed_through_by_one_call(
    client: KeyClient, provider: MemoryProvider, body: dict[str, Any]
) -> None:
    provider.calls.clear()
    answer = client.get(f"/v1/files/{body['id']}/content", headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.data) == (200, b"0123456789")
    assert (answer.headers["Content-Length"], answer.headers["Accept-Ranges"]) == ("10", "none")
    assert provider.calls == ["read"]
    head = client.head(f"/v1/files/{body['id']}/content")
    assert (head.status_code, head.headers["Content-Length"], provider.calls) == (200, "10", ["read"])


def test_content_comes_from_the_account_that_holds_it(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, other_provider: MemoryProvider, body: dict[str, Any]
) -> None:
    gateway.accounts.found.reverse()  # type: ignore[attr-defined]
    assert client.get(f"/v1/files/{body['id']}/content").data == b"0123456789"
    assert client.get(f"/v1/files/{body['id']}").status_code == 200
    assert client.delete(f"/v1/files/{body['id']}").status_code == 200
    assert (provider.calls, other_provider.calls) == (["upload", "read", "retrieve", "delete"], [])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OverloadedError("Slow.", status=429, retry_after_s=3), 429),
        (UpstreamServerError("It failed.", status=500), 502),
        (RefusedError("No.", status=422), 400),
    ],
)
@pytest.mark.parametrize("what", ["/content", ""])
def test_a_failure_before_the_first_byte_is_reported(
    client: KeyClient, provider: MemoryProvider, body: dict[str, Any], error: UpstreamError, status: int, what: str
) -> None:
    def fail() -> None:
        raise error

    provider.before["read" if what else "retrieve"] = fail
    answer = client.get(f"/v1/files/{body['id']}{what}")
    assert (answer.status_code, answer.json["status_code"]) == (status, status)


def test_a_failure_after_the_first_byte_breaks_the_answer_off(
    client: KeyClient, provider: MemoryProvider, body: dict[str, Any]
) -> None:
    def cut() -> Any:
        yield b"0123"
        raise UpstreamServerError("The answer was cut.")

    @contextmanager
    def read_file(native_id: str) -> Any:
        yield Download(10, "application/octet-stream", cut())

    provider.read_file = read_file  # type: ignore[method-assign]
    answer = client.get(f"/v1/files/{body['id']}/content", buffered=False)
    pieces = iter(answer.response)
    assert next(pieces) == b"0123"
    with pytest.raises(UpstreamServerError):
        next(pieces)


def test_a_stale_row_is_refreshed_by_one_call(
    client: KeyClient, provider: MemoryProvider, body: dict[str, Any]
) -> None:
    provider.become("error")
    fetched = client.get(f"/v1/files/{body['id']}").json
    assert (fetched["status"], fetched["extra_fields"]["cache_debug"]) == ("error", None)
    assert provider.count("retrieve") == 1


class TestFresh:
    @pytest.fixture
    def environment(self, environment: dict[str, str]) -> dict[str, str]:
        return {**environment, "BATCHGATE_REFRESH_SECONDS": "60", "BATCHGATE_KEEP_FILES": "false"}

    def test_a_fresh_row_is_answered_as_it_is(self, client: KeyClient, provider: MemoryProvider) -> None:
        body = made(client, provider="openai")
        assert body["storage_backend"] == "api"
        fetched = client.get(f"/v1/files/{body['id']}").json
        assert (fetched["extra_fields"]["cache_debug"]["cache_hit"], provider.calls) == (True, ["upload"])

    def test_the_setting_is_not_for_files_that_only_the_gateway_has(self, client: KeyClient) -> None:
        assert made(client, LINE, name="in.jsonl", purpose="batch", provider="openai")["storage_backend"] == "local"

    def test_a_request_may_ask_for_the_bytes_to_be_kept(self, client: KeyClient) -> None:
        assert made(client, provider="openai", storage_config='{"local": {}}')["storage_backend"] == "local"


def test_bytes_are_brought_home(
    client: KeyClient, gateway: Gateway, caller: Caller, provider: MemoryProvider, body: dict[str, Any]
) -> None:
    for _ in range(2):
        with gateway.database.read() as connection:
            row = file_rows.resolve(connection, caller.project_id, body["id"])
        assert row is not None
        remote.bring_home(gateway, row)
    assert provider.calls == ["upload", "read"]
    fetched = client.get(f"/v1/files/{body['id']}").json
    assert fetched["storage_backend"] == "local"
    assert client.get(f"/v1/files/{body['id']}/content", headers={"Range": "bytes=2-3"}).data == b"23"


def test_the_provider_s_expiry_is_the_file_s(client: KeyClient, provider: MemoryProvider) -> None:
    provider.expires_in_ms = 3_600_000
    body = made(client, provider="openai", storage_config=API)
    (file, _) = next(iter(provider.files.values()))
    assert file.expires_at is not None
    assert body["expires_at"] == file.expires_at // 1000
    data = {"purpose": "user_data", "provider": "openai", "file": (BytesIO(b"k"), "a"), "storage_config[api]": ""}
    assert client.post("/v1/files", data=data).json["storage_backend"] == "api"
    assert NewFile("a", "b", Payload(0, lambda: iter([]))).lines is None
