"""Is the process up, and can it serve? The only routes without a key."""

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
    """The process answers; nothing else is asked."""
    return _json({"status": "ok"}, 200)


@blueprint.get("/readyz")
@operation("readyz")
def readyz() -> Response:
    """Database and blob store work. When a worker was last seen is told, not required."""
    report = health.check(gateway())
    return _json(report.as_dict(), 200 if report.ready else 503)


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
