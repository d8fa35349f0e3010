"""A caller with a provider's own key, even the operator's: what was made through the gateway is not theirs."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.services.gateway import Gateway
from tests.e2e.isolation.asking import body, filled, never
from tests.e2e.isolation.conftest import PROVIDER_KEY
from tests.e2e.isolation.test_elsewhere import ASKED
from tests.e2e.isolation.test_walk import World, everything_in, leaks, plain, routes
from tests.e2e.isolation.world import Names
from tests.support.web import application
from tools.docs import access as document

HEADERS = {"Authorization": f"Bearer {PROVIDER_KEY}", "x-model-provider": "openai"}
CURSORS = ("batch_list", "container_list", "file_list")


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_ALLOW_PROVIDER_KEYS": "true"}


@pytest.fixture
def flask(gateway: Gateway) -> Flask:
    return application(gateway)


class WithProviderKey(FlaskClient):
    """Sends the key and names its provider."""

    def open(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        return super().open(*args, **{**kwargs, "headers": {**kwargs.get("headers", {}), **HEADERS}})


@pytest.fixture
def client(flask: Flask) -> FlaskClient:
    flask.test_client_class = WithProviderKey
    return flask.test_client()


def test_nothing_of_a_project_is_there_for_who_has_the_key_of_its_provider(
    flask: Flask, client: FlaskClient, world: World
) -> None:
    alpha, _ = world
    for path in ("/files", "/batches", "/containers", "/models"):
        answer = client.get(f"/v1{path}")
        assert answer.status_code == 200, answer.text
        assert [word for word in (alpha.canary, *alpha.ids) if word in everything_in(answer)] == []
    for route in routes(flask, (document.KEY,)):
        if not route.names_object or not route.path.startswith("/v1/"):
            continue
        for names in (alpha.native, alpha.outside):
            answer, known = (
                client.open(filled(route, ids), method=route.method, **body(route, ids, "x"))
                for ids in (names, never(names))
            )
            assert answer.status_code == known.status_code >= 400, (route, answer.text)
            assert leaks(answer, alpha, names) == [], (route, answer.text)


def test_no_id_that_a_request_names_elsewhere_is_taken(client: FlaskClient, sparse: World) -> None:
    alpha, _ = sparse
    for names in (alpha.kept, alpha.native):
        for operation in CURSORS:
            ask = ASKED[operation, "after"]
            unknown = never(names)
            answer, known = ask(client, names, names), ask(client, unknown, unknown)
            assert answer.status_code == 400
            assert plain(answer, names) == plain(known, unknown)
        assert refused(client, names) == [400, 400]


def refused(client: FlaskClient, names: Names) -> list[int]:
    """A batch on a file of the project's, and a container with one."""
    batch = {"input_file_id": names.source, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    box = {"name": "box", "file_ids": [names.file]}
    return [client.post("/v1/batches", json=batch).status_code, client.post("/v1/containers", json=box).status_code]
