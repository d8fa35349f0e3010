"""Files, in OpenAI's shape."""

import re
from contextlib import ExitStack
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, request

from app.api.context import caller, gateway
from app.api.download import Content, content_response, streamed_response
from app.api.idempotency import HEADER, idempotent, identify, settling
from app.api.multipart import Form, nested, read_form
from app.api.operation import answer, extra_fields, list_answer, operation
from app.api.provider import explicit_provider, sdk_provider
from app.api.storage import stored, where
from app.schemas.base import load
from app.schemas.files import ListFiles, UploadFile
from app.services.accounts import choose
from app.services.copies import remote
from app.services.files import files
from app.services.files.files import FileRow, IncomingFile, Upload
from app.services.limits import limits

blueprint = Blueprint("files", __name__)

FILE = "/files/<object('content', 'estimate'):file_id>"
CONTENT = "/files/<object:file_id>/content"
DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


@blueprint.post("/files")
@operation("file_upload")
@idempotent
def upload() -> Response:
    """Take a file while it arrives; its fields may come before or after it."""
    named: list[str] = []
    if HEADER not in request.headers:  # with a key the answer may be there already
        limits.check_upload(gateway(), caller())
    with ExitStack() as stack:
        received: list[IncomingFile] = []

        def open_file(form: Form) -> IncomingFile:
            if "purpose" in form.fields:
                _asked(form)  # what is wrong already need not be waited for
            name = files.checked_name(form.filename or "")
            named.append(name)
            received.append(stack.enter_context(files.receiving(gateway(), name)))
            return received[0]

        form = read_form(request, file_field="file", open_file=open_file)
        asked = _asked(form)
        identify({**form.fields, "filename": named[0], "sha256": received[0].sha256})
        files.check_format(asked["purpose"], named[0])
        made = received[0].create(caller(), _upload(asked, form, named[0]), settle=settling(_created))
    return _created(made)


@blueprint.get("/files")
@operation("file_list")
def list_() -> Response:
    """The project's files, newest first unless asked otherwise."""
    asked = load(ListFiles, request.args)
    provider = explicit_provider()
    page = files.list_(
        gateway(),
        caller(),
        purpose=asked["purpose"],
        provider=provider,
        after=asked["after"],
        descending=asked["order"] == "desc",
        limit=asked["limit"],
    )
    backend = gateway().blobs.backend
    # One dict for all files of a home: a page may have ten thousand.
    told = {home: extra_fields(provider=home) for home in {row.home for row in page.items}}
    data = [_wire(row, backend) | {"extra_fields": _with_native_id(told[row.home], row)} for row in page.items]
    return list_answer(data, has_more=page.has_more, provider=provider, after=data[-1]["id"] if data else None)


@blueprint.get(FILE)
@operation("file_retrieve")
def retrieve(file_id: str) -> Response:
    """A file."""
    row, was_asked = files.retrieve(gateway(), caller(), file_id, provider=explicit_provider()), False
    if not row.is_kept:
        row, was_asked = remote.refreshed(gateway(), row)
    cache = None if was_asked or row.native_id is None else _cache_debug(row)
    return answer(wire(row), provider=row.home, native_id=row.native_id, cache=cache)


@blueprint.delete(FILE)
@operation("file_delete")
def delete(file_id: str) -> Response:
    """Delete a file, unless a batch that is not over uses it."""
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


def wire(row: FileRow) -> dict[str, Any]:
    """The File object, `extra_fields` aside."""
    return _wire(row, gateway().blobs.backend)


def _wire(row: FileRow, backend: str) -> dict[str, Any]:
    kept_as, uri = (backend, f"{backend}://{row.public_id}") if row.is_kept else where(row.native_id, row.home)
    return {
        "id": row.public_id,
        "object": "file",
        "bytes": row.bytes,
        "created_at": row.created_at // 1000,
        "filename": row.filename,
        "purpose": row.purpose,
        "status": row.status,
        "status_details": row.status_details,
        "expires_at": None if row.expires_at is None else row.expires_at // 1000,
        "storage_backend": kept_as,
        "storage_uri": uri,
    }


def _with_native_id(told: dict[str, Any], row: FileRow) -> dict[str, Any]:
    return told if row.native_id is None else told | {"native_id": row.native_id}


def _cache_debug(row: FileRow) -> dict[str, Any]:
    """What tells that the gateway answered for the provider that has this file, too."""
    return {
        "cache_hit": True,
        "cache_id": row.public_id,
        "hit_type": "direct",
        "requested_provider": row.home,
        "requested_model": None,
        "provider_used": row.home,
        "model_used": None,
        "input_tokens": None,
        "threshold": None,
        "similarity": None,
    }


def _asked(form: Form) -> dict[str, Any]:
    stored(form.fields)
    # As one field it is not understood, and a file that was to expire must not stay for that.
    expires_after = nested(form.fields, "expires_after") or form.fields.get("expires_after") or None
    asked = load(UploadFile, {**form.fields, "expires_after": expires_after})
    explicit_provider(asked["provider"])
    return asked


def _upload(asked: dict[str, Any], form: Form, filename: str) -> Upload:
    choice = choose.choose(
        gateway(), caller(), explicit=explicit_provider(asked["provider"]), sdk_provider=sdk_provider()
    )
    choose.require(gateway(), choice.provider, "file_upload")
    expires_after, kept = asked["expires_after"], stored(form.fields)
    return Upload(
        provider=choice.provider,
        purpose=asked["purpose"],
        filename=filename,
        expires_after_s=expires_after["seconds"] if expires_after else None,
        is_kept=kept.is_kept,
        place=kept.place,
    )


def _created(row: FileRow) -> Response:
    return answer(wire(row), provider=row.home, native_id=row.native_id, status=_created_status())


def _created_status() -> int:
    # Azure's dated API answers 201, its v1 API 200.
    return 201 if DATED.match(request.args.get("api-version", "")) else 200
