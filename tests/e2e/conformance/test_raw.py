"""Results as providers wrote them: of every provider with native batches a row for each line."""

from typing import Any

import pytest

from app.connectors.catalogue import registry
from app.connectors.contract.abilities import Support
from app.lib import json
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm
from tests.e2e.conformance.models import MODELS
from tests.e2e.conformance.test_golden import ended
from tests.support.batches import CHAT, chat_line, create, jsonl

LINES = 20
PROVIDERS = [name for name in registry.names() if registry.abilities(name).support("batch_create") is Support.NATIVE]


def line(number: int, endpoint: str, model: str) -> dict[str, Any]:
    """Every seventh is refused."""
    text = "please refuse-this" if number % 7 == 0 else f"Question {number}?"
    made = chat_line(f"line {number}", text, model=model, url=endpoint)
    return made if endpoint == CHAT else {**made, "body": {"model": model, "input": text}}


def endpoint_of(provider: str) -> str:
    return min(registry.abilities(provider).jobs.endpoints, key=lambda name: (name != CHAT, name))


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_line_has_a_row_of_the_provider(client: KeyClient, farm: Farm) -> None:
    assert len(PROVIDERS) > 12
    made = {}
    for name in PROVIDERS:
        count = max(LINES, registry.abilities(name).jobs.min_lines)
        data = jsonl(line(number, endpoint_of(name), MODELS.get(name, "some/model")) for number in range(1, count + 1))
        made[name] = create(client, data, endpoint=endpoint_of(name), provider=name)["id"]
    for name, batch in ended(client, made).items():
        assert batch["status"] == "completed", (name, batch["errors"])
        answer = client.get(f"/v1/batches/{batch['id']}/results?format=raw")
        assert answer.status_code == 200, (name, answer.text)
        rows = answer.data.splitlines(keepends=True)
        assert (name, len(rows)) == (name, batch["request_counts"]["total"])
        assert all(type(json.loads(row)) is dict and row.endswith(b"\n") for row in rows), name
