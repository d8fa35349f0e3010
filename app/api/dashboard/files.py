"""Files: the list, one of them with its first lines, what can be done with it, and uploads.

A page announces an upload and sends it in parts; a script goes on after a cut, and the parts are joined at the end.
"""

from functools import partial
from typing import Any

from flask import Blueprint, Response, g, request

from app.api.body import Body, read_json
from app.api.context import caller, gateway
from app.api.dashboard import pages
from app.api.download import Content, content_response, streamed_response
from app.api.operation import operation
from app.errors import GatewayError, InvalidRequestError
from app.lib import json
from app.schemas.base import load
from app.schemas.batches import CreateBatch
from app.schemas.files import PURPOSES
from app.schemas.uploads import CompleteUpload, CreateUpload
from app.services.accounts import choose
from app.services.batches import cost, create
from app.services.batches.create import NewBatch
from app.services.copies import remote
from app.services.files import files, preview, uploads
from app.services.files.uploads import NewUpload, Upload

PER_PAGE = 50
LIVE_MS = 15_000
# Estimating so much takes little; more is estimated when somebody asks.
QUICK_BYTES = 2**20
PIECE_BYTES = 256 * 1024
ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions", "/v1/messages")

blueprint = Blueprint("files", __name__)


@blueprint.get("/files")
@operation("ui_file_list")
def list_() -> Response:
    """The project's files, newest first."""
    purpose, after = (request.args.get(name, "").strip() for name in ("purpose", "after"))
    page = files.list_(
        gateway(),
        caller(),
        purpose=purpose or None,
        provider=None,
        after=after or None,
        descending=True,
        limit=PER_PAGE,
    )
    return pages.page(
        "files.html",
        rows=page.items,
        purpose=purpose,
        after=after,
        purposes=PURPOSES,
        further=page.items[-1].public_id if page.has_more else None,
        live_ms=LIVE_MS,
    )


@blueprint.get("/files/<file_id>")
@operation("ui_file")
def file(file_id: str) -> Response:
    """A file: its first lines with findings, what a batch on it would cost, and a form to start one."""
    row = files.retrieve(gateway(), caller(), file_id)
    is_input = row.purpose == files.BATCH
    lines = preview.of_file(gateway(), row)
    estimated = problem = None
    if is_input and row.is_kept and (row.bytes <= QUICK_BYTES or "estimate" in request.args):
        try:
            estimated = cost.of_file(gateway(), caller(), row.public_id)
        except GatewayError as error:
            problem = error.message
    url = next((line.url for line in lines or () if line.url), ENDPOINTS[0])
    return pages.page(
        "file.html",
        row=row,
        is_input=is_input,
        lines=lines,
        findings=sum(1 for line in lines or () if line.finding),
        estimated=estimated,
        problem=problem,
        url=url,
        endpoints=ENDPOINTS if url in ENDPOINTS else (url, *ENDPOINTS),
        providers=gateway().accounts.known(),
    )


@blueprint.get("/files/<file_id>/content")
@operation("file_content")
def content(file_id: str) -> Response:
    """The bytes, to be saved: no browser shows them as a page of this host."""
    row = files.retrieve(gateway(), caller(), file_id)
    g.object_id = row.public_id
    if not row.is_kept:
        unkept = Content(key="", bytes=row.bytes, sha256=row.sha256, filename=row.filename)
        return streamed_response(unkept, partial(remote.content, gateway(), row))
    key = files.blob_key(gateway(), row)
    return content_response(gateway(), Content(key=key, bytes=row.bytes, sha256=row.sha256, filename=row.filename))


@blueprint.post("/files/<file_id>/delete")
@operation("file_delete")
def delete(file_id: str) -> Response:
    """Deletes a file that no unfinished batch uses."""
    g.object_id = files.delete(gateway(), caller(), file_id).public_id
    return pages.see("/ui/files")


@blueprint.post("/files/<file_id>/batch")
@operation("batch_create")
def start(file_id: str) -> Response:
    """Starts a batch on a file."""
    given = {name: request.form.get(name, "").strip() for name in ("endpoint", "model", "provider", "window", "name")}
    body = {
        "input_file_id": file_id,
        "endpoint": given["endpoint"],
        "completion_window": given["window"] or "24h",
        **({"model": given["model"]} if given["model"] else {}),
        **({"metadata": {"name": given["name"]}} if given["name"] else {}),
    }
    fields = load(CreateBatch, body)
    provider = given["provider"] or None
    if provider is not None and not gateway().accounts.is_known(provider):
        raise InvalidRequestError(f"provider {provider!r:.60} is not known.", param="provider")
    new = NewBatch(
        provider=provider,
        model=fields["model"],
        endpoint=fields["endpoint"],
        completion_window=fields["completion_window"],
        metadata=fields["metadata"],
    )
    made = create.create(gateway(), caller(), new, source=file_id)
    g.object_id = made.public_id
    return pages.see(f"/ui/batches/{made.public_id}")


@blueprint.post("/uploads")
@operation("upload_create")
def announce() -> Response:
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
def join(upload_id: str) -> Response:
    """Joins the parts into a file."""
    fields = load(CompleteUpload, read_json())
    found = uploads.retrieve_pending(gateway(), caller(), upload_id)
    return _answer(uploads.complete(gateway(), caller(), found, part_ids=fields["part_ids"]))


@blueprint.post("/uploads/<upload_id>/cancel")
@operation("upload_cancel")
def give_up(upload_id: str) -> Response:
    """Ends an upload; its parts are deleted."""
    return _answer(uploads.cancel(gateway(), caller(), upload_id))


def _answer(found: Upload) -> Response:
    g.object_id = found.public_id
    file = None if found.file is None else found.file.public_id
    return _json({"id": found.public_id, "status": found.status, "file": file})


def _json(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), mimetype="application/json")
