"""The fake is proven with Replicate's SDK, and its answers against all fields of the contract."""

import io

import httpx2 as httpx
import pytest
import replicate
from replicate.exceptions import ReplicateError

from tests.fakes.replicate_app import ReplicateApp
from tests.fakes.serving import ServedApp

KEY = "r8_right"
FIELDS = {"id", "name", "content_type", "size", "etag", "checksums", "metadata", "created_at", "expires_at", "urls"}


@pytest.fixture
def server():
    with ServedApp(ReplicateApp(api_key=KEY)) as server:
        yield server


@pytest.fixture
def sdk(server):
    client = replicate.Client(api_token=KEY, base_url=server.url)
    yield client
    client._client.close()


def test_files_come_and_go_with_the_sdk(sdk, server):
    made = sdk.files.create(io.BytesIO(b"hello"), filename="a.txt", metadata={"purpose": "vision"})

    assert (made.name, made.size, made.content_type, made.metadata) == (
        "a.txt",
        5,
        "text/plain",
        {"purpose": "vision"},
    )
    assert sdk.files.get(made.id) == made
    assert [file.id for file in sdk.files.list()] == [made.id]
    assert sdk.files.delete(made.id) is True
    with pytest.raises(ReplicateError) as missing:
        sdk.files.get(made.id)
    assert missing.value.status == 404


def test_a_file_has_the_fields_of_the_contract_with_their_types(sdk, server):
    made = sdk.files.create(io.BytesIO(b"hello"), filename="a.txt")

    raw = httpx.get(f"{server.base_url}/files/{made.id}", headers={"Authorization": f"Bearer {KEY}"}).json()

    assert set(raw) == FIELDS
    assert {name for name, value in raw.items() if isinstance(value, str)} == FIELDS - {
        "size",
        "checksums",
        "metadata",
        "urls",
    }
    assert isinstance(raw["size"], int) and set(raw["checksums"]) == {"sha256", "md5"}


def test_the_download_takes_its_signature_and_no_key(sdk):
    made = sdk.files.create(io.BytesIO(b"hello"), filename="a.txt")

    assert httpx.get(made.urls["get"]).content == b"hello"
    assert httpx.get(made.urls["get"].partition("?")[0]).status_code == 403


def test_lists_lead_on_by_cursor_urls(sdk, server):
    made = [sdk.files.create(io.BytesIO(b"x"), filename=f"{n}.txt").id for n in range(5)]
    found, url = [], f"{server.base_url}/files"

    while url:
        page = httpx.get(url, headers={"Authorization": f"Bearer {KEY}"}).json()
        found += [file["id"] for file in page["results"]]
        url = page["next"]

    assert found == made[::-1]


def test_a_wrong_token_is_refused(server):
    client = replicate.Client(api_token="wrong", base_url=server.url)

    with pytest.raises(ReplicateError) as refused:
        client.files.list()
    client._client.close()

    assert refused.value.status == 401
