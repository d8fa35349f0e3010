"""One operation of the OpenAPI document."""

import inspect
import re
from typing import Any

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema

from app.api.idempotency import REPLAYED_HEADER
from app.api.reference import shared
from app.api.reference.conversion import name_of, properties, required
from app.api.reference.described import BY_NAME
from app.api.reference.described.declared import BYTES, JSON, MULTIPART, Body, Described
from app.api.reference.routes import KEY, OPEN, Route
from app.schemas.answers.anthropic import Error as AnthropicError

Operation = dict[str, Any]
PATH_PARAMETER = re.compile(r"\{(\w+)\}")
PATHS = {
    "file_id": "The file's id, here or at the provider.",
    "batch_id": "The batch's id, here or at the provider.",
    "upload_id": "The upload's id.",
    "webhook_endpoint_id": "The endpoint's id.",
    "webhook_delivery_id": "The delivery's id.",
    "model_id": "The model's name, as the list has it.",
    "container_id": "The container's id, here or at the provider.",
    "key_id": "The key's id: the part of the key between `sk-bf-` and the next hyphen.",
    "name": "The name.",
    "provider": "The provider.",
    "account": "The name of the account.",
    "asset": "The name of the file.",
}
MAX_ID_LENGTH = 512
UNCHANGED = "The client's copy is current."


def operation(route: Route, name: str, converter: OpenAPIConverter) -> Operation:
    """The operation `name` of `route`. Raises LookupError that says what to add when nothing describes it."""
    described = _described(route, name)
    summary, _, rest = inspect.cleandoc(route.view.__doc__ or "").partition("\n")
    made: Operation = {"operationId": name, "tags": [described.tag], "summary": summary.strip().rstrip(".")}
    if rest.strip():
        made["description"] = rest.strip()
    parameters = [*_in_path(route, described), *_in_query(route, converter), *_shared(route, described)]
    if parameters:
        made["parameters"] = parameters
    if described.bodies:
        made["requestBody"] = {
            "required": described.bodies[0].is_required,
            "content": {body.media_type: _body(body, converter) for body in described.bodies},
        }
    successes = _content() if described.is_content else _successes(route, described, converter)
    refusals = {str(code): _refusal(code, route, converter) for code in sorted(_codes(route, described))}
    failures = {str(code): _failure(code, schema, converter) for code, schema in described.failing.items()}
    return {**made, "responses": {**successes, **refusals, **failures}, "security": _security(route, described)}


def _security(route: Route, described: Described) -> list[dict[str, list[str]]]:
    if described.has_own_token:
        return shared.METRICS
    return shared.SECURITY if route.guard != OPEN else []


def _described(route: Route, name: str) -> Described:
    if name not in BY_NAME:
        raise LookupError(
            f"{route.method} {route.path}: nothing describes the operation {name}. Add it to OPERATIONS of a module in "
            "app/api/reference/described, with the schema of its answer in app/schemas/answers."
        )
    unknown = set(PATH_PARAMETER.findall(route.path)) - set(PATHS)
    if unknown:
        raise LookupError(f"{route.path}: describe {min(unknown)!r} in PATHS of app/api/reference/operations.py.")
    return BY_NAME[name]


def _in_path(route: Route, described: Described) -> list[dict[str, Any]]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    if not described.is_empty:  # which is answered alike, whatever it is about
        schema["maxLength"] = MAX_ID_LENGTH
    return [
        {"name": name, "in": "path", "required": True, "description": PATHS[name], "schema": schema}
        for name in PATH_PARAMETER.findall(route.path)
    ]


def _in_query(route: Route, converter: OpenAPIConverter) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for schema in getattr(route.view, "query", ()):
        needed = required(schema)
        for name, given in properties(converter, schema).items():
            description = given.pop("description")
            parameter = {"name": name, "in": "query", "required": name in needed, "description": description}
            found.setdefault(name, {**parameter, "schema": given})
    return list(found.values())


def _shared(route: Route, described: Described) -> list[str]:
    """Names of parameters among the components; apispec makes references of them."""
    names = [*shared.EVERYWHERE] if route.names_providers else []
    if getattr(route.view, "is_idempotent", False):
        names.append("idempotency_key")
    if described.is_content:
        names += ["range", "if_none_match"]
    return names


def _body(body: Body, converter: OpenAPIConverter) -> dict[str, Any]:
    if body.more:
        name = name_of(body.schema)
        converter.spec.components.schema(name, component=_extended(body, converter))
        schema = shared.reference("schemas", name)
    else:
        schema = converter.resolve_nested_schema(body.schema())  # type: ignore[no-untyped-call]
    return {"schema": schema, "examples": dict(body.examples)} if body.examples else {"schema": schema}


def _extended(body: Body, converter: OpenAPIConverter) -> dict[str, Any]:
    known = properties(converter, body.schema)
    if body.media_type == MULTIPART:
        for schema in known.values():
            schema.pop("minLength", None)  # an empty field of a form counts as absent
    whole = {
        "type": "object",
        "properties": {**known, **body.more},
        "additionalProperties": False,
    }
    needed = [*required(body.schema), *body.needs]
    return {**whole, "required": needed} if needed else whole


def _successes(route: Route, described: Described, converter: OpenAPIConverter) -> dict[str, Any]:
    content = {media_type: {"schema": schema} for media_type, schema in described.media.items()}
    if described.answer is not None:
        content[JSON] = {"schema": converter.resolve_nested_schema(described.answer())}  # type: ignore[no-untyped-call]
    more = [REPLAYED_HEADER] if getattr(route.view, "is_idempotent", False) else []
    more += [*described.headers, *(["request-id"] if route.is_anthropic else [])]
    more += ["Location"] if getattr(route.view, "is_located", False) else []
    if described.is_empty:
        return {"204": {"description": "It is taken.", "headers": shared.headers(*more)}}
    done = {"description": "It is done.", "headers": shared.headers(*more), "content": content}
    if described.may_be_unchanged:
        headers = shared.headers("ETag")
        return {"200": {**done, "headers": headers}, "304": {"description": UNCHANGED, "headers": headers}}
    if not described.is_created_at_azure:
        return {"200": done}
    return {"200": done, "201": {**done, "description": "It is done, for clients of Azure's dated API."}}


def _refusal(code: int, route: Route, converter: OpenAPIConverter) -> dict[str, Any]:
    if not route.is_anthropic:
        return shared.reference("responses", shared.REFUSALS[code].name)
    failure = _failure(code, AnthropicError, converter)
    return {**failure, "headers": {**failure["headers"], **shared.headers("request-id")}}


def _failure(code: int, schema: type[Schema], converter: OpenAPIConverter) -> dict[str, Any]:
    body = converter.resolve_nested_schema(schema())  # type: ignore[no-untyped-call]
    refusal = shared.REFUSALS[code]
    return {
        "description": refusal.description,
        "headers": shared.headers(*refusal.headers),
        "content": {JSON: {"schema": body}},
    }


# Operations that may call a provider, and the statuses of its refusals that callers get as they are.
AT_PROVIDERS = (
    *("file_upload", "file_retrieve", "file_content", "file_delete", "upload_complete", "container_"),
    *("batch_create", "batch_retrieve", "batch_cancel", "batch_delete", "batch_results", "batch_retry", "batch_clone"),
)
OF_PROVIDERS = {404, 405, 408, 409, 413}


def _content() -> dict[str, Any]:
    always = ("Accept-Ranges", "ETag", "Content-Disposition")
    content = {"application/octet-stream": {"schema": BYTES}}
    part = shared.headers(*always, "Content-Range")
    return {
        "200": {"description": "The bytes.", "headers": shared.headers(*always), "content": content},
        "206": {"description": "A part of the bytes.", "headers": part, "content": content},
        "302": {"description": "Where the bytes are.", "headers": shared.headers("Location")},
        "304": {"description": UNCHANGED, "headers": shared.headers(*always)},
    }


def _codes(route: Route, described: Described) -> set[int]:
    """The statuses of refusals and failures."""
    codes = {*described.refused, 500}
    if route.guard != OPEN:
        codes |= {401, 403, 503}
    if route.guard == KEY:
        codes |= {429, 502, 504}  # a provider's own key is checked there
    if route.name.removeprefix("anthropic_").startswith(AT_PROVIDERS):
        codes |= OF_PROVIDERS
    if "{" in route.path:
        codes.add(404)
    if described.bodies:
        codes |= {408, 413}
    if described.is_content:
        codes.add(416)
    if described.stores_bytes:
        codes.add(507)
    return codes
