"""Containers, in OpenAI's shape."""

from typing import Any

from flask import Blueprint, Response, request

from app.api.body import read_json
from app.api.context import caller, gateway
from app.api.idempotency import idempotent, identify, settling
from app.api.operation import answer, extra_fields, list_answer, operation
from app.api.provider import explicit_provider, sdk_provider
from app.schemas.base import load
from app.schemas.containers import CreateContainer, ListContainers
from app.services.accounts import choose
from app.services.containers import containers
from app.services.containers.containers import Container, NewContainer

blueprint = Blueprint("containers", __name__)


@blueprint.post("/containers")
@operation("container_create")
@idempotent
def create() -> Response:
    """Make a container, with copies of files in it if `file_ids` names some."""
    body = read_json()
    identify(body)
    asked = load(CreateContainer, body)
    choice = choose.choose(
        gateway(), caller(), explicit=explicit_provider(asked["provider"]), sdk_provider=sdk_provider()
    )
    expires_after = asked["expires_after"] or {"minutes": containers.EXPIRES_AFTER_MINUTES}
    wanted = NewContainer(
        name=asked["name"],
        provider=choice.provider,
        expires_after_minutes=expires_after["minutes"],
        memory_limit=asked["memory_limit"] or containers.MEMORY_LIMIT,
        network_policy=asked["network_policy"],
        metadata=asked["metadata"],
        file_ids=tuple(dict.fromkeys(asked["file_ids"] or ())),
    )
    return _answer(containers.create(gateway(), caller(), wanted, settle=settling(_answer)))


@blueprint.get("/containers")
@operation("container_list")
def list_() -> Response:
    """The project's containers, newest first unless asked otherwise."""
    asked = load(ListContainers, request.args)
    provider = explicit_provider()
    page = containers.list_(
        gateway(),
        caller(),
        limit=asked["limit"],
        descending=asked["order"] == "desc",
        after=asked["after"],
        name=asked["name"],
        provider=provider,
    )
    data = [_item(item) for item in page.items]
    return list_answer(data, has_more=page.has_more, provider=provider)


@blueprint.get("/containers/<string:container_id>")
@operation("container_retrieve")
def retrieve(container_id: str) -> Response:
    """A container; looking at a running one keeps it alive."""
    return _answer(containers.retrieve(gateway(), caller(), container_id, provider=explicit_provider()))


@blueprint.delete("/containers/<string:container_id>")
@operation("container_delete")
def delete(container_id: str) -> Response:
    """Delete a container and the files in it."""
    deleted = containers.delete(gateway(), caller(), container_id, provider=explicit_provider())
    body = {"id": deleted.id, "object": "container.deleted", "deleted": True}
    return answer(body, provider=deleted.provider, native_id=deleted.native_id)


def _answer(container: Container) -> Response:
    return answer(_wire(container), provider=container.provider, native_id=container.native_id)


def _item(container: Container) -> dict[str, Any]:
    told = extra_fields(provider=container.provider, native_id=container.native_id)
    return {**_wire(container), "extra_fields": told}


def _wire(container: Container) -> dict[str, Any]:
    return {
        "id": container.id,
        "object": "container",
        "name": container.name,
        "created_at": container.created_at // 1000,
        "status": container.status,
        "expires_after": {"anchor": "last_active_at", "minutes": container.expires_after_minutes},
        "last_active_at": container.last_active_at // 1000,
        "memory_limit": container.memory_limit,
        "network_policy": container.network_policy,
        "metadata": container.metadata,
    }
