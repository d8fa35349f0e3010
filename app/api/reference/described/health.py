"""Health, and the description of the API itself."""

from app.api.reference.described.declared import Described
from app.schemas.answers import health

HEALTH, REFERENCE = "Health", "Reference"
ASSETS = {"text/css": {"type": "string"}, "text/javascript": {"type": "string"}, "image/png": {"type": "string"}}
OPERATIONS = {
    "healthz": Described(HEALTH, health.Ok),
    "readyz": Described(HEALTH, health.Readiness, failing={503: health.Readiness}),
    "metrics": Described(
        HEALTH,
        media={name: {"type": "string"} for name in ("text/plain", "application/openmetrics-text")},
        refused=(401, 404),
        has_own_token=True,
    ),
    "key_check": Described(HEALTH, health.Ok, refused=(400,)),
    "openapi": Described(
        REFERENCE,
        media={"application/json": {"type": "object", "additionalProperties": True}},
        may_be_unchanged=True,
    ),
    "docs": Described(REFERENCE, media={"text/html": {"type": "string"}}, may_be_unchanged=True),
    "docs_asset": Described(REFERENCE, media=ASSETS, may_be_unchanged=True),
}
