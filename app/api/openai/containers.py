"""Containers, in OpenAI's shape."""

from typing import Any

from flask import Blueprint, Response

from app.api import query
from app.api.body import read_json
from app.api.context import caller, gateway
from app.api.idempotency import idempotent, identify, settling
from app.api.openai import container_wire
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
    """Make a container, with copies of the files in `file_ids`."""
    body = read_json()
    identify(body)
    fields = load(CreateContainer, body)
    choice = choose.choose(
        gateway(), caller(), explicit=explicit_provider(fields["provider"]), sdk_provider=sdk_provider()
    )
    expires_after = fields["expires_after"] or {"minutes": containers.EXPIRES_AFTER_MINUTES}
    new = NewContainer(
        name=fields["name"],
        provider=choice.provider,
        expires_after_minutes=expires_after["minutes"],
        memory_limit=fields["memory_limit"] or containers.MEMORY_LIMIT,
        network_policy=fields["network_policy"],
        metadata=fields["metadata"],
        file_ids=tuple(dict.fromkeys(fields["file_ids"] or ())),
    )
    return _answer(containers.create(gateway(), caller(), new, settle=settling(_answer)))


@blueprint.get("/containers")
@operation("container_list", ListContainers)
def list_() -> Response:
    """The project's containers, newest first by default."""
    fields = query.read(ListContainers)
    provider = explicit_provider()
    page = containers.list_(
        gateway(),
        caller(),
        limit=fields["limit"],
        descending=fields["order"] == "desc",
        after=fields["after"],
        name=fields["name"],
        provider=provider,
    )
    data = [_item(container) for container in page.items]
    return list_answer(data, has_more=page.has_more, provider=provider)


@blueprint.get("/containers/<string:container_id>")
@operation("container_retrieve")
def retrieve(container_id: str) -> Response:
    """A container; retrieving a running one keeps it alive."""
    return _answer(containers.retrieve(gateway(), caller(), container_id, provider=explicit_provider()))


@blueprint.delete("/containers/<string:container_id>")
@operation("container_delete")
def delete(container_id: str) -> Response:
    """Delete a container and the files in it."""
    deleted = containers.delete(gateway(), caller(), container_id, provider=explicit_provider())
    body = {"id": deleted.public_id, "object": "container.deleted", "deleted": True}
    return answer(body, provider=deleted.provider, native_id=deleted.native_id)


def _answer(container: Container) -> Response:
    return answer(container_wire.render(container), provider=container.provider, native_id=container.native_id)


def _item(container: Container) -> dict[str, Any]:
    extra = extra_fields(provider=container.provider, native_id=container.native_id)
    return {**container_wire.render(container), "extra_fields": extra}
