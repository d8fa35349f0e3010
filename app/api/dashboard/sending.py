"""Uploads from a page: announced, sent in parts by a script that goes on after a cut, and joined."""

from typing import Any

from flask import Blueprint, Response, g, request

from app.api.body import Body, read_json
from app.api.context import caller, gateway
from app.api.operation import operation
from app.lib import json
from app.schemas.base import load
from app.schemas.uploads import CompleteUpload, CreateUpload
from app.services.accounts import choose
from app.services.files import uploads
from app.services.files.uploads import NewUpload, Upload

PIECE_BYTES = 256 * 1024

blueprint = Blueprint("sending", __name__)


@blueprint.post("/uploads")
@operation("upload_create")
def create() -> Response:
    """Announces a file."""
    fields = load(CreateUpload, read_json())
    choice = choose.choose(gateway(), caller(), explicit=fields["provider"])
    choose.require(gateway(), choice.provider, "file_upload", shown="upload_create")
    new = NewUpload(
        provider=choice.provider,
        filename=fields["filename"],
        purpose=fields["purpose"],
        bytes=fields["bytes"],
        mime_type=fields["mime_type"],
        expires_after_s=None,
    )
    return _answer(uploads.create(gateway(), caller(), new))


@blueprint.get("/uploads/<upload_id>")
@operation("ui_upload")
def upload(upload_id: str) -> Response:
    """Whether an upload that was begun can go on."""
    return _answer(uploads.retrieve(gateway(), caller(), upload_id))


@blueprint.post("/uploads/<upload_id>/parts")
@operation("upload_part_add")
def add_part(upload_id: str) -> Response:
    """Adds a part, which is the whole body. One that is sent again is stored once."""
    found = uploads.retrieve_pending(gateway(), caller(), upload_id)
    with uploads.receiving_part(gateway(), found) as incoming:
        body = Body(request)
        while data := body.read(PIECE_BYTES):
            incoming.write(data)
        part = incoming.add(caller(), found)
    g.object_id = part.public_id
    return _json({"id": part.public_id})


@blueprint.post("/uploads/<upload_id>/complete")
@operation("upload_complete")
def complete(upload_id: str) -> Response:
    """Joins the parts into a file."""
    fields = load(CompleteUpload, read_json())
    found = uploads.retrieve_pending(gateway(), caller(), upload_id)
    return _answer(uploads.complete(gateway(), caller(), found, part_ids=fields["part_ids"]))


@blueprint.post("/uploads/<upload_id>/cancel")
@operation("upload_cancel")
def cancel(upload_id: str) -> Response:
    """Ends an upload; its parts are deleted."""
    return _answer(uploads.cancel(gateway(), caller(), upload_id))


def _answer(found: Upload) -> Response:
    g.object_id = found.public_id
    file = None if found.file is None else found.file.public_id
    return _json({"id": found.public_id, "status": found.status, "file": file})


def _json(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), mimetype="application/json")
