"""Anthropic's Models API: the models that the accounts' providers list."""

from flask import Blueprint, Response

from app.api import query
from app.api.anthropic import wire
from app.api.anthropic.answers import answer
from app.api.context import caller, gateway
from app.api.operation import operation
from app.api.provider import explicit_provider
from app.errors import InvalidRequestError, NotFoundError
from app.schemas import anthropic as schemas
from app.services.accounts import models
from app.services.accounts.models import Model

blueprint = Blueprint("models", __name__)


@blueprint.get("/models")
@operation("model_list", schemas.Page)
def list_() -> Response:
    """A page of all models, in the order of their names."""
    fields = query.read(schemas.Page)
    found = _all()
    names = [model.id for model in found]
    start, stop, limit = 0, len(found), fields["limit"]
    if fields["after_id"] is not None:
        start = _position(names, fields["after_id"], "after_id") + 1
    if fields["before_id"] is not None:
        stop = _position(names, fields["before_id"], "before_id")
        start = max(start, stop - limit)
    data = [wire.model(model) for model in found[start:stop][:limit]]
    has_more = start > 0 if fields["before_id"] is not None else stop - start > limit
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return answer({"data": data, "has_more": has_more, "first_id": first, "last_id": last})


@blueprint.get("/models/<path:model_id>")
@operation("model_retrieve", schemas.Beta)
def retrieve(model_id: str) -> Response:
    """A model."""
    for model in _all():
        if model.id == model_id:
            return answer(wire.model(model))
    raise NotFoundError(f"No account lists the model {model_id:.200}.")


def _all() -> list[Model]:
    found = models.list_(gateway(), caller(), provider=explicit_provider())
    by_name = {model.id: model for model in found if model.id is not None}
    return [by_name[name] for name in sorted(by_name)]


def _position(names: list[str | None], named: str, param: str) -> int:
    if named not in names:
        raise InvalidRequestError(f"{param}: there is no model {named:.100}.", param=param)
    return names.index(named)
