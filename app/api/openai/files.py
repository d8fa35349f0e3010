"""Files, in OpenAI's shape."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, request

from app.api import query
from app.api.context import caller, gateway
from app.api.download import Content, content_response, streamed_response
from app.api.idempotency import HEADER, idempotent, identify, settling
from app.api.multipart import Form, FormFile, read_form, with_nested
from app.api.openai import azure, file_wire
from app.api.operation import answer, extra_fields, list_answer, operation
from app.api.provider import explicit_provider, sdk_provider
from app.api.storage import StorageChoice, is_storage_field, storage_choice
from app.schemas.base import load
from app.schemas.files import ListFiles, UploadFile
from app.services import blobs
from app.services.accounts import choose
from app.services.copies import remote
from app.services.files import files, names
from app.services.files.files import FileRow, NewFile
from app.services.limits import limits

blueprint = Blueprint("files", __name__)

FILE = "/files/<object('content', 'estimate'):file_id>"
CONTENT = "/files/<object:file_id>/content"


@dataclass(frozen=True, slots=True)
class _Fields:
    """The form fields beside the file; `provider` is the one that the request names anywhere."""

    purpose: str
    provider: str | None
    expires_after_s: int | None
    storage: StorageChoice


@blueprint.post("/files")
@operation("file_upload")
@azure.located
@idempotent
def upload() -> Response:
    """Upload a file, which is stored while it is received; form fields may come before or after it."""
    if HEADER not in request.headers:  # with a key there may be a stored answer
        limits.check_upload(gateway(), caller())
    with ExitStack() as stack:
        file = FormFile(stack, purpose_of=lambda form: _fields(form).purpose if "purpose" in form.fields else None)
        form = read_form(request, file_field="file", open_file=file.open)
        fields = _fields(form)
        identify({**form.fields, "filename": file.name, "sha256": file.incoming.sha256})
        names.check_format(fields.purpose, file.name)
        return _created(file.incoming.create(caller(), _new_file(fields, file.name), settle=settling(_created)))


@blueprint.get("/files")
@operation("file_list", ListFiles)
def list_() -> Response:
    """The project's files, newest first by default."""
    fields = query.read(ListFiles)
    provider = explicit_provider()
    page = files.list_(
        gateway(),
        caller(),
        purpose=fields["purpose"],
        provider=provider,
        after=fields["after"],
        descending=fields["order"] == "desc",
        limit=fields["limit"],
    )
    backend_of = blobs.backends(gateway(), (row.blob_id for row in page.items))
    # One dict for all files of a home: a page may have ten thousand.
    extra = {home: extra_fields(provider=home) for home in {row.home for row in page.items}}
    data = [
        file_wire.render(row, backend=backend_of(row.blob_id)) | {"extra_fields": _with_native_id(extra[row.home], row)}
        for row in page.items
    ]
    return list_answer(data, has_more=page.has_more, provider=provider, after=data[-1]["id"] if data else None)


@blueprint.get(FILE)
@operation("file_retrieve")
def retrieve(file_id: str) -> Response:
    """A file."""
    row, was_asked = files.retrieve(gateway(), caller(), file_id, provider=explicit_provider()), False
    if not row.is_kept:
        row, was_asked = remote.refreshed(gateway(), row)
    cache = None if was_asked or row.native_id is None else file_wire.cache_debug(row)
    return answer(_wire(row), provider=row.home, native_id=row.native_id, cache=cache)


@blueprint.delete(FILE)
@operation("file_delete")
def delete(file_id: str) -> Response:
    """Delete a file, unless an unfinished batch uses it."""
    g.object_id = file_id
    row = files.delete(gateway(), caller(), file_id, provider=explicit_provider())
    return answer({"id": row.public_id, "object": "file", "deleted": True}, provider=row.home, native_id=row.native_id)


@blueprint.get(CONTENT)
@operation("file_content")
def content(file_id: str) -> Response:
    """The bytes, whole or a range of them."""
    row = files.retrieve(gateway(), caller(), file_id, provider=explicit_provider())
    g.object_id = row.public_id
    if not row.is_kept:
        unkept = Content(key="", bytes=row.bytes, sha256=row.sha256, filename=row.filename)
        return streamed_response(unkept, partial(remote.content, gateway(), row))
    key = files.blob_key(gateway(), row)
    return content_response(gateway(), Content(key=key, bytes=row.bytes, sha256=row.sha256, filename=row.filename))


def _wire(row: FileRow) -> dict[str, Any]:
    backend_of = blobs.backends(gateway(), [row.blob_id])
    return file_wire.render(row, backend=backend_of(row.blob_id))


def _with_native_id(extra: dict[str, Any], row: FileRow) -> dict[str, Any]:
    return extra if row.native_id is None else extra | {"native_id": row.native_id}


def _fields(form: Form) -> _Fields:
    """The fields that have been read. Raises InvalidRequestError for what is wrong with them."""
    storage = storage_choice(form.fields)
    rest = {name: value for name, value in form.given.items() if not is_storage_field(name)}
    loaded = load(UploadFile, with_nested(rest, "expires_after"))
    return _Fields(
        purpose=loaded["purpose"],
        provider=explicit_provider(loaded["provider"]),
        expires_after_s=loaded["expires_after"]["seconds"] if loaded["expires_after"] else None,
        storage=storage,
    )


def _new_file(fields: _Fields, filename: str) -> NewFile:
    choice = choose.choose(gateway(), caller(), explicit=fields.provider, sdk_provider=sdk_provider())
    choose.require(gateway(), choice.provider, "file_upload")
    return NewFile(
        provider=choice.provider,
        purpose=fields.purpose,
        filename=filename,
        expires_after_s=fields.expires_after_s,
        is_kept=fields.storage.is_kept,
        place=fields.storage.place,
    )


def _created(row: FileRow) -> Response:
    status = 201 if azure.is_dated() else 200
    return answer(_wire(row), provider=row.home, native_id=row.native_id, status=status)
