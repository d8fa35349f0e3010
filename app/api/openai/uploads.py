"""Uploads in parts, in OpenAI's shape."""

from typing import Any

from flask import Blueprint, Response, request

from app.api.body import read_json
from app.api.context import caller, gateway
from app.api.idempotency import HEADER, idempotent, identify, settling
from app.api.multipart import read_form
from app.api.openai.files import wire as file_wire
from app.api.operation import answer, extra_fields, operation
from app.api.provider import explicit_provider, sdk_provider
from app.schemas.base import load
from app.schemas.uploads import AddPart, CancelUpload, CompleteUpload, CreateUpload
from app.services.accounts import choose
from app.services.files import uploads
from app.services.files.uploads import NewUpload, Part, Upload

blueprint = Blueprint("uploads", __name__)

UPLOAD = "/uploads/<string:upload_id>"


@blueprint.post("/uploads")
@operation("upload_create")
@idempotent
def create() -> Response:
    """Announce a file that comes in parts."""
    body = read_json()
    identify(body)
    asked = load(CreateUpload, body)
    choice = choose.choose(
        gateway(), caller(), explicit=explicit_provider(asked["provider"]), sdk_provider=sdk_provider()
    )
    choose.require(gateway(), choice.provider, "file_upload", shown="upload_create")
    expires_after = asked["expires_after"]
    wanted = NewUpload(
        provider=choice.provider,
        filename=asked["filename"],
        purpose=asked["purpose"],
        bytes=asked["bytes"],
        mime_type=asked["mime_type"],
        expires_after_s=expires_after["seconds"] if expires_after else None,
    )
    return _answer(uploads.create(gateway(), caller(), wanted, settle=settling(_answer)))


@blueprint.post(f"{UPLOAD}/parts")
@operation("upload_part_add")
@idempotent
def add_part(upload_id: str) -> Response:
    """Take a part while it arrives; parts may come in any order and side by side."""
    # Looked up before the first byte is read, and again with what the form says. With a key the part may be one that
    # came in before the upload was over.
    look_up = uploads.retrieve if HEADER in request.headers else uploads.retrieve_pending
    upload = look_up(gateway(), caller(), upload_id, provider=explicit_provider())
    with uploads.receiving_part(gateway(), upload) as part:
        form = read_form(request, file_field="data", open_file=lambda _: part)
        asked = load(AddPart, form.fields)
        identify({**form.fields, "sha256": part.sha256})
        upload = uploads.retrieve_pending(gateway(), caller(), upload_id, provider=explicit_provider(asked["provider"]))
        made = part.add(caller(), upload, settle=settling(_answer_part))
    return _answer_part(made)


@blueprint.post(f"{UPLOAD}/complete")
@operation("upload_complete")
@idempotent
def complete(upload_id: str) -> Response:
    """Join the parts into a file, in the order that the request lists them."""
    body = read_json()
    identify(body)
    asked = load(CompleteUpload, body)
    upload = uploads.retrieve_pending(gateway(), caller(), upload_id, provider=explicit_provider(asked["provider"]))
    return _answer(
        uploads.complete(
            gateway(), caller(), upload, part_ids=asked["part_ids"], md5=asked["md5"], settle=settling(_answer)
        )
    )


@blueprint.post(f"{UPLOAD}/cancel")
@operation("upload_cancel")
def cancel(upload_id: str) -> Response:
    """End an upload before it is complete."""
    asked = load(CancelUpload, read_json(required=False))
    provider = explicit_provider(asked["provider"])
    return _answer(uploads.cancel(gateway(), caller(), upload_id, provider=provider))


def _answer(upload: Upload) -> Response:
    return answer(_wire(upload), provider=upload.provider)


def _answer_part(part: Part) -> Response:
    body = {
        "id": part.id,
        "object": "upload.part",
        "created_at": part.created_at // 1000,
        "upload_id": part.upload.id,
    }
    return answer(body, provider=part.upload.provider)


def _wire(upload: Upload) -> dict[str, Any]:
    file = None
    if upload.file is not None:
        told = extra_fields(provider=upload.provider, native_id=upload.file.native_id)
        file = {**file_wire(upload.file), "extra_fields": told}
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.bytes,
        "created_at": upload.created_at // 1000,
        "expires_at": upload.expires_at // 1000,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.status,
        "file": file,
    }
