"""Files in containers, in OpenAI's shape."""

import posixpath
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, g, request

from app.api.body import read_json
from app.api.context import caller, gateway
from app.api.download import Content, content_response, streamed_response
from app.api.idempotency import idempotent, identify, settling
from app.api.multipart import is_multipart, read_form
from app.api.operation import answer, extra_fields, list_answer, operation
from app.api.provider import explicit_provider
from app.errors import PayloadTooLargeError
from app.schemas.base import load
from app.schemas.containers import CopyFile, ListContainerFiles, UploadFile
from app.services.access import permissions
from app.services.blobs import IncomingBlob, incoming
from app.services.containers import containers, files, hosted
from app.services.containers.containers import Container
from app.services.containers.files import ContainerFile

blueprint = Blueprint("container_files", __name__)

FILES = "/containers/<string:container_id>/files"
FILE = f"{FILES}/<string:file_id>"


class _Bounded:
    """A sink that refuses more than the gateway takes of one file."""

    def __init__(self, blob: IncomingBlob, *, max_bytes: int) -> None:
        self._blob = blob
        self._max_bytes = max_bytes

    def write(self, data: bytes) -> None:
        if self._blob.bytes + len(data) > self._max_bytes:
            raise PayloadTooLargeError(f"file must be at most {self._max_bytes} bytes.", param="file")
        self._blob.write(data)


@blueprint.post(FILES)
@operation("container_file_create")
@idempotent
def create(container_id: str) -> Response:
    """Put a file into a container: the one in a multipart body, or one of the project that JSON names."""
    return _upload(container_id) if is_multipart(request) else _copy(container_id)


@blueprint.get(FILES)
@operation("container_file_list")
def list_(container_id: str) -> Response:
    """The files of a container, newest first unless asked otherwise."""
    asked = load(ListContainerFiles, request.args)
    container = _container(container_id)
    page = files.list_(
        gateway(), container, limit=asked["limit"], descending=asked["order"] == "desc", after=asked["after"]
    )
    data = [_item(item, container.provider) for item in page.items]
    return list_answer(data, has_more=page.has_more, provider=container.provider)


@blueprint.get(FILE)
@operation("container_file_retrieve")
def retrieve(container_id: str, file_id: str) -> Response:
    """A file of a container."""
    container = _container(container_id)
    found = files.retrieve(gateway(), container, file_id)
    return answer(_wire(found), provider=container.provider, native_id=found.native_id)


@blueprint.get(f"{FILE}/content")
@operation("container_file_content")
def content(container_id: str, file_id: str) -> Response:
    """The bytes, whole or a range of them."""
    found = files.content(gateway(), _container(container_id), file_id)
    g.object_id = found.file.id
    name = posixpath.basename(found.file.path)
    described = Content(key=found.key or "", bytes=found.file.bytes, sha256=found.sha256, filename=name)
    if found.open is not None:
        return streamed_response(described, found.open)
    return content_response(gateway(), described)


@blueprint.delete(FILE)
@operation("container_file_delete")
def delete(container_id: str, file_id: str) -> Response:
    """Delete a file of a container."""
    container = _container(container_id)
    deleted = files.delete(gateway(), container, file_id)
    body = {"id": deleted.id, "object": "container.file.deleted", "deleted": True}
    return answer(body, provider=container.provider, native_id=deleted.native_id)


def _upload(container_id: str) -> Response:
    # Looked up before the first byte is read, and again with what the form says.
    container = _writable(container_id)
    with incoming(gateway()) as blob:
        sink = _Bounded(blob, max_bytes=gateway().settings.max_file_bytes)
        form = read_form(request, file_field="file", open_file=lambda _: sink)
        asked = load(UploadFile, form.fields)
        path = hosted.checked_path(asked["file_path"])
        container = _writable(container_id, asked["provider"])
        filename = form.filename or ""
        identify({"fields": form.fields, "filename": filename, "sha256": blob.sha256})
        blob.seal()
        render = _renderer(container)
        made = files.add(gateway(), container, blob, filename=filename, path=path, settle=settling(render))
    return render(made)


def _copy(container_id: str) -> Response:
    body = read_json()
    identify(body)
    asked = load(CopyFile, body)
    path = hosted.checked_path(asked["file_path"])
    container = _writable(container_id, asked["provider"])
    render = _renderer(container)
    made = files.add_copy(gateway(), caller(), container, file_id=asked["file_id"], path=path, settle=settling(render))
    return render(made)


def _renderer(container: Container) -> Callable[[ContainerFile], Response]:
    return lambda made: answer(_wire(made), provider=container.provider, native_id=made.native_id)


def _container(container_id: str, provider: str | None = None) -> Container:
    return containers.retrieve_running(gateway(), caller(), container_id, provider=explicit_provider(provider))


def _writable(container_id: str, provider: str | None = None) -> Container:
    container = _container(container_id, provider)
    permissions.check_use(caller(), provider=container.provider)
    return container


def _item(file: ContainerFile, provider: str) -> dict[str, Any]:
    return {**_wire(file), "extra_fields": extra_fields(provider=provider, native_id=file.native_id)}


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
