"""The OpenAI face: the same operations under every prefix that its SDKs are pointed at."""

from flask import Blueprint, Flask

from app.api.auth import require_key
from app.api.openai import batches, container_files, containers, files, models, uploads, vendors
from app.api.webhooks.routes import blueprint as webhooks

PREFIXES = {"native": "/v1", "openai_v1": "/openai/v1", "openai": "/openai"}
# What the Azure SDK sends when its endpoint is the gateway + /openai.
AZURE_PREFIX = "/openai/openai"

EVERYWHERE = (files.blueprint, uploads.blueprint, batches.blueprint, containers.blueprint, container_files.blueprint)
NOT_AT_AZURE = (batches.extras, models.blueprint, webhooks)


def register(app: Flask) -> None:
    """Every route of the face, each behind the auth hook; calls of other vendors' APIs are refused."""
    for name, prefix in PREFIXES.items():
        _mount(app, name, prefix, (*EVERYWHERE, *NOT_AT_AZURE))
    _mount(app, "azure", AZURE_PREFIX, EVERYWHERE)


def _mount(app: Flask, name: str, prefix: str, blueprints: tuple[Blueprint, ...]) -> None:
    face = Blueprint(name, __name__, url_prefix=prefix)
    face.before_request(require_key)
    face.before_request(vendors.refuse)
    face.before_request(vendors.check_query)
    for blueprint in blueprints:
        face.register_blueprint(blueprint)
    app.register_blueprint(face)
