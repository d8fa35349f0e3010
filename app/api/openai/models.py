"""GET /models: what the accounts' providers say they have."""

from flask import Blueprint, Response

from app.api.context import caller, gateway
from app.api.operation import answer, operation
from app.services.accounts import models

blueprint = Blueprint("models", __name__)


@blueprint.get("/models")
@operation("model_list")
def list_models() -> Response:
    """Every model that a reachable account lists; `id` is what a batch line names."""
    return answer({"object": "list", "data": models.list_(gateway(), caller())})
