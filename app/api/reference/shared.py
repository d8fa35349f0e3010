"""What operations have in common: who may call, parameters, headers, and how requests are refused."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.api.auth import HEADERS as KEY_HEADERS
from app.api.idempotency import HEADER as IDEMPOTENCY
from app.api.idempotency import REPLAYED_HEADER
from app.lib.headers import PROJECT
from app.services.idempotency import MAX_KEY_LENGTH

Part = dict[str, Any]
BEARER = "bearer"
SCHEMES: dict[str, Part] = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "A virtual key of the gateway (`sk-bf-...`), or a JWT of an issuer that it trusts.",
    },
    "metrics_token": {
        "type": "http",
        "scheme": "bearer",
        "description": "BATCHGATE_METRICS_TOKEN, which opens the metrics and nothing else.",
    },
    **{
        name: {"type": "apiKey", "in": "header", "name": name, "description": "The same, as other clients send it."}
        for name in KEY_HEADERS
    },
}
METRICS: list[dict[str, list[str]]] = [{"metrics_token": []}]
SECURITY: list[dict[str, list[str]]] = [{name: []} for name in (BEARER, *KEY_HEADERS)]

NAMED = {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["openai"]}
PARAMETERS: dict[str, Part] = {
    "provider": {
        "name": "provider",
        "in": "query",
        "schema": NAMED,
        "description": "The provider that the request is about. For an object that exists, it has to be the object's.",
    },
    "model_provider_query": {
        "name": "x-model-provider",
        "in": "query",
        "schema": NAMED,
        "description": "The same as `provider`.",
    },
    "model_provider": {
        "name": "x-model-provider",
        "in": "header",
        "schema": NAMED,
        "description": "The same as the query's `provider`.",
    },
    "api_version": {
        "name": "api-version",
        "in": "query",
        "schema": {"type": "string", "examples": ["2024-10-21"]},
        "description": "Marks a client of Azure's API, whose default provider is `azure`.",
    },
    "project": {
        "name": PROJECT,
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["team-a"]},
        "description": "The project to act in, for JWTs of admins. For other credentials, it has to be their own.",
    },
    "idempotency_key": {
        "name": IDEMPOTENCY,
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "examples": ["nightly-2026-01-31"]},
        "description": "The same request with the same key is done once in 24 hours, and answered the same again.",
    },
    "range": {
        "name": "Range",
        "in": "header",
        "schema": {"type": "string", "examples": ["bytes=0-1023"]},
        "description": "The part of the bytes to answer with.",
    },
    "if_none_match": {
        "name": "If-None-Match",
        "in": "header",
        "schema": {"type": "string", "examples": ['"9f86d081884c7d65"']},
        "description": "An ETag: the answer is 304 if the content is still that one.",
    },
}
EVERYWHERE = ("provider", "model_provider_query", "model_provider", "api_version", "project")

HEADERS: dict[str, Part] = {
    "x-request-id": {
        "required": True,
        "schema": {"type": "string", "examples": ["req_0198f0c2a7d34c5b"]},
        "description": "The id of the request, also in logs and events.",
    },
    "request-id": {
        "schema": {"type": "string", "examples": ["req_0198f0c2a7d34c5b"]},
        "description": "The same, where Anthropic's clients look for it.",
    },
    "Retry-After": {
        "schema": {"type": "integer", "minimum": 1, "examples": [5]},
        "description": "Seconds to wait before the request is sent again.",
    },
    "x-should-retry": {
        "schema": {"type": "string", "enum": ["false"]},
        "description": "Tells SDKs not to repeat the request by themselves.",
    },
    REPLAYED_HEADER: {
        "schema": {"type": "string", "enum": ["true"]},
        "description": "The request was answered before, and nothing was done again.",
    },
    "Location": {
        "schema": {"type": "string"},
        "description": "Where the content or the new object is.",
    },
    "ETag": {"schema": {"type": "string"}, "description": "What identifies the content."},
    "Accept-Ranges": {"schema": {"type": "string", "enum": ["bytes", "none"]}, "description": "Whether ranges work."},
    "Content-Range": {"schema": {"type": "string"}, "description": "Which part this is, or how large the content is."},
    "Content-Disposition": {"schema": {"type": "string"}, "description": "The file's name, always as an attachment."},
}


class Refusal(NamedTuple):
    """A way to refuse or fail: its name among the components, what it means, and headers besides x-request-id."""

    name: str
    description: str
    headers: tuple[str, ...] = ()


REFUSALS = {
    400: Refusal("BadRequest", "The request is not valid, or the provider cannot do this (`unsupported_operation`)."),
    401: Refusal("Unauthorized", "There is no credential, or it is wrong, expired or revoked."),
    402: Refusal("BudgetExceeded", "The batch could cost more than what is left of a budget."),
    403: Refusal("Forbidden", "The credential does not allow this."),
    404: Refusal("NotFound", "There is no such object in the project."),
    405: Refusal("MethodNotAllowed", "The path has other methods."),
    408: Refusal("RequestTimeout", "The body came too slowly."),
    409: Refusal(
        "Conflict",
        "The object's state does not allow this, or the idempotency key was used for another request.",
        ("Retry-After", "x-should-retry"),
    ),
    413: Refusal("PayloadTooLarge", "The body is too large."),
    416: Refusal("RangeNotSatisfiable", "The content has no such part.", ("Content-Range",)),
    429: Refusal("RateLimited", "A limit of the key, its project or the account is reached.", ("Retry-After",)),
    500: Refusal("InternalError", "The gateway failed."),
    502: Refusal("ProviderFailed", "The provider failed, or refused the gateway's account.", ("Retry-After",)),
    503: Refusal("Unavailable", "The gateway is overloaded, or its store is away.", ("Retry-After",)),
    504: Refusal("ProviderTimeout", "The provider did not answer in time.", ("Retry-After",)),
    507: Refusal("StorageFull", "There is no disk space left.", ("x-should-retry",)),
}


def reference(group: str, name: str) -> Part:
    """A reference to a component."""
    return {"$ref": f"#/components/{group}/{name}"}


def headers(*names: str) -> Part:
    """The headers of an answer: x-request-id, and `names`."""
    return {name: reference("headers", name) for name in ("x-request-id", *names)}


def responses(error: Mapping[str, Any]) -> dict[str, Part]:
    """The components that operations refer to when they refuse; `error` is the schema of the body."""
    content = {"application/json": {"schema": error}}
    return {
        name: {"description": description, "headers": headers(*more), "content": content}
        for name, description, more in REFUSALS.values()
    }
