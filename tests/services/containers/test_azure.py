"""Containers at Azure: on its v1 surface they are OpenAI's; on the dated one there are none."""

import pytest
from openai import OpenAI

from app.services.accounts import add
from app.services.accounts.add import NewAccount
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.azure_app import AzureApp
from tests.fakes.serving import ServedApp
from tests.services.containers.test_containers import calls
from tests.support.server import LiveServer

KEY = "canary-azure-key"


@pytest.fixture(params=[False], ids=["v1"])
def app(request: pytest.FixtureRequest) -> AzureApp:
    return AzureApp(dated=request.param, api_key=KEY)


@pytest.fixture
def environment(environment: dict[str, str], server: ServedApp, app: AzureApp) -> dict[str, str]:
    mine = {name: value for name, value in environment.items() if not name.startswith("OPENAI_")}
    dated = {"AZURE_OPENAI_API_VERSION": "2024-10-21"} if app.dated else {}
    return {**mine, "AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": server.url, **dated}


def test_the_official_sdk_works_unchanged(live_server: LiveServer, app: AzureApp, server: ServedApp) -> None:
    with OpenAI(base_url=f"{live_server.url}/openai/v1", api_key=live_server.key, max_retries=0) as sdk:
        box = sdk.containers.create(name="box")
        [native] = app.containers
        sent = sdk.containers.files.create(box.id, file=("a.txt", b"sent"))
        app.put(native, "/mnt/data/plot.png", b"\x89PNG")
        found = {item.path.rpartition("/")[2]: item for item in sdk.containers.files.list(box.id, limit=1)}
        assert (len(found), found["plot.png"].source) == (2, "assistant")
        read = sdk.containers.files.content.retrieve(found["plot.png"].id, container_id=box.id)
        assert read.read() == b"\x89PNG"
        sdk.containers.files.delete(sent.id, container_id=box.id)
        sdk.containers.delete(box.id)
    assert app.containers == {}
    assert {path.split("/containers")[0] for _, path in calls(server)} == {"/openai/v1"}


@pytest.mark.parametrize("app", [True], ids=["dated"], indirect=True)
def test_the_dated_surface_has_no_containers(client: KeyClient, server: ServedApp) -> None:
    refused = client.post("/v1/containers", json={"name": "box"})

    assert (refused.status_code, refused.json["error"]["code"]) == (400, "unsupported_operation"), refused.text
    assert "azure" in refused.json["error"]["message"] and "container_create" in refused.json["error"]["message"]
    assert server.requests == []
    assert client.get("/v1/containers").json["data"] == []


def test_of_two_accounts_the_one_that_has_containers_gets_them(
    client: KeyClient, gateway: Gateway, app: AzureApp
) -> None:
    dated = AzureApp(dated=True, api_key="other")
    with ServedApp(dated) as second:
        options = {"api_version": "2024-10-21"}
        add.add(gateway, NewAccount("azure", "old", second.url, "other", weight=1000, options=options))
        gateway.accounts.reread()
        second.forget()
        for query in ("", "", "", "?provider=azure", "?provider=azure"):
            answer = client.post(f"/v1/containers{query}", json={"name": "box"})
            assert answer.status_code == 200, answer.text
        refused = client.post("/v1/containers", json={"name": "box"}, headers={"x-bf-api-key": "old"})
        assert (refused.status_code, refused.json["error"]["code"]) == (400, "unsupported_operation")
        assert len(app.containers) == 5
        for item in client.get("/v1/containers").json["data"]:
            assert client.get(f"/v1/containers/{item['id']}/files").status_code == 200
            assert client.delete(f"/v1/containers/{item['id']}?provider=azure").status_code == 200
        assert second.requests == []
    assert app.containers == {}
