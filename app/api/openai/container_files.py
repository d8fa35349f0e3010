"""Files in containers, in OpenAI's shape."""

import posixpath
from contextlib import ExitStack
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, request

from app.api import query
from app.api.body import read_json
from app.api.context import caller, gateway
from app.api.download import Content, content_response, streamed_response
from app.api.idempotency import idempotent, identify, settling
from app.api.multipart import Form, is_multipart, read_form
from app.api.openai import container_wire
from app.api.operation import answer, extra_fields, list_answer, operation
from app.api.provider import explicit_provider
from app.errors import InvalidRequestError, PayloadTooLargeError
from app.schemas.base import load
from app.schemas.containers import CopyFile, ListContainerFiles, UploadContainerFile
from app.services.access import permissions
from app.services.blobs import IncomingBlob, incoming
from app.services.containers import containers, files
from app.services.containers.containers import Container
from app.services.containers.files import ContainerFile
from app.services.containers.paths import checked_path
from app.services.limits import limits

blueprint = Blueprint("container_files", __name__)

FILES = "/containers/<string:container_id>/files"
FILE = f"{FILES}/<string:file_id>"


class _Bounded:
    """A sink that refuses more bytes than the gateway accepts in one file."""

    def __init__(self, blob: IncomingBlob, *, max_bytes: int) -> None:
        self._blob = blob
        self._max_bytes = max_bytes

    def write(self, data: bytes) -> None:
        if self._blob.bytes + len(data) > self._max_bytes:
            raise PayloadTooLargeError(f"file must be at most {self._max_bytes} bytes.", param="file")
        self._blob.write(data)


class _FormFile:
    """The file of a form; `blob` is None until its part of the body begins."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.blob: IncomingBlob | None = None

    def open(self, _: Form) -> _Bounded:
        """Begin to receive the file."""
        self.blob = self._stack.enter_context(incoming(gateway(), spares_reserve=True))
        return _Bounded(self.blob, max_bytes=gateway().settings.max_file_bytes)


@blueprint.post(FILES)
@operation("container_file_create")
@idempotent
def create(container_id: str) -> Response:
    """Put a file into a container: the one in a multipart body, or one of the project that JSON names."""
    return _upload(container_id) if is_multipart(request) else _copy(container_id)


@blueprint.get(FILES)
@operation("container_file_list", ListContainerFiles)
def list_(container_id: str) -> Response:
    """The files of a container, newest first by default."""
    fields = query.read(ListContainerFiles)
    container = _running(container_id)
    page = files.list_(
        gateway(), container, limit=fields["limit"], descending=fields["order"] == "desc", after=fields["after"]
    )
    data = [_item(container, file) for file in page.items]
    return list_answer(data, has_more=page.has_more, provider=container.provider)


@blueprint.get(FILE)
@operation("container_file_retrieve")
def retrieve(container_id: str, file_id: str) -> Response:
    """A file of a container."""
    container = _running(container_id)
    return _answer(container, files.retrieve(gateway(), container, file_id))


@blueprint.get(f"{FILE}/content")
@operation("container_file_content")
def content(container_id: str, file_id: str) -> Response:
    """The bytes, whole or a range of them."""
    stored = files.content(gateway(), _running(container_id), file_id)
    file = stored.file
    g.object_id = file.public_id
    described = Content(
        key=stored.key or "", bytes=file.bytes, sha256=stored.sha256, filename=posixpath.basename(file.path)
    )
    if stored.open is not None:
        return streamed_response(described, stored.open)
    return content_response(gateway(), described)


@blueprint.delete(FILE)
@operation("container_file_delete")
def delete(container_id: str, file_id: str) -> Response:
    """Delete a file of a container."""
    container = _running(container_id)
    deleted = files.delete(gateway(), container, file_id)
    body = {"id": deleted.public_id, "object": "container.file.deleted", "deleted": True}
    return answer(body, provider=container.provider, native_id=deleted.native_id)


def _upload(container_id: str) -> Response:
    """The file of a form, or one of the project that the form names instead."""
    # Looked up before the first byte is read, and again with the form's provider.
    container = _writable(container_id)
    limits.check_room(gateway(), caller())
    with ExitStack() as stack:
        file = _FormFile(stack)
        form = read_form(request, file_field="file", open_file=file.open, optional=True)
        fields = load(UploadContainerFile, form.given)
        if (file.blob is None) == (fields["file_id"] is None):
            text = "Send either a file, as file with a filename, or the id of one of the project's as file_id."
            raise InvalidRequestError(text, param="file")
        path = checked_path(fields["file_path"])
        if file.blob is None:
            identify(form.fields)
            return _copied(container_id, fields, path)
        container = _writable(container_id, fields["provider"])
        filename = form.filename or ""
        identify({"fields": form.fields, "filename": filename, "sha256": file.blob.sha256})
        file.blob.seal()
        render = partial(_answer, container)
        settle = settling(render)
        made = files.add(gateway(), caller(), container, file.blob, filename=filename, path=path, settle=settle)
        return render(made)


def _copy(container_id: str) -> Response:
    body = read_json()
    identify(body)
    fields = load(CopyFile, body)
    return _copied(container_id, fields, checked_path(fields["file_path"]))


def _copied(container_id: str, fields: dict[str, Any], path: str | None) -> Response:
    container = _writable(container_id, fields["provider"])
    render = partial(_answer, container)
    file_id = fields["file_id"]
    return render(files.add_copy(gateway(), caller(), container, file_id=file_id, path=path, settle=settling(render)))


def _running(container_id: str, provider: str | None = None) -> Container:
    return containers.retrieve_running(gateway(), caller(), container_id, provider=explicit_provider(provider))


def _writable(container_id: str, provider: str | None = None) -> Container:
    container = _running(container_id, provider)
    permissions.check_use(caller(), provider=container.provider)
    return container


def _answer(container: Container, file: ContainerFile) -> Response:
    body = container_wire.render_file(file, container_id=container.public_id)
    return answer(body, provider=container.provider, native_id=file.native_id)


def _item(container: Container, file: ContainerFile) -> dict[str, Any]:
    extra = extra_fields(provider=container.provider, native_id=file.native_id)
    return {**container_wire.render_file(file, container_id=container.public_id), "extra_fields": extra}
