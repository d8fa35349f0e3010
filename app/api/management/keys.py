"""Virtual keys, at the paths and with the fields that Bifrost has, where it has them."""

from typing import Any

from flask import Blueprint, Response, g

from app.api.context import gateway
from app.api.management.asking import actor, body, changes, query
from app.api.management.key_wire import budget_of, fields_of, wire
from app.api.operation import answer, list_answer, operation
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.schemas.management import ChangeKey, CreateKey, ListKeys, Nothing, RevokeKey, RotateKey
from app.services.access import keys, projects
from app.services.gateway import Actor
from app.services.money import budgets

blueprint = Blueprint("keys", __name__, url_prefix="/governance/virtual-keys")


@blueprint.get("")
@operation("key_list")
def list_() -> Response:
    """Keys of all projects, or of one, oldest first."""
    asked = query(ListKeys)
    try:
        if asked["after"] is not None:
            keys.retrieve(gateway(), asked["after"])
    except NotFoundError as error:
        raise InvalidRequestError(f"after: {error.message}", param="after") from error
    limit = asked.pop("limit")
    found = keys.list_(gateway(), limit=limit + 1, **asked)
    return list_answer([wire(key) for key in found[:limit]], has_more=len(found) > limit)


@blueprint.post("")
@operation("key_create")
def create() -> Response:
    """Make a key; `value` is the key itself, shown now and never again."""
    asked, who = body(CreateKey), actor()
    name, project, budget = asked.pop("name"), asked.pop("project"), asked.pop("budget", None)
    is_active = asked.pop("is_active", True)
    _check_project(project)
    issued = keys.create(gateway(), project=project, name=name, **fields_of(asked), actor=who)
    if budget is not None:
        _set_budget(issued.public_id, project, budget, who)
    if not is_active:
        keys.expire(gateway(), issued.public_id, actor=who)
    return _answer(issued.public_id, value=issued.key)


@blueprint.get("/<string:key_id>")
@operation("key_retrieve")
def retrieve(key_id: str) -> Response:
    """A key, whatever its state."""
    return _answer(key_id)


@blueprint.put("/<string:key_id>")
@operation("key_update")
def change(key_id: str) -> Response:
    """Set the fields that are sent. `is_active: false` expires the key, `true` takes its expiry away."""
    g.object_id = key_id
    asked, who = changes(ChangeKey), actor()
    known = keys.retrieve(gateway(), key_id)
    budget = asked.pop("budget", None)
    is_active = asked.pop("is_active", None)
    if is_active and known.state == keys.EXPIRED:
        asked.setdefault("expires_at", None)
    fields = fields_of(asked, known.limits)
    if fields:
        keys.update(gateway(), key_id, **fields, actor=who)
    elif known.revoked_at is not None:
        raise ConflictError(f"Key {key_id} is revoked: make a new one.")
    if budget is not None:
        _set_budget(key_id, known.project, budget, who)
    if is_active is False and known.state in (keys.ACTIVE, keys.ARCHIVED):
        keys.expire(gateway(), key_id, actor=who)
    return _answer(key_id)


@blueprint.delete("/<string:key_id>")
@operation("key_revoke")
def delete(key_id: str) -> Response:
    """Revoke a key; its running work goes on, its row stays."""
    g.object_id = key_id
    _revoke(key_id, stop=False)
    return answer({"id": key_id, "object": "virtual_key.deleted", "deleted": True})


@blueprint.post("/<string:key_id>/rotate")
@operation("key_rotate")
def rotate(key_id: str) -> Response:
    """Give a key another secret, shown now and never again; the old one ends after `grace_seconds`."""
    g.object_id = key_id
    asked = body(RotateKey, required=False)
    issued = keys.rotate(gateway(), key_id, grace_s=asked["grace_seconds"], actor=actor())
    return _answer(key_id, value=issued.key)


@blueprint.post("/<string:key_id>/expire")
@operation("key_expire")
def expire(key_id: str) -> Response:
    """End a key now; what runs goes on to its end."""
    g.object_id = key_id
    body(Nothing, required=False)
    keys.expire(gateway(), key_id, actor=actor())
    return _answer(key_id)


@blueprint.post("/<string:key_id>/revoke")
@operation("key_revoke")
def revoke(key_id: str) -> Response:
    """End a key for good, with `stop` its running work, too."""
    g.object_id = key_id
    _revoke(key_id, stop=body(RevokeKey, required=False)["stop"])
    return _answer(key_id)


def _revoke(key_id: str, *, stop: bool) -> None:
    keys.retrieve(gateway(), key_id)
    if not keys.revoke(gateway(), key_id, stop=stop, actor=actor()):
        raise ConflictError(f"Key {key_id} is {'stopped' if stop else 'revoked'} already.")


def _check_project(name: str) -> None:
    try:
        found = projects.retrieve(gateway(), name)
    except NotFoundError as error:
        text = f"project: {error.message} Make it with POST /api/projects."
        raise InvalidRequestError(text, param="project") from error
    if found.archived_at is not None:
        raise ConflictError(f"Project {name} is archived: it gets no new keys.", param="project")


def _set_budget(key_id: str, project: str, budget: dict[str, Any], who: Actor) -> None:
    budgets.set_(gateway(), project=project, key=key_id, **budget_of(budget), actor=who)


def _answer(key_id: str, *, value: str | None = None) -> Response:
    found = keys.retrieve(gateway(), key_id)
    own = budgets.list_(gateway(), project=found.project, key=key_id)
    return answer(wire(found, own, value=value))
