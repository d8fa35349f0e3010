"""One file of embeddings at every provider that has them: vectors in order, lists of texts put together again."""

import base64
from array import array
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from tests.conftest import KeyClient
from tests.e2e.conformance.conftest import workers  # noqa: F401 - a fixture
from tests.e2e.conformance.farm import Farm
from tests.support.batches import TERMINAL, jsonl, read, retrieve, upload
from tests.support.waiting import until

EMBEDDINGS = "/v1/embeddings"
LINES = 500
TARGETS = (
    ("openai", "text-embedding-3-small"),
    ("gemini", "gemini-embedding-001"),
    ("vertex", "gemini-embedding-001"),
    ("bedrock", "amazon.titan-embed-text-v2:0"),
    ("bedrock", "cohere.embed-english-v3"),
    ("cohere", "embed-v4.0"),
)
# Bedrock puts the tokens of this model into headers, which no record has.
UNTOLD = ("bedrock", "cohere.embed-english-v3")
PROVIDERS = tuple(dict.fromkeys(provider for provider, _ in TARGETS))


def texts(n: int) -> str | list[str]:
    """One text, a few, or more than go into one record anywhere."""
    if n % 100 == 0:
        return [f"text {n}.{part}" for part in range(130)]
    return [f"text {n}.{part}" for part in range(n % 5)] if n % 5 > 1 else f"text {n}"


def lines() -> list[dict[str, Any]]:
    return [
        {
            "custom_id": f"vector {n}#{n}",
            "method": "POST",
            "url": EMBEDDINGS,
            "body": {
                "model": "m",
                "input": texts(n),
                **({"encoding_format": "base64"} if n % 50 == 1 else {}),
            },
        }
        for n in range(1, LINES + 1)
    ]


@pytest.fixture
def farm() -> Iterator[Farm]:
    with Farm(PROVIDERS) as running:
        for server in running.servers.values():
            model = getattr(server.app, "model", server.app)
            model.models = ()
        yield running


@pytest.fixture
def environment(environment: dict[str, str], farm: Farm) -> dict[str, str]:
    return {
        **environment,
        **farm.environment,
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_REFRESH_SECONDS": "3600",
        "BATCHGATE_RECONCILE_SECONDS": "1",
    }


def vectors(row: dict[str, Any]) -> list[Any]:
    body = row["response"]["body"]
    assert [item["index"] for item in body["data"]] == list(range(len(body["data"])))
    found = [item["embedding"] for item in body["data"]]
    if not isinstance(found[0], str):
        CreateEmbeddingResponse.model_validate(body, strict=True)
    return found


def unpacked(vector: Any) -> list[float]:
    """Floats, whether they came as such or in base64."""
    return array("f", base64.b64decode(vector)).tolist() if isinstance(vector, str) else vector


@pytest.mark.usefixtures("workers")
def test_one_file_of_embeddings_runs_everywhere(client: KeyClient) -> None:
    source = upload(client, jsonl(lines()))
    started = {}
    for provider, model in TARGETS:
        body = {"input_file_id": source, "endpoint": EMBEDDINGS, "provider": provider, "model": model}
        answer = client.post("/v1/batches", json=body)
        assert answer.status_code == 200, answer.text
        started[provider, model] = answer.json["id"]
    until(
        lambda: all(retrieve(client, batch)["status"] in TERMINAL for batch in started.values()),
        seconds=90,
        what="the end of every batch",
    )

    reference = [vectors(row) for row in read(client, retrieve(client, started[TARGETS[0]])["output_file_id"])]
    for target, batch_id in started.items():
        batch = retrieve(client, batch_id)
        assert (target, batch["status"], batch["error_file_id"]) == (target, "completed", None), batch["errors"]
        rows = read(client, batch["output_file_id"])
        assert [row["custom_id"] for row in rows] == [line["custom_id"] for line in lines()]
        for n, (row, expected) in enumerate(zip(rows, reference, strict=True), 1):
            asked = texts(n)
            found = vectors(row)
            assert len(found) == (1 if isinstance(asked, str) else len(asked)), (target, n)
            assert [unpacked(vector) for vector in found] == [pytest.approx(vector) for vector in expected], (target, n)
            assert target[0] == "openai" or isinstance(found[0], str) is (n % 50 == 1), (target, n)
            told = row["response"]["body"]["usage"]["prompt_tokens"] > 0
            assert told or target == UNTOLD, (target, n)
