"""Holds answers to the API's description: their status, content type and headers are declared, their JSON fits."""

import copy
from functools import cache
from typing import Any

import jsonschema_rs
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.test import TestResponse

from app.api.reference.document import build
from app.api.reference.routes import FACES, PAGES

ALLOWED = 405
JSON = "application/json"


class Description:
    """The description of the routes of `flask`, made when the first answer is held to it."""

    def __init__(self, flask: Flask) -> None:
        self._flask = flask
        self.document = build(flask)
        self._schemas = closed(self.document["components"]["schemas"])

    def hold(self, answer: TestResponse) -> None:
        """Fails when the description does not say that the request may be answered so."""
        request = answer.request
        assert "x-request-id" in answer.headers, request.path
        if request.method == "OPTIONS" or answer.status_code == ALLOWED:
            return
        declared = self._operation(request.path, request.method)
        if declared is None:
            return
        of = f"{request.method} {request.path}: {answer.status_code}"
        responses = declared["responses"]
        hint = "say so in app/api/reference/described"
        assert str(answer.status_code) in responses, f"{of} is not declared; {hint}: {answer.text[:500]}"
        response = self._resolved(responses[str(answer.status_code)])
        known = {name.lower() for name in response.get("headers", {})}
        for name in ("retry-after", "x-should-retry", "idempotent-replayed", "content-range", "location"):
            assert name in known or name not in answer.headers, f"{of} has {name}, which is not declared; {hint}."
        content = response.get("content", {})
        if answer.status_code in (204, 302, 304) or request.method == "HEAD":
            return
        assert answer.mimetype in content, f"{of}: {answer.mimetype} is not declared; {hint}."
        schema = content[JSON]["schema"] if answer.mimetype == JSON else None
        if schema is not None and "$ref" in schema:
            errors = list(self._validator(schema["$ref"]).iter_errors(answer.json))
            shown = [f"{'.'.join(map(str, error.instance_path))}: {error.message[:300]}" for error in errors[:5]]
            assert errors == [], f"{of} does not fit {schema['$ref']} of app/schemas/answers: {shown}"

    def _operation(self, path: str, method: str) -> Any:
        adapter = self._flask.url_map.bind("localhost")
        try:
            rule, _ = adapter.match(path, method, return_rule=True)
        except (HTTPException, RequestRedirect):
            return None
        if rule.rule.startswith(PAGES):
            return None
        whole = "".join(f"{{{part}}}" if is_dynamic else part for is_dynamic, part in rule._trace).lstrip("|")
        face = max((prefix for prefix in FACES if whole.startswith(f"{prefix}/")), key=len, default="")
        return self.document["paths"][whole.removeprefix(face)]["get" if method == "HEAD" else method.lower()]

    def _resolved(self, response: dict[str, Any]) -> dict[str, Any]:
        name = response.get("$ref", "").rpartition("/")[2]
        return self.document["components"]["responses"][name] if name else response

    @cache  # noqa: B019 - one description lives as long as the process
    def _validator(self, reference: str) -> jsonschema_rs.Draft202012Validator:
        return jsonschema_rs.Draft202012Validator({"$ref": reference, "components": {"schemas": self._schemas}})


def closed(schemas: dict[str, Any]) -> dict[str, Any]:
    """`schemas` with no fields but those that they name."""
    found = copy.deepcopy(schemas)
    for schema in found.values():
        if schema.get("properties"):
            schema.setdefault("additionalProperties", False)
    return found


_made: list[Description] = []


def hold(flask: Flask, answer: TestResponse) -> None:
    """As `Description.hold`, with one description for all tests of the process, whose routes are the same."""
    if not _made:
        _made.append(Description(flask))
    _made[0].hold(answer)
