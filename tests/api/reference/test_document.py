"""The OpenAPI document: it is the routes, everything in it is described, and its examples are what it says."""

import copy
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from app.services.gateway import Gateway
from tests.architecture.test_routes import routes
from tests.conftest import KeyClient
from tests.support.described import closed

pytestmark = pytest.mark.one_database

METHODS = ("get", "put", "post", "delete", "patch")
Part = dict[str, Any]


@pytest.fixture
def document(client: KeyClient) -> Part:
    return dict(client.get("/openapi.json").json)


def operations(document: Part) -> Iterator[tuple[str, str, Part]]:
    for path, item in document["paths"].items():
        yield from ((path, method, item[method]) for method in METHODS if method in item)


def servers(document: Part, operation: Part) -> list[str]:
    listed = operation.get("servers", document["servers"])
    return [server["url"].rstrip("/") for server in listed]


def test_the_document_is_the_routes(gateway: Gateway, document: Part) -> None:
    described = set()
    for path, method, operation in operations(document):
        names = [one["name"] for one in operation.get("parameters", []) if one.get("in") == "path"]
        bare = path
        for name in names:
            bare = bare.replace(f"{{{name}}}", "{}")
        described |= {f"{method.upper()} {server}{bare}" for server in servers(document, operation)}
    served = {route for route in routes(gateway) if not route.startswith("HEAD ")}
    missing = "routes that the document lacks: describe them in app/api/reference/described"
    assert served - described == set(), missing
    assert described - served == set(), "operations of the document that are no routes"


def test_nothing_is_described_that_is_no_operation(document: Part) -> None:
    from app.api.reference.described import BY_NAME

    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert sorted(names) == sorted(BY_NAME)


def test_operations_say_what_they_do_and_who_may(document: Part) -> None:
    for path, method, operation in operations(document):
        of = f"{method} {path}"
        assert operation["summary"], of
        assert operation["tags"], of
        is_open = path.startswith(("/docs", "/openapi", "/healthz", "/readyz", "/webhooks/"))
        assert bool(operation["security"]) is not is_open, of
        assert is_open or path == "/metrics" or {"401", "403", "500"} <= set(operation["responses"]), of
        for parameter in operation.get("parameters", []):
            given = (
                document["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
                if "$ref" in parameter
                else parameter
            )
            assert given["description"], (of, given["name"])


def test_every_field_is_described(document: Part) -> None:
    lacking = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, given in schema.get("properties", {}).items()
        if not given.get("description")
    ]
    assert lacking == [], "give these fields `metadata=about(...)`"


def test_references_lead_somewhere_and_nothing_is_left_over(document: Part) -> None:
    used = set(references(document))
    there = {f"#/components/{kind}/{name}" for kind, group in document["components"].items() for name in group}
    assert used - there == set()
    assert {name for name in there - used if not name.startswith("#/components/securitySchemes/")} == set()


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_examples_are_what_the_schemas_say(document: Part) -> None:
    schemas = document["components"]["schemas"]
    everything = {"components": {"schemas": closed(schemas)}}
    wrong = []
    for name, schema in schemas.items():
        for field, given in schema.get("properties", {}).items():
            validator = jsonschema_rs.Draft202012Validator({**copy.deepcopy(given), **everything})
            wrong += [f"{name}.{field}" for example in given.get("examples", []) if not validator.is_valid(example)]
    for _, _, operation in operations(document):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            validator = jsonschema_rs.Draft202012Validator({**media["schema"], **everything})
            wrong += [name for name, one in media.get("examples", {}).items() if not validator.is_valid(one["value"])]
    assert wrong == []


def test_servers_are_the_prefixes_of_the_face(document: Part) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "Batchgate"
    assert [server["url"] for server in document["servers"]] == ["/v1", "/openai/v1", "/openai", "/openai/openai"]
