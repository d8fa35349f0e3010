"""The OpenAPI document: made from the routes, their views and schemas, and what `described` adds."""

from collections import Counter
from typing import Any, cast

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask

from app.api.openai import AZURE_PREFIX
from app.api.reference import shared
from app.api.reference.conversion import name_of, prepare
from app.api.reference.described import BY_NAME
from app.api.reference.operations import Operation, operation
from app.api.reference.routes import FACES, Route, routes
from app.schemas.answers.errors import Error
from app.schemas.webhooks import BatchWebhook
from app.version import VERSION

OPENAPI = "3.1.0"
ABOUT = """One URL for the Files, Batches and Containers APIs of every model provider.

Paths of files, uploads, batches, containers and models are those of OpenAI's API. They exist under several prefixes,
which are listed as servers; `/v1` is the usual one. Every GET may also be sent as HEAD.

Objects have OpenAI's fields, and `extra_fields` with what the gateway adds. Errors have one form, `Error`. More fields
may be added to objects at any time; bodies of requests refuse fields that they do not know.

Lists are pages: send the `last_id` of one as `after` to get the next, while `has_more` is true.
"""
USES = {"/v1": "The usual prefix", AZURE_PREFIX: "For Azure's SDK with an endpoint that ends with /openai"}


def build(flask: Flask) -> dict[str, Any]:
    """The document for the routes of `flask`. Raises LookupError for a route that nothing describes."""
    plugin = MarshmallowPlugin(schema_name_resolver=name_of)
    spec = APISpec(
        title="Batchgate",
        version=VERSION,
        openapi_version=OPENAPI,
        plugins=[plugin],
        info={"description": ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        servers=[_server(face) for face in FACES],
        tags=[{"name": tag} for tag in dict.fromkeys(described.tag for described in BY_NAME.values())],
    )
    converter = cast(OpenAPIConverter, plugin.converter)  # set when the plugin was handed over
    prepare(converter)
    _add_components(spec, converter)
    found = list(routes(flask))
    counts = Counter(route.name for route in found)
    paths: dict[str, dict[str, Operation]] = {}
    for route in found:
        made = operation(route, _name(route, counts), converter)
        if route.faces != FACES:
            made["servers"] = [_server(face) for face in route.faces] or [{"url": "/"}]
        paths.setdefault(route.path, {})[route.method.lower()] = made
    for path, operations in paths.items():
        spec.path(path, operations=operations)
    return dict(spec.to_dict())


def _name(route: Route, counts: Counter[str]) -> str:
    """The name of a route's operation. Of routes that share one, only a POST has it as it is."""
    is_alone = counts[route.name] == 1 or route.method == "POST"
    return route.name if is_alone else f"{route.name}_{route.method.lower()}"


def _add_components(spec: APISpec, converter: OpenAPIConverter) -> None:
    for name, scheme in shared.SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    for name, parameter in shared.PARAMETERS.items():
        spec.components.parameter(name, parameter["in"], parameter)
    for name, header in shared.HEADERS.items():
        spec.components.header(name, header)
    converter.resolve_nested_schema(BatchWebhook())  # type: ignore[no-untyped-call]  # a field refers to it by its name
    error = converter.resolve_nested_schema(Error())  # type: ignore[no-untyped-call]
    for name, response in shared.responses(error).items():
        spec.components.response(name, response)


def _server(face: str) -> dict[str, str]:
    return {"url": face, "description": USES.get(face, "The same, for clients that are pointed here")}
