"""Containers that models made at a provider, brought into a project by the operator."""

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import batchgate
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm, key_of
from tests.fakes.openai_containers import FakeContainer
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp


@pytest.fixture
def openrouter() -> Iterator[ServedApp]:
    with Farm(["openrouter"]) as farm:
        yield farm.servers["openrouter"]


@pytest.fixture
def environment(environment: dict[str, str], openrouter: ServedApp) -> dict[str, str]:
    return {
        **environment,
        "OPENROUTER_API_KEY": key_of("openrouter"),
        "OPENROUTER_BASE_URL": f"{openrouter.url}/api/v1",
    }


@pytest.fixture(autouse=True)
def stored(gateway: Gateway) -> None:
    """Web has stored the accounts of its environment, which commands use."""
    gateway.accounts.providers()


def run(environment: dict[str, str], *arguments: str) -> Any:
    return CliRunner(env=environment).invoke(batchgate, ["containers", "adopt", "--project", "alpha", *arguments])


def test_a_container_is_shown_first_and_adopted_once(
    client: KeyClient, environment: dict[str, str], app: OpenAIProviderApp
) -> None:
    native_id = "cntr_native"
    app.containers[native_id] = FakeContainer(native_id, "made by a model", 1700000000, {})
    app.put(native_id, "/mnt/data/plot.png", b"\x89PNG")

    told = run(environment, "--provider", "openai", "--id", native_id)
    assert (told.exit_code, "Nothing was changed" in told.output) == (0, True)
    assert client.get("/v1/containers").json["data"] == []
    adopted = run(environment, "--provider", "openai", "--id", native_id, "--yes").output.strip()
    assert client.get(f"/v1/containers/{adopted}").json["name"] == "made by a model"
    [item] = client.get(f"/v1/containers/{adopted}/files").json["data"]
    assert client.get(f"/v1/containers/{adopted}/files/{item['id']}/content").data == b"\x89PNG"
    for wrong in (["openai", native_id], ["openai", "cntr_nope"], ["groq", "x"]):
        assert run(environment, "--provider", wrong[0], "--id", wrong[1], "--yes").exit_code == 2


def test_where_containers_are_read_only_their_files_are_read(
    openrouter: ServedApp, client: KeyClient, environment: dict[str, str]
) -> None:
    openrouter.app.containers["cntr_1"] = {"/mnt/data/a.txt": b"hello"}
    adopted = run(environment, "--provider", "openrouter", "--id", "cntr_1", "--yes").output.strip()
    at = f"/v1/containers/{adopted}"

    [item] = client.get(f"{at}/files").json["data"]
    assert (item["path"], item["bytes"], item["source"]) == ("/mnt/data/a.txt", 5, "assistant")
    assert client.get(f"{at}/files/{item['id']}").json["id"] == item["id"]
    assert client.get(f"{at}/files/{item['id']}/content").data == b"hello"
    assert client.get(at).json["status"] == "running"
    for method, path in (("DELETE", at), ("DELETE", f"{at}/files/{item['id']}"), ("POST", f"{at}/files")):
        refused = client.open(path, method=method, json={"file_id": "x"})
        assert (refused.status_code, refused.json["error"]["code"]) == (400, "unsupported_operation")
        assert "openrouter" in refused.json["error"]["message"]
