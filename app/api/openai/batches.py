"""Routes of batches in OpenAI's shape; `extras` are the gateway's own routes, which no Azure client calls."""

from typing import Any

import orjson
from flask import Blueprint, Response, g, request

from app.api import query
from app.api.body import Body, read_json
from app.api.context import caller, gateway
from app.api.idempotency import idempotent, identify, settling
from app.api.openai import batch_wire
from app.api.openai.estimate_wire import wire
from app.api.operation import answer, extra_fields, list_answer, operation
from app.api.provider import explicit_provider, sdk_provider
from app.errors import InvalidRequestError
from app.schemas import batches as schemas
from app.schemas.base import load
from app.services.batches import batches, cost, inline_input, raw_results, steer
from app.services.batches import results as batch_results
from app.services.batches import retry as batch_retry
from app.services.batches.batches import Batch
from app.services.batches.create import NewBatch
from app.services.batches.create import create as create_batch
from app.services.batches.inline_input import InlineInput
from app.services.blobs import check_reserve

blueprint = Blueprint("batches", __name__)
extras = Blueprint("batch_extras", __name__)

BELOW = "/batches/<object:batch_id>"
BATCH = "/batches/<object('cancel', 'results', 'lines', 'retry', 'pause', 'resume', 'clone'):batch_id>"
JSON = "application/json"
JSONL = "application/x-ndjson"
RAW_JSONL = "application/jsonl"
STEERING = ("priority", "concurrency", "finish_by", "not_before")


@blueprint.post("/batches")
@operation("batch_create")
@idempotent
def create() -> Response:
    """Start a batch on an uploaded file or on inline `requests`."""
    explicit_provider()  # a request that contradicts itself is refused before its body is read
    check_reserve(gateway())
    with inline_input.reading(gateway(), Body(request)) as body:
        identify(body.identity)
        fields = load(schemas.CreateBatch, body.members)
        source = _source(fields["input_file_id"], body.inline)
        expires_after = fields["output_expires_after"] or {}
        new = NewBatch(
            provider=explicit_provider(fields["provider"]),
            sdk_provider=sdk_provider(),
            model=fields["model"],
            endpoint=fields["endpoint"],
            completion_window=fields["completion_window"],
            metadata=fields["metadata"],
            output_expires_after_s=expires_after.get("seconds"),
            execution=fields["execution"],
            webhook=fields["webhook"],
            **{name: fields[name] for name in STEERING},
        )
        return _answer(create_batch(gateway(), caller(), new, source=source, settle=settling(_answer)))


@blueprint.get("/batches")
@operation("batch_list", schemas.ListBatches)
def list_() -> Response:
    """The project's batches, newest first."""
    fields = query.read(schemas.ListBatches)
    provider = explicit_provider()
    statuses = schemas.STATUSES[fields["status"]] if fields["status"] else None
    page = batches.list_(
        gateway(), caller(), limit=fields["limit"], after=fields["after"], provider=provider, statuses=statuses
    )
    return list_answer([_item(batch) for batch in page.items], has_more=page.has_more, provider=provider)


@blueprint.get(BATCH)
@operation("batch_retrieve")
def retrieve(batch_id: str) -> Response:
    """A batch with its live counts."""
    return _answer(batches.look_up(gateway(), caller(), batch_id, provider=explicit_provider()))


@blueprint.post(f"{BELOW}/cancel")
@operation("batch_cancel")
def cancel(batch_id: str) -> Response:
    """Send no more lines; finished ones are kept."""
    fields = load(schemas.CancelBatch, read_json(required=False))
    provider = explicit_provider(fields["provider"])
    return _answer(batches.cancel(gateway(), caller(), batch_id, provider=provider))


@extras.post(f"{BELOW}/pause")
@operation("batch_pause")
def pause(batch_id: str) -> Response:
    """Send no more lines until the batch is resumed; its window runs on."""
    fields = load(schemas.CancelBatch, read_json(required=False))
    return _answer(steer.pause(gateway(), caller(), batch_id, provider=explicit_provider(fields["provider"])))


@extras.post(f"{BELOW}/resume")
@operation("batch_resume")
def resume(batch_id: str) -> Response:
    """Go on with a paused batch."""
    fields = load(schemas.CancelBatch, read_json(required=False))
    return _answer(steer.resume(gateway(), caller(), batch_id, provider=explicit_provider(fields["provider"])))


@extras.post(BATCH)
@operation("batch_update")
def update(batch_id: str) -> Response:
    """Change the priority of a batch, its limit, and when it may begin and has to be over."""
    fields = load(schemas.UpdateBatch, read_json())
    provider = explicit_provider(fields.pop("provider"))
    return _answer(steer.change(gateway(), caller(), batch_id, fields, provider=provider))


@blueprint.delete(BATCH)
@operation("batch_delete")
def delete(batch_id: str) -> Response:
    """Hide a batch that has ended; its files stay."""
    batch = batches.delete(gateway(), caller(), batch_id, provider=explicit_provider())
    return answer({"id": batch.public_id, "object": "batch", "deleted": True}, provider=batch.provider)


@extras.get(f"{BELOW}/results")
@operation("batch_results", schemas.ResultsFormat, schemas.StreamResults, schemas.PageResults)
def results(batch_id: str) -> Response:
    """One output line for each line that has ended: JSONL, or a paged document for `Accept: application/json`.

    With `format=raw` the lines as the provider wrote them, with the ids that it has, in its own order.
    """
    provider = explicit_provider()
    given = query.given()
    if load(schemas.ResultsFormat, {"format": given.pop("format", schemas.OPENAI)})["format"] == schemas.RAW:
        return _raw(batch_id, provider)
    if not _wants_document():
        fields = load(schemas.StreamResults, given)
        lines = batch_results.stream(gateway(), caller(), batch_id, provider=provider, **fields)
        return Response(lines, mimetype=JSONL)
    fields = load(schemas.PageResults, given)
    page = batch_results.page(gateway(), caller(), batch_id, provider=provider, **fields)
    body = {
        "batch_id": page.batch.public_id,
        "results": [orjson.Fragment(line) for line in page.lines],
        "has_more": page.has_more,
        "next_cursor": page.next_cursor,
    }
    return answer(body, **_provenance(page.batch))


@extras.get(f"{BELOW}/lines")
@operation("batch_lines", schemas.ListLines)
def lines(batch_id: str) -> Response:
    """The state of each line, in order."""
    fields = query.read(schemas.ListLines)
    state = schemas.LINE_STATES[fields["state"]] if fields["state"] else None
    page = batch_results.states(
        gateway(),
        caller(),
        batch_id,
        limit=fields["limit"],
        provider=explicit_provider(),
        after=fields["after"],
        state=state,
    )
    data = [batch_wire.line(page.batch, row, page.waits.get(row.line)) for row in page.lines]
    return list_answer(data, has_more=page.has_more, provider=page.batch.provider)


@extras.post(f"{BELOW}/retry")
@operation("batch_retry")
@idempotent
def retry(batch_id: str) -> Response:
    """A new batch of the lines that failed, expired or were cancelled."""
    body = read_json(required=False)
    identify(body)
    fields = load(schemas.RetryBatch, body)
    code, changes = fields.pop("error_code"), batch_retry.Changes(**fields)
    check_reserve(gateway())
    batch = batch_retry.retry(
        gateway(),
        caller(),
        batch_id,
        provider=explicit_provider(),
        error_code=code,
        changes=changes,
        settle=settling(_answer),
    )
    return _answer(batch)


@extras.post(f"{BELOW}/clone")
@operation("batch_clone")
@idempotent
def clone(batch_id: str) -> Response:
    """A new batch of all lines of a batch, whatever became of them."""
    body = read_json(required=False)
    identify(body)
    changes = batch_retry.Changes(**load(schemas.CloneBatch, body))
    check_reserve(gateway())
    settle, provider = settling(_answer), explicit_provider()
    return _answer(batch_retry.clone(gateway(), caller(), batch_id, provider=provider, changes=changes, settle=settle))


@extras.get("/files/<object:file_id>/estimate")
@operation("file_estimate", schemas.Estimate)
def estimate(file_id: str) -> Response:
    """The tokens and the most that a batch on a file can cost, as far as lines and prices show; null is unknown."""
    fields = query.read(schemas.Estimate)
    estimated = cost.of_file(gateway(), caller(), file_id, provider=explicit_provider(), **fields)
    g.object_id = estimated.file_id
    return answer(wire(estimated), provider=estimated.provider, model_requested=fields["model"])


def _source(input_file_id: str | None, inline: InlineInput | None) -> str | InlineInput:
    if input_file_id is not None and inline is not None:
        raise InvalidRequestError("Send either input_file_id or requests, not both.", param="requests")
    source = inline if input_file_id is None else input_file_id
    if source is None:
        raise InvalidRequestError("input_file_id or requests is required.", param="input_file_id")
    return source


def _raw(batch_id: str, provider: str | None) -> Response:
    for name in ("after", "limit"):
        if name in query.given():
            raise InvalidRequestError(f"{name}: format=raw returns all lines; leave out {name}.", param=name)
    raw = raw_results.find(gateway(), caller(), batch_id, provider=provider)
    g.object_id = raw.batch.public_id
    if request.method == "HEAD":
        return Response(mimetype=RAW_JSONL)
    return Response(raw_results.stream(gateway(), raw), mimetype=RAW_JSONL)


def _wants_document() -> bool:
    # JSON must be named, not merely allowed: curl sends `*/*`, and the route is there for JSONL.
    return any(value.lower() == JSON and quality > 0 for value, quality in request.accept_mimetypes)


def _answer(batch: Batch) -> Response:
    return answer(_wire(batch), **_provenance(batch))


def _item(batch: Batch) -> dict[str, Any]:
    return {**_wire(batch), "extra_fields": extra_fields(**_provenance(batch))}


def _wire(batch: Batch) -> dict[str, Any]:
    limits = gateway().accounts.abilities(batch.provider).jobs
    return batch_wire.render(batch, public_url=gateway().settings.public_url, has_operations=limits.operation)


def _provenance(batch: Batch) -> dict[str, Any]:
    return {
        "provider": batch.provider,
        "model_requested": batch.model_override or batch.model,
        "model_deployment": batch.model,
        "native_id": batch.native_id,
    }
