"""Liveness and readiness: the only routes that need no key."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.operation import operation
from app.lib import json
from app.services import health

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@operation("healthz")
def healthz() -> Response:
    """The process answers; nothing else is checked."""
    return _json({"status": "ok"}, 200)


@blueprint.get("/readyz")
@operation("readyz")
def readyz() -> Response:
    """Database, key ring and blob store work. The body also says when a worker was last seen."""
    report = health.check(gateway())
    return _json(asdict(report), 200 if report.ready else 503)


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
