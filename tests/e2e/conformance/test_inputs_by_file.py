"""Where small inputs go in the request that makes a job, larger ones go by file: one of these, all the way."""

from collections.abc import Iterator

import pytest

from app.connectors.catalogue import registry
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm
from tests.e2e.conformance.models import model_of
from tests.support.batches import chat_line, create, ended, jsonl, read

LINES = 20
PROVIDERS = [name for name in registry.names() if registry.abilities(name).jobs.inline_bytes]


@pytest.fixture
def farm(provider: str) -> Iterator[Farm]:
    """The fake of one provider."""
    with Farm([provider]) as running:
        yield running


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_DEFAULT_PROVIDER": "local"}


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_large_input_goes_by_file(client: KeyClient, farm: Farm, provider: str) -> None:
    padding = "x" * (registry.abilities(provider).jobs.inline_bytes // (LINES - 2))
    lines = [
        chat_line(f"line {n}", "please refuse-this" if n == 7 else f"Question {n}? {padding}")
        for n in range(1, LINES + 1)
    ]
    over = ended(client, str(create(client, jsonl(lines), provider=provider, **model_of(provider))["id"]), seconds=60)

    assert over["status"] == "completed", over
    output, errors = read(client, over["output_file_id"]), read(client, over["error_file_id"])
    assert [row["custom_id"] for row in (*output, *errors)] == [f"line {n}" for n in range(1, 21) if n != 7] + [
        "line 7"
    ]
    for row in output:
        assert f"Question {row['custom_id'][5:]}?" in row["response"]["body"]["choices"][0]["message"]["content"]
    sizes = [len(request.body) for request in farm.servers[provider].requests if request.method == "POST"]
    assert max(sizes) > len(padding) * (LINES - 2) and min(sizes) < 1000
