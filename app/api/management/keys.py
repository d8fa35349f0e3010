"""Routes of virtual keys, with Bifrost's paths and fields where it has them."""

from typing import Any

from flask import Blueprint, Response, g

from app.api.context import gateway
from app.api.management.key_wire import budget_of, fields_of, key_wire
from app.api.management.request import actor, body, changes, query
from app.api.operation import answer, list_answer, operation
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.schemas.management import ChangeKey, CreateKey, ListKeys, Nothing, RevokeKey, RotateKey
from app.services.access import keys, projects
from app.services.gateway import Actor
from app.services.money import budgets

blueprint = Blueprint("keys", __name__, url_prefix="/governance/virtual-keys")

KEY = "/<name('quota'):key_id>"


@blueprint.get("")
@operation("key_list", ListKeys)
def list_() -> Response:
    """Keys of all projects or of one, oldest first."""
    filters = query(ListKeys)
    try:
        if filters["after"] is not None:
            keys.retrieve(gateway(), filters["after"])
    except NotFoundError as error:
        raise InvalidRequestError(f"after: {error.message}", param="after") from error
    limit = filters.pop("limit")
    page = keys.list_(gateway(), limit=limit + 1, **filters)
    return list_answer([key_wire(key) for key in page[:limit]], has_more=len(page) > limit)


@blueprint.post("")
@operation("key_create")
def create() -> Response:
    """Create a key; `value` is the key itself, which is shown only once."""
    fields, admin = body(CreateKey), actor()
    name, project, budget = fields.pop("name"), fields.pop("project"), fields.pop("budget", None)
    is_active = fields.pop("is_active", True)
    _check_project(project)
    issued = keys.create(gateway(), project=project, name=name, **fields_of(fields), actor=admin)
    if budget is not None:
        _set_budget(issued.public_id, project, budget, admin)
    if not is_active:
        keys.expire(gateway(), issued.public_id, actor=admin)
    return _answer(issued.public_id, value=issued.key)


@blueprint.get(KEY)
@operation("key_retrieve")
def retrieve(key_id: str) -> Response:
    """A key, whatever its state."""
    return _answer(key_id)


@blueprint.put(KEY)
@operation("key_update")
def change(key_id: str) -> Response:
    """Change the given fields. `is_active: false` expires the key, `true` removes its expiry."""
    g.object_id = key_id
    sent, admin = changes(ChangeKey), actor()
    key = keys.retrieve(gateway(), key_id)
    budget = sent.pop("budget", None)
    is_active = sent.pop("is_active", None)
    if is_active and key.state == keys.EXPIRED:
        sent.setdefault("expires_at", None)
    fields = fields_of(sent, key.limits)
    if fields:
        keys.update(gateway(), key_id, **fields, actor=admin)
    elif key.revoked_at is not None:
        raise ConflictError(f"Key {key_id} is revoked: create a new one.")
    if budget is not None:
        _set_budget(key_id, key.project, budget, admin)
    if is_active is False and key.state in (keys.ACTIVE, keys.ARCHIVED):
        keys.expire(gateway(), key_id, actor=admin)
    return _answer(key_id)


@blueprint.delete(KEY)
@operation("key_revoke")
def delete(key_id: str) -> Response:
    """Revoke a key. Its running batches continue, and it stays in lists."""
    g.object_id = key_id
    _revoke(key_id, stop=False)
    return answer({"id": key_id, "object": "virtual_key.deleted", "deleted": True})


@blueprint.post(f"{KEY}/rotate")
@operation("key_rotate")
def rotate(key_id: str) -> Response:
    """Give a key a new secret, which is shown only once; the old one ends after `grace_seconds`."""
    g.object_id = key_id
    grace_s = body(RotateKey, required=False)["grace_seconds"]
    issued = keys.rotate(gateway(), key_id, grace_s=grace_s, actor=actor())
    return _answer(key_id, value=issued.key)


@blueprint.post(f"{KEY}/expire")
@operation("key_expire")
def expire(key_id: str) -> Response:
    """Expire a key now. Its running batches continue."""
    g.object_id = key_id
    body(Nothing, required=False)
    keys.expire(gateway(), key_id, actor=actor())
    return _answer(key_id)


@blueprint.post(f"{KEY}/revoke")
@operation("key_revoke")
def revoke(key_id: str) -> Response:
    """Revoke a key for good; `stop` also cancels its running batches."""
    g.object_id = key_id
    _revoke(key_id, stop=body(RevokeKey, required=False)["stop"])
    return _answer(key_id)


def _revoke(key_id: str, *, stop: bool) -> None:
    keys.retrieve(gateway(), key_id)
    if not keys.revoke(gateway(), key_id, stop=stop, actor=actor()):
        raise ConflictError(f"Key {key_id} is already {'stopped' if stop else 'revoked'}.")


def _check_project(name: str) -> None:
    try:
        project = projects.retrieve(gateway(), name)
    except NotFoundError as error:
        text = f"project: {error.message} Create it with POST /api/projects."
        raise InvalidRequestError(text, param="project") from error
    if project.archived_at is not None:
        raise ConflictError(f"Project {name} is archived: restore it before you create keys.", param="project")


def _set_budget(key_id: str, project: str, budget: dict[str, Any], admin: Actor) -> None:
    budgets.set_(gateway(), project=project, key=key_id, **budget_of(budget), actor=admin)


def _answer(key_id: str, *, value: str | None = None) -> Response:
    key = keys.retrieve(gateway(), key_id)
    own_budgets = budgets.list_(gateway(), project=key.project, key=key_id)
    return answer(key_wire(key, own_budgets, value=value))
