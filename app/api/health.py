"""What supervisors ask: liveness and readiness, without a key, and metrics, with a token of their own."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import NotFound

from app.api.context import EXTENSION
from app.api.operation import operation
from app.errors import AuthenticationError
from app.lib import json
from app.services.health import Probe
from app.services.metrics import server
from app.services.metrics.exposition import Exposition

PROBE, EXPOSITION = "batchgate.probe", "batchgate.metrics"

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


@blueprint.get(server.PATH)
@operation("metrics")
def metrics() -> Response:
    """What all processes of this host have counted, and the state of the store. 404 while metrics are off."""
    exposition = _exposition_of(current_app)
    if not exposition.gateway.settings.metrics_token:
        raise NotFound
    if not server.is_allowed(exposition.gateway, request.headers.get("Authorization") or ""):
        raise AuthenticationError("Send BATCHGATE_METRICS_TOKEN as a bearer token.")
    body, content_type = exposition.render(request.headers.get("Accept") or "")
    return Response(body, content_type=content_type)


def probe_of(app: Flask) -> Probe:
    """The probe of the application's gateway."""
    served, probe = app.extensions[EXTENSION], app.extensions.get(PROBE)
    if probe is None or probe.gateway is not served:
        probe = app.extensions[PROBE] = Probe(served)
    return probe


def _exposition_of(app: Flask) -> Exposition:
    served, found = app.extensions[EXTENSION], app.extensions.get(EXPOSITION)
    if found is None or found.gateway is not served:
        found = app.extensions[EXPOSITION] = Exposition(served)
    return found


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
