"""Batches, in OpenAI's shape; `extras` are the gateway's own routes, which no Azure client asks for."""

from typing import Any

import orjson
from flask import Blueprint, Response, g, request

from app.api.body import Body, read_json
from app.api.context import caller, gateway
from app.api.idempotency import idempotent, identify, settling
from app.api.openai.estimate_wire import wire
from app.api.operation import answer, extra_fields, list_answer, operation
from app.api.provider import explicit_provider, sdk_provider
from app.data.store.database import AnyRow
from app.errors import InvalidRequestError
from app.schemas import batches as schemas
from app.schemas.base import load
from app.services.batches import batch_object, batches, cost, inline_input, raw_results
from app.services.batches import results as batch_results
from app.services.batches import retry as batch_retry
from app.services.batches.batches import NewBatch
from app.services.batches.inline_input import InlineInput
from app.services.lines import output

blueprint = Blueprint("batches", __name__)
extras = Blueprint("batch_extras", __name__)

BELOW = "/batches/<object:batch_id>"
BATCH = "/batches/<object('cancel', 'results', 'lines', 'retry'):batch_id>"
JSON = "application/json"
JSONL = "application/x-ndjson"
RAW_JSONL = "application/jsonl"


@blueprint.post("/batches")
@operation("batch_create")
@idempotent
def create() -> Response:
    """Start a batch on an uploaded file or on inline `requests`."""
    explicit_provider()  # a request that contradicts itself is refused before its body comes in
    with inline_input.reading(gateway(), Body(request)) as body:
        identify(body.identity)
        asked = load(schemas.CreateBatch, body.members)
        source = _source(asked["input_file_id"], body.inline)
        expires_after = asked["output_expires_after"] or {}
        wanted = NewBatch(
            provider=explicit_provider(asked["provider"]),
            sdk_provider=sdk_provider(),
            model=asked["model"],
            endpoint=asked["endpoint"],
            completion_window=asked["completion_window"],
            metadata=asked["metadata"],
            output_expires_after_s=expires_after.get("seconds"),
            execution=asked["execution"],
        )
        return _answer(batches.create(gateway(), caller(), wanted, source=source, settle=settling(_answer)))


@blueprint.get("/batches")
@operation("batch_list")
def list_() -> Response:
    """The project's batches, newest first."""
    asked = load(schemas.ListBatches, request.args)
    provider = explicit_provider()
    statuses = schemas.STATUSES[asked["status"]] if asked["status"] else None
    page = batches.list_(
        gateway(), caller(), limit=asked["limit"], after=asked["after"], provider=provider, statuses=statuses
    )
    return list_answer([_item(row) for row in page.items], has_more=page.has_more, provider=provider)


@blueprint.get(BATCH)
@operation("batch_retrieve")
def retrieve(batch_id: str) -> Response:
    """A batch with its live counts."""
    return _answer(batches.look_up(gateway(), caller(), batch_id, provider=explicit_provider()))


@blueprint.post(f"{BELOW}/cancel")
@operation("batch_cancel")
def cancel(batch_id: str) -> Response:
    """Send no more lines; finished ones are kept."""
    return _answer(batches.cancel(gateway(), caller(), batch_id, provider=explicit_provider()))


@blueprint.delete(BATCH)
@operation("batch_delete")
def delete(batch_id: str) -> Response:
    """Hide a batch that is over; its files stay."""
    row = batches.delete(gateway(), caller(), batch_id, provider=explicit_provider())
    return answer({"id": row.public_id, "object": "batch", "deleted": True}, provider=row.provider)


@extras.get(f"{BELOW}/results")
@operation("batch_results")
def results(batch_id: str) -> Response:
    """One output line for each line that is over: JSONL, or pages of a document for `Accept: application/json`.

    With `format=raw` the lines that the provider wrote, with the ids that it knows, in its own order.
    """
    provider = explicit_provider()
    if load(schemas.ResultsFormat, request.args)["format"] == schemas.RAW:
        return _raw(batch_id, provider)
    if not _wants_document():
        asked = load(schemas.StreamResults, request.args)
        lines = batch_results.stream(gateway(), caller(), batch_id, provider=provider, **asked)
        return Response(lines, mimetype=JSONL)
    asked = load(schemas.PageResults, request.args)
    page = batch_results.page(gateway(), caller(), batch_id, provider=provider, **asked)
    body = {
        "batch_id": page.batch.public_id,
        "results": [orjson.Fragment(line) for line in page.lines],
        "has_more": page.has_more,
        "next_cursor": page.next_cursor,
    }
    return answer(body, **_provenance(page.batch))


@extras.get(f"{BELOW}/lines")
@operation("batch_lines")
def lines(batch_id: str) -> Response:
    """How each line goes, by number."""
    asked = load(schemas.ListLines, request.args)
    state = schemas.LINE_STATES[asked["state"]] if asked["state"] else None
    page = batch_results.states(
        gateway(),
        caller(),
        batch_id,
        limit=asked["limit"],
        provider=explicit_provider(),
        after=asked["after"],
        state=state,
    )
    data = [_line(page.batch, row) for row in page.lines]
    return list_answer(data, has_more=page.has_more, provider=page.batch.provider)


@extras.post(f"{BELOW}/retry")
@operation("batch_retry")
@idempotent
def retry(batch_id: str) -> Response:
    """A new batch of the lines that failed, expired or were cancelled."""
    body = read_json(required=False)
    identify(body)
    asked = load(schemas.RetryBatch, body)
    row = batch_retry.retry(
        gateway(), caller(), batch_id, provider=explicit_provider(), settle=settling(_answer), **asked
    )
    return _answer(row)


@extras.get("/files/<object:file_id>/estimate")
@operation("file_estimate")
def estimate(file_id: str) -> Response:
    """What a batch on a file asks for and can cost, as far as lines and prices tell; null is unknown."""
    asked = load(schemas.Estimate, request.args)
    found = cost.of_file(gateway(), caller(), file_id, provider=explicit_provider(), **asked)
    g.object_id = found.file_id
    return answer(wire(found), provider=found.provider, model_requested=asked["model"])


def _source(input_file_id: str | None, inline: InlineInput | None) -> str | InlineInput:
    if input_file_id is not None and inline is not None:
        raise InvalidRequestError("Send either input_file_id or requests, not both.", param="requests")
    source = inline if input_file_id is None else input_file_id
    if source is None:
        raise InvalidRequestError("input_file_id or requests is required.", param="input_file_id")
    return source


def _raw(batch_id: str, provider: str | None) -> Response:
    for name in ("after", "limit"):
        if name in request.args:
            raise InvalidRequestError(f"{name}: format=raw gives all lines; leave {name} out.", param=name)
    found = raw_results.find(gateway(), caller(), batch_id, provider=provider)
    g.object_id = found.batch.public_id
    if request.method == "HEAD":
        return Response(mimetype=RAW_JSONL)
    return Response(raw_results.stream(gateway(), found), mimetype=RAW_JSONL)


def _wants_document() -> bool:
    # Named, not merely allowed: `*/*` is what curl sends, and JSONL is what the route is for.
    return any(value.lower() == JSON and quality > 0 for value, quality in request.accept_mimetypes)


def _answer(row: AnyRow) -> Response:
    return answer(_wire(row), **_provenance(row))


def _item(row: AnyRow) -> dict[str, Any]:
    return {**_wire(row), "extra_fields": extra_fields(**_provenance(row))}


def _wire(row: AnyRow) -> dict[str, Any]:
    return batch_object.render(gateway(), row)


def _provenance(row: AnyRow) -> dict[str, Any]:
    return {
        "provider": row.provider,
        "model_requested": row.model_override or row.model,
        "model_deployment": row.model,
        "native_id": row.native_id,
    }


def _line(batch: AnyRow, row: AnyRow) -> dict[str, Any]:
    return {
        "id": output.line_id(batch.public_id, row.line),
        "object": "batch.line",
        "line": row.line,
        "custom_id": row.custom_id,
        "wire_id": row.wire_id,
        "state": row.state,
        "attempts": row.attempts,
        "unknown_attempts": row.unknown_attempts,
        "status_code": row.status_code,
        "error_code": row.error_code,
        "latency_ms": row.latency_ms,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "dropped_fields": row.dropped_fields.split(",") if row.dropped_fields else [],
    }
