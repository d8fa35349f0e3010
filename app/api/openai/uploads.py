"""Uploads in parts, in OpenAI's shape."""

from functools import partial

from flask import Blueprint, Response, request

from app.api.body import read_json
from app.api.context import caller, gateway
from app.api.idempotency import HEADER, idempotent, identify, settling
from app.api.multipart import read_form
from app.api.openai import azure, file_wire, upload_wire
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
@azure.located
@idempotent
def create() -> Response:
    """Announce a file that will be sent in parts."""
    body = read_json()
    identify(body)
    fields = load(CreateUpload, body)
    choice = choose.choose(
        gateway(), caller(), explicit=explicit_provider(fields["provider"]), sdk_provider=sdk_provider()
    )
    choose.require(gateway(), choice.provider, "file_upload", shown="upload_create")
    expires_after = fields["expires_after"]
    new = NewUpload(
        provider=choice.provider,
        filename=fields["filename"],
        purpose=fields["purpose"],
        bytes=fields["bytes"],
        mime_type=fields["mime_type"],
        expires_after_s=expires_after["seconds"] if expires_after else None,
    )
    return _answer(uploads.create(gateway(), caller(), new, settle=settling(_answer)))


@blueprint.post(f"{UPLOAD}/parts")
@operation("upload_part_add")
@idempotent
def add_part(upload_id: str) -> Response:
    """Add a part, which is stored while it is received; parts may come in any order and in parallel."""
    # Looked up before the first byte is read, and again with the form's provider. With a key, the part may be one that
    # was added before the upload was over.
    look_up = uploads.retrieve if HEADER in request.headers else uploads.retrieve_pending
    upload = look_up(gateway(), caller(), upload_id, provider=explicit_provider())
    with uploads.receiving_part(gateway(), upload) as incoming:
        form = read_form(request, file_field="data", open_file=lambda _: incoming)
        fields = load(AddPart, form.given)
        identify({**form.fields, "sha256": incoming.sha256})
        provider = explicit_provider(fields["provider"])
        upload = uploads.retrieve_pending(gateway(), caller(), upload_id, provider=provider)
        render = partial(_answer_part, upload)
        return render(incoming.add(caller(), upload, settle=settling(render)))


@blueprint.post(f"{UPLOAD}/complete")
@operation("upload_complete")
@idempotent
def complete(upload_id: str) -> Response:
    """Join the parts into a file, in the order that the request lists them."""
    body = read_json()
    identify(body)
    fields = load(CompleteUpload, body)
    upload = uploads.retrieve_pending(gateway(), caller(), upload_id, provider=explicit_provider(fields["provider"]))
    return _answer(
        uploads.complete(
            gateway(), caller(), upload, part_ids=fields["part_ids"], md5=fields["md5"], settle=settling(_answer)
        )
    )


@blueprint.post(f"{UPLOAD}/cancel")
@operation("upload_cancel")
def cancel(upload_id: str) -> Response:
    """End an upload before it is complete."""
    fields = load(CancelUpload, read_json(required=False))
    provider = explicit_provider(fields["provider"])
    return _answer(uploads.cancel(gateway(), caller(), upload_id, provider=provider))


def _answer(upload: Upload) -> Response:
    file = None
    if upload.file is not None:
        extra = extra_fields(provider=upload.home, native_id=upload.file.native_id)
        file = {**file_wire.render(upload.file, backend=gateway().blobs.backend), "extra_fields": extra}
    return answer(upload_wire.render(upload, file=file), provider=upload.home)


def _answer_part(upload: Upload, part: Part) -> Response:
    return answer(upload_wire.render_part(part, upload_id=upload.public_id), provider=upload.home)
