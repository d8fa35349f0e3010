"""GET /models: the models that the accounts' providers list."""

from typing import Any

from flask import Blueprint, Response

from app.api.context import caller, gateway
from app.api.operation import answer, operation
from app.api.provider import explicit_provider
from app.services.accounts import models
from app.services.accounts.models import Model

blueprint = Blueprint("models", __name__)


@blueprint.get("/models")
@operation("model_list")
def list_models() -> Response:
    """Every model that a reachable account lists; `id` is the name to use in batch lines."""
    provider = explicit_provider()
    found = models.list_(gateway(), caller(), provider=provider)
    return answer({"object": "list", "data": [_wire(model) for model in found]}, provider=provider)


def _wire(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
        "provider": model.provider,
    }
