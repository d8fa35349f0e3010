"""Liveness and readiness: the only routes that need no key."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Flask, Response, current_app

from app.api.context import EXTENSION
from app.api.operation import operation
from app.lib import json
from app.services.health import Probe

PROBE = "batchgate.probe"

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@operation("healthz")
def healthz() -> Response:
    """The process answers; nothing else is checked."""
    return _json({"status": "ok"}, 200)


@blueprint.get("/readyz")
@operation("readyz")
def readyz() -> Response:
    """Database, key ring and blob store worked a few seconds ago. The body also says when a worker was last seen."""
    report = probe_of(current_app).latest()
    return _json(asdict(report), 200 if report.ready else 503)


def probe_of(app: Flask) -> Probe:
    """The probe of the application's gateway."""
    served, probe = app.extensions[EXTENSION], app.extensions.get(PROBE)
    if probe is None or probe.gateway is not served:
        probe = app.extensions[PROBE] = Probe(served)
    return probe


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
