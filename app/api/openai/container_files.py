"""Files in containers, in OpenAI's shape."""

from typing import Any

from flask import Blueprint, Response, request

from app.api.body import read_json
from app.api.context import caller, gateway
from app.api.idempotency import idempotent, identify, settling
from app.api.operation import answer, extra_fields, operation
from app.api.provider import explicit_provider
from app.schemas.base import load
from app.schemas.containers import CopyFile, ListContainerFiles
from app.services import container_contents, container_files, containers
from app.services.container_files import ContainerFile
from app.services.containers import Container

blueprint = Blueprint("container_files", __name__)

FILES = "/containers/<string:container_id>/files"
FILE = f"{FILES}/<string:file_id>"
MULTIPART = "multipart/form-data"


@blueprint.post(FILES)
@operation("container_file_create")
@idempotent
def create(container_id: str) -> Response:
    """Put a file into a container: the one in a multipart body, or one of the project that JSON names."""
    return _copy(container_id)


@blueprint.get(FILES)
@operation("container_file_list")
def list_(container_id: str) -> Response:
    """The files of a container, newest first unless asked otherwise."""
    asked = load(ListContainerFiles, request.args)
    container = _container(container_id)
    page = container_files.list_(
        gateway(), container, limit=asked["limit"], descending=asked["order"] == "desc", after=asked["after"]
    )
    data = [{**_wire(item), "extra_fields": extra_fields(provider=container.provider)} for item in page.items]
    body = {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": page.has_more,
    }
    return answer(body, provider=container.provider)


@blueprint.get(FILE)
@operation("container_file_retrieve")
def retrieve(container_id: str, file_id: str) -> Response:
    """A file of a container."""
    container = _container(container_id)
    return answer(_wire(container_files.retrieve(gateway(), container, file_id)), provider=container.provider)


@blueprint.delete(FILE)
@operation("container_file_delete")
def delete(container_id: str, file_id: str) -> Response:
    """Delete a file of a container."""
    container = _container(container_id)
    deleted = container_files.delete(gateway(), container, file_id)
    return answer({"id": deleted.id, "object": "container.file.deleted", "deleted": True}, provider=container.provider)


def _copy(container_id: str) -> Response:
    body = read_json()
    identify(body)
    asked = load(CopyFile, body)
    path = container_contents.checked_path(asked["file_path"])
    container = _container(container_id, asked["provider"])

    def render(made: ContainerFile) -> Response:
        return answer(_wire(made), provider=container.provider)

    made = container_files.add_copy(
        gateway(), caller(), container, file_id=asked["file_id"], path=path, settle=settling(render)
    )
    return render(made)


def _container(container_id: str, provider: str | None = None) -> Container:
    return containers.retrieve_running(gateway(), caller(), container_id, provider=explicit_provider(provider))


def _wire(file: ContainerFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "container.file",
        "container_id": file.container_id,
        "path": file.path,
        "bytes": file.bytes,
        "created_at": file.created_at // 1000,
        "source": file.source,
    }
