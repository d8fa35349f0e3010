"""Anthropic's Files API. A file that comes without a purpose is `user_data`, a batch input by its name is not one."""

from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Response, g, request

from app.api import query
from app.api.anthropic import wire
from app.api.anthropic.answers import answer, page
from app.api.context import caller, gateway
from app.api.download import Content, content_response, streamed_response
from app.api.idempotency import HEADER, idempotent, identify, settling
from app.api.multipart import Form, FormFile, read_form
from app.api.operation import operation
from app.api.provider import explicit_provider
from app.errors import InvalidRequestError, NotFoundError
from app.schemas import anthropic as schemas
from app.schemas.base import load
from app.services.accounts import choose
from app.services.copies import remote
from app.services.files import files
from app.services.files.files import FileRow, NewFile
from app.services.limits import limits

blueprint = Blueprint("files", __name__)

FILE = "/files/<object('content'):file_id>"
CONTENT = "/files/<object:file_id>/content"
PURPOSE = "user_data"
VENDOR = "anthropic"
CURSOR = "page_"


@blueprint.post("/files")
@operation("file_upload", schemas.Beta)
@idempotent
def upload() -> Response:
    """Upload a file, which is stored while it is received."""
    if HEADER not in request.headers:  # with a key there may be a stored answer
        limits.check_upload(gateway(), caller())
    with ExitStack() as stack:
        file = FormFile(stack, purpose_of=lambda form: PURPOSE)
        form = read_form(request, file_field="file", open_file=file.open)
        fields = _fields(form)
        identify({**form.fields, "filename": file.name, "sha256": file.incoming.sha256})
        explicit = explicit_provider(fields["provider"])
        choice = choose.choose(gateway(), caller(), explicit=explicit, sdk_provider=VENDOR)
        new = NewFile(choice.provider, PURPOSE, file.name, fields["expires_in_seconds"])
        return _answer(file.incoming.create(caller(), new, settle=settling(_answer)))


@blueprint.get("/files")
@operation("file_list", schemas.ListFiles, schemas.Identified)
def list_() -> Response:
    """The project's files, newest first: a page of them, or those with the ids that are named."""
    named = request.args.getlist("ids[]")
    if named:
        return _identified(named)
    fields = query.read(schemas.ListFiles)
    if fields["page"] is not None:
        if fields["after_id"] or fields["before_id"]:
            raise InvalidRequestError("page: send it without after_id and before_id.", param="page")
        fields["after_id"] = _position(fields["page"])

    def read(after: str | None, descending: bool, limit: int) -> files.Page:
        provider = explicit_provider()
        return files.list_(
            gateway(), caller(), purpose=None, provider=provider, after=after, descending=descending, limit=limit
        )

    return page(fields, read, write=wire.file, cursor=lambda row: f"{CURSOR}{row.public_id}")


@blueprint.get(FILE)
@operation("file_retrieve", schemas.Beta)
def retrieve(file_id: str) -> Response:
    """A file."""
    row = files.retrieve(gateway(), caller(), file_id, provider=explicit_provider())
    if not row.is_kept:
        row, _ = remote.refreshed(gateway(), row)
    return _answer(row)


@blueprint.delete(FILE)
@operation("file_delete", schemas.Beta)
def delete(file_id: str) -> Response:
    """Delete a file, unless an unfinished batch uses it."""
    g.object_id = file_id
    row = files.delete(gateway(), caller(), file_id, provider=explicit_provider())
    return answer({"id": wire.file_id(row), "type": "file_deleted"})


@blueprint.get(CONTENT)
@operation("file_content", schemas.Beta)
def content(file_id: str) -> Response:
    """The bytes of a file. Here, files that were uploaded can be downloaded, too."""
    g.object_id = file_id
    row = files.retrieve(gateway(), caller(), file_id, provider=explicit_provider())
    if not row.is_kept:
        unkept = Content(key="", bytes=row.bytes, sha256=row.sha256, filename=row.filename)
        return streamed_response(unkept, lambda: remote.content(gateway(), row))
    key = files.blob_key(gateway(), row)
    return content_response(gateway(), Content(key=key, bytes=row.bytes, sha256=row.sha256, filename=row.filename))


def _answer(row: FileRow) -> Response:
    g.object_id = row.public_id
    return answer(wire.file(row))


def _fields(form: Form) -> dict[str, Any]:
    return load(schemas.UploadFile, form.given)


def _position(cursor: str) -> str:
    if not cursor.startswith(CURSOR):
        raise InvalidRequestError("page: it must be the next_page of an earlier list.", param="page")
    return cursor.removeprefix(CURSOR)


def _identified(named: list[str]) -> Response:
    if len(set(named)) > schemas.MAX_IDS:
        raise InvalidRequestError(f"ids: at most {schemas.MAX_IDS} of them.", param="ids")
    if given := sorted({"limit", "page", "after_id", "before_id"} & request.args.keys()):
        raise InvalidRequestError(f"ids: send them without {given[0]}.", param="ids")
    provider, rows = explicit_provider(), []
    for file_id in dict.fromkeys(named):
        try:
            rows.append(files.retrieve(gateway(), caller(), file_id, provider=provider))
        except NotFoundError:
            continue  # as Anthropic does with ids that are not there
    return answer({"data": [wire.file(row) for row in rows], "next_page": None})
