"""Calls of other vendors' SDKs on routes that theirs share with OpenAI's, and paths that do not exist here."""

from io import BytesIO
from itertools import product
from typing import Any

import pytest
import requests
from sqlalchemy import func, select

from app.data.tables import blobs, files
from app.services.gateway import Gateway
from tests.api.openai.test_files import LINE, refusal
from tests.conftest import KeyClient
from tests.support.server import LiveServer

pytestmark = pytest.mark.one_database

PREFIXES = ("/v1", "/openai/v1", "/openai", "/openai/openai")
# What the SDKs send, recorded from them.
CLIENTS = {
    "Anthropic": [
        {"anthropic-version": "2023-06-01", "anthropic-beta": "files-api-2025-04-14"},
        {"anthropic-version": "2026-10-21", "User-Agent": "Anthropic/Python 2.14.0"},
    ],
    "Gemini": [
        {"x-goog-api-client": "google-genai-sdk/3.6.1 gl-python/3.11.7"},
        {"User-Agent": "google-genai-sdk/1.59.0 gl-python/3.11.7"},
    ],
    "Mistral": [
        {"User-Agent": "mistral-client-python/3.7.0"},
        {"User-Agent": "mistral-client-typescript/2.7.0"},
        {"User-Agent": "speakeasy-sdk/python 1.9.3 2.634.2 1.0.0 mistralai"},
    ],
    "Replicate": [{"User-Agent": "replicate-python/1.0.7"}],
}
HEADERS = [(vendor, headers) for vendor, several in CLIENTS.items() for headers in several]


def test_a_call_of_another_vendors_sdk_is_named(client: KeyClient) -> None:
    paths = ("/v1/files", "/v1/batches", "/openai/v1/files", "/v1/files/x", "/v1/models")
    for (vendor, headers), path in product(HEADERS, paths):
        refused = client.get(path, headers=headers)
        assert (refused.status_code, refused.json["error"]["code"]) == (400, "other_api"), refused.text
        assert vendor in refused.json["error"]["message"]


def test_an_upload_that_its_sdk_cannot_read_is_not_made(client: KeyClient, gateway: Gateway) -> None:
    for (_, headers), prefix in product(HEADERS, PREFIXES):
        form: dict[str, Any] = {"purpose": "batch", "file": (BytesIO(LINE), "in.jsonl")}
        refused = client.post(f"{prefix}/files", data=form, headers=headers)
        assert (refused.status_code, refused.json["error"]["code"]) == (400, "other_api"), refused.text
    with gateway.database.read() as connection:
        for table in (files, blobs):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_a_call_without_a_key_learns_nothing(client: KeyClient) -> None:
    anonymous = client.application.test_client()
    assert anonymous.get("/v1/files?pageSize=5", headers={"anthropic-version": "x"}).status_code == 401


LISTS = (
    ("pageSize=10", "Google"),
    ("pageToken=x", "Google"),
    ("page=0&page_size=100&include_total=true", "Mistral"),
    ("page_size=100", "Mistral"),
    ("page_token=x", "Cohere"),
    ("created_by_me=false", "Mistral"),
    ("after_id=x", "Anthropic"),
    ("beta=true", "Anthropic"),
    ("maxResults=5", "Bedrock"),
    ("nextToken=x", "Bedrock"),
    ("$filter=x", "Azure"),
    ("cursor=x", "Replicate"),
)


def test_a_list_call_of_another_vendor_is_named(client: KeyClient) -> None:
    for path, (query, vendor) in product(("/v1/files", "/v1/batches", "/openai/files", "/openai/v1/batches"), LISTS):
        refused = client.get(f"{path}?{query}")
        assert refusal(refused) == (400, query.partition("=")[0]), refused.text
        assert vendor in refused.json["error"]["message"] and "limit" in refused.json["error"]["message"]


OPENAIS = (
    {"User-Agent": "OpenAI/Python 3.52.0"},
    {"User-Agent": "AsyncAzureOpenAI/Python 1.109.1"},
    {"User-Agent": "Groq/Python 1.7.0"},
    {"User-Agent": "litellm/1.106.2"},
    {"User-Agent": "curl/8.0"},
    {"User-Agent": "mistral-batch-tool/1.0"},
    {"anthropic-beta": "x"},
    {"User-Agent": ""},
)


def test_clients_of_openais_api_are_served(client: KeyClient) -> None:
    for headers in OPENAIS:
        assert client.get("/v1/files", headers=headers).status_code == 200


def test_keys_may_come_in_any_vendors_header(live_server: LiveServer) -> None:
    for header in ("x-api-key", "api-key", "x-goog-api-key"):
        answer = requests.get(f"{live_server.url}/v1/files", headers={header: live_server.key}, timeout=10)
        assert answer.status_code == 200


LIVE = [
    *(f"{prefix}/chat/completions" for prefix in PREFIXES),
    "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/responses/resp_1", "/v1/messages",
    "/v1/messages/count_tokens", "/v1/moderations", "/v1/images/generations", "/v1/audio/speech", "/v1/rerank",
    "/openai/deployments/gpt-4o/chat/completions", "/chat/completions",
    "/v1beta/models/gemini-2.5-flash:generateContent",
    "/v1/models/m:streamGenerateContent", "/model/anthropic.claude-3/converse", "/model/m/invoke-with-response-stream",
    "/v2/chat", "/v1/predictions", "/anthropic/v1/messages",
]  # fmt: skip


def test_live_inference_is_not_served_and_the_answer_says_so(client: KeyClient) -> None:
    for path in LIVE:
        answer = client.post(path, json={"model": "m"})
        assert answer.status_code == 404, path
        assert answer.json["error"].get("code", answer.json["error"]["type"]) in ("not_found", "not_found_error"), path
        assert "live inference" in answer.json["error"]["message"], path
        assert "/v1/batches" in answer.json["error"]["message"]


THEIRS = (
    ("POST", "/v1/messages/batches", "Anthropic"),
    ("GET", "/v1/messages/batches/msgbatch_1/results", "Anthropic"),
    ("GET", "/v1/batch/jobs", "Mistral"),
    ("POST", "/upload/v1beta/files", "Gemini"),
    ("POST", "/upload/v1/files", "Gemini"),
    ("GET", "/v1beta/batches", "Gemini"),
    ("POST", "/v1beta/models/gemini-2.5-flash:batchGenerateContent", "Gemini"),
    ("POST", "/model-invocation-job", "Bedrock"),
    ("GET", "/v1beta1/projects/p/locations/l/batchPredictionJobs", "Vertex"),
    ("POST", "/v1/datasets", "Cohere"),
    ("GET", "/v1/accounts/a/batchInferenceJobs", "Fireworks"),
)


def test_a_path_of_another_vendors_batches_is_named(client: KeyClient) -> None:
    for method, path, vendor in THEIRS:
        answer = client.open(path, method=method)
        assert answer.status_code == 404, path
        assert vendor in answer.json["error"]["message"], path


def test_a_base_url_without_its_version_is_told(client: KeyClient) -> None:
    meant = {"/files": "/v1/files", "/v1/v1/batches": "/v1/batches", "/batches/x/cancel": "/v1/batches/x/cancel"}
    for path, right in meant.items():
        answer = client.post(path)
        assert answer.status_code == 404 and f"{right}:" in answer.json["error"]["message"], answer.text


def test_other_paths_are_only_not_there(client: KeyClient) -> None:
    for path in ("/v1/nothing", "/", "/v1", "/favicon.ico"):
        assert client.get(path).json["error"]["message"] == f"There is no GET {path}."
