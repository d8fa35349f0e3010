"""Files at accounts whose files lie in a bucket of the operator's: where they go, and what `storage_config` may say."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from openai import OpenAI

from app.connectors.contract.objects import NewFile, Payload
from app.data.files import files as file_rows
from app.data.tables import files, native_objects
from app.services.files import adoption
from app.services.gateway import Gateway
from tests.api.openai.test_files import LINE, made, refusal, send
from tests.conftest import KeyClient
from tests.services.copies.memory import ABILITIES, MemoryProvider
from tests.services.copies.rows import all_rows
from tests.support.server import LiveServer

pytestmark = pytest.mark.one_database

BUCKET = {"bucket": "team-data", "region": "eu-west-1", "prefix": "batchgate"}


def in_bucket(**options: str) -> MemoryProvider:
    limits = replace(ABILITIES.files, bucket="s3")
    provider = MemoryProvider(replace(ABILITIES, files=limits), **options)
    provider.prefix = f"s3://{options['bucket']}/"
    return provider


@pytest.fixture
def provider() -> MemoryProvider:
    return in_bucket(**BUCKET)


@pytest.fixture
def other_provider() -> MemoryProvider:
    return in_bucket(bucket="second-data", prefix="")


def upload(client: KeyClient, data: bytes = b"hello", **fields: Any) -> dict[str, Any]:
    return made(client, data, provider="openai", purpose=fields.pop("purpose", "user_data"), **fields)


def project_of(gateway: Gateway) -> int:
    return int(all_rows(gateway, files)[-1].project_id)


def test_a_file_is_in_a_folder_of_its_own(client: KeyClient, gateway: Gateway, provider: MemoryProvider) -> None:
    first, second = upload(client), upload(client)
    project = project_of(gateway)
    assert provider.folders == [f"batchgate/{project}/{body['id']}/" for body in (first, second)]
    assert (first["storage_backend"], first["extra_fields"]["native_id"]) == (
        "local",
        f"s3://team-data/batchgate/{project}/{first['id']}/native1",
    )


@pytest.mark.parametrize(
    ("fields", "prefix"),
    [
        ({"storage_config": '{"s3": {"bucket": "team-data", "region": "eu-west-1"}}'}, "batchgate/"),
        ({"storage_config": '{"s3": {}}'}, "batchgate/"),
        ({"storage_config": '{"s3": {"bucket": "team-data", "prefix": "batchgate/a/b"}}'}, "batchgate/a/b/"),
        ({"storage_config": '{"s3": {"bucket": "s3://team-data/batchgate/c/"}}'}, "batchgate/c/"),
        (
            {"storage_config[s3][bucket]": "team-data", "storage_config[s3][prefix]": "/batchgate//x/"},
            "batchgate/x/",
        ),
    ],
)
def test_storage_config_says_where_it_is_and_then_it_is_only_there(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, fields: dict[str, str], prefix: str
) -> None:
    body = upload(client, **fields)
    assert provider.folders == [f"{prefix}{project_of(gateway)}/{body['id']}/"]
    uri = f"s3://team-data/{provider.folders[0]}native1"
    assert (body["storage_backend"], body["storage_uri"]) == ("s3", uri)
    shown = client.get(f"/v1/files/{body['id']}").json
    assert (shown["storage_backend"], shown["storage_uri"]) == ("s3", uri)
    [listed] = client.get("/v1/files").json["data"]
    assert (listed["storage_backend"], listed["storage_uri"]) == ("s3", uri)
    assert client.get(f"/v1/files/{body['id']}/content").data == b"hello"
    assert all_rows(gateway, files)[0].blob_id is None


@pytest.mark.parametrize(
    ("config", "param"),
    [
        ('{"s3": {"bucket": "other"}}', "storage_config.s3.bucket"),
        ('{"s3": {"bucket": ""}}', "storage_config.s3.bucket"),
        ('{"s3": {"bucket": "team-data", "region": "us-east-1"}}', "storage_config.s3.region"),
        ('{"s3": {"bucket": "team-data", "prefix": "elsewhere/"}}', "storage_config.s3.prefix"),
        ('{"s3": {"bucket": "team-data", "prefix": ""}}', "storage_config.s3.prefix"),
        ('{"s3": {"bucket": "team-data", "prefix": "batchgate2/"}}', "storage_config.s3.prefix"),
        ('{"s3": {"bucket": "team-data", "prefix": "batchgate/../x"}}', "storage_config.s3.prefix"),
        ('{"s3": {"bucket": "team-data", "prefix": "batchgate/a b"}}', "storage_config.s3.prefix"),
        ('{"s3": {"bucket": "team-data", "prefix": "batchgate/%s"}}' % ("x" * 300), "storage_config.s3.prefix"),
        ('{"s3": {"bucket": 5}}', "storage_config.s3.bucket"),
        ('{"s3": {"bucket": "a\\u0000b"}}', "storage_config.s3.bucket"),
        ('{"s3": "team-data"}', "storage_config"),
        ('{"gcs": {"bucket": "team-data"}}', "storage_config"),
        ('{"s3": {}, "local": {}}', "storage_config"),
        ('{"azure": {}}', "storage_config"),
    ],
)
@pytest.mark.parametrize("purpose", ["user_data", "batch"])
def test_a_place_that_contradicts_the_account_is_refused(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, config: str, param: str, purpose: str
) -> None:
    answer = send(client, LINE, name="in.jsonl", provider="openai", purpose=purpose, storage_config=config)
    assert refusal(answer) == (400, param)
    assert (provider.calls, all_rows(gateway, files)) == ([], [])


def test_the_bucket_finds_its_account(
    client: KeyClient, provider: MemoryProvider, other_provider: MemoryProvider
) -> None:
    body = upload(client, storage_config='{"s3": {"bucket": "second-data", "prefix": "any/where"}}')
    assert (provider.folders, len(other_provider.folders)) == ([], 1)
    assert body["storage_uri"].startswith("s3://second-data/any/where/")


def test_batch_inputs_stay_here(client: KeyClient, gateway: Gateway, provider: MemoryProvider) -> None:
    config = '{"s3": {"bucket": "team-data", "prefix": "batchgate/x"}}'
    body = upload(client, LINE, name="in.jsonl", purpose="batch", storage_config=config)
    assert body["storage_backend"] == "local"
    assert (provider.calls, all_rows(gateway, native_objects)) == ([], [])


def test_another_projects_file_is_not_found_by_its_address(client: KeyClient, other_client: KeyClient) -> None:
    uri = upload(client, storage_config='{"s3": {}}')["storage_uri"]
    assert client.get(f"/v1/files/{uri}/content").data == b"hello"
    assert other_client.get(f"/v1/files/{uri}").status_code == 404
    assert other_client.delete(f"/v1/files/{uri}").status_code == 404


def test_an_sdk_names_a_file_by_its_address(live_server: LiveServer, client: KeyClient) -> None:
    client.key = live_server.key
    body = upload(client, storage_config='{"s3": {}}')
    sdk = OpenAI(base_url=f"{live_server.url}/v1", api_key=live_server.key, max_retries=0)
    assert sdk.files.retrieve(body["storage_uri"]).id == body["id"]
    assert sdk.files.content(body["storage_uri"]).read() == b"hello"
    assert sdk.files.delete(body["storage_uri"]).deleted


def test_a_batch_input_may_be_named_by_its_address(
    client: KeyClient, other_client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    provider.upload_file(NewFile("in.jsonl", "batch", Payload(len(LINE), lambda: iter([LINE]))))
    wanted = adoption.Selection("alpha", "openai", purpose="batch")
    [found] = [adoption.adopt(gateway, wanted, candidate) for candidate in adoption.candidates(gateway, wanted)]
    uri = next(iter(provider.files))
    body = {"input_file_id": uri, "endpoint": "/v1/chat/completions", "provider": "openai"}
    assert other_client.post("/v1/batches", json=body).json["error"]["param"] == "input_file_id"
    answer = client.post("/v1/batches", json=body)
    assert (answer.status_code, answer.json["input_file_id"]) == (200, found.file_id), answer.text
    shown = client.get(f"/v1/files/{quote(uri, safe='')}").json
    assert (shown["id"], shown["storage_backend"]) == (found.file_id, "local")


def test_deleting_the_file_deletes_the_object(client: KeyClient, provider: MemoryProvider) -> None:
    body = upload(client, storage_config='{"s3": {}}')
    assert client.delete(f"/v1/files/{body['id']}").json["deleted"] is True
    assert provider.files == {}


def test_adopted_bytes_in_a_bucket_are_never_deleted(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider
) -> None:
    body = upload(client, storage_config='{"s3": {}}')
    with gateway.database.write() as connection:
        file_rows.mark_adopted(connection, all_rows(gateway, files)[0].id)
    assert client.delete(f"/v1/files/{body['id']}").json["deleted"] is True
    assert len(provider.files) == 1
    [row] = all_rows(gateway, native_objects)
    assert (row.state, "only forgotten" in row.last_error) == ("deleted", True)
