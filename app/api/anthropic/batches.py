"""Anthropic's Message Batches API, run at any provider: `model: "openai/gpt-5-mini"` names one."""

import re
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, request

from app.api import query
from app.api.anthropic import wire
from app.api.anthropic.answers import answer, page
from app.api.body import Body, read_json
from app.api.context import caller, gateway
from app.api.idempotency import idempotent, identify, settling
from app.api.operation import operation
from app.api.provider import explicit_provider
from app.errors import InvalidRequestError, NotFoundError
from app.lib import json
from app.schemas import anthropic as schemas
from app.schemas.base import load
from app.services.batches import batches, inline_input, outcomes
from app.services.batches import results as batch_results
from app.services.batches.batches import Batch
from app.services.batches.create import NewBatch
from app.services.batches.create import create as create_batch
from app.services.batches.outcomes import CANCELLED, ERRORED, SUCCEEDED, Outcome
from app.services.blobs import check_reserve
from app.services.gateway import Gateway

blueprint = Blueprint("batches", __name__)

BELOW = "/messages/batches/<object:batch_id>"
BATCH = "/messages/batches/<object('cancel', 'results'):batch_id>"
ENDPOINT = "/v1/messages"
VENDOR = "anthropic"
JSONL = "application/x-jsonl"
# What Anthropic says while a batch runs.
POLL_S = "10"
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MEMBERS = frozenset({"custom_id", "params"})


@blueprint.post("/messages/batches")
@operation("batch_create", schemas.Beta)
@idempotent
def create() -> Response:
    """Start a batch of `requests`."""
    explicit = explicit_provider()  # a request that contradicts itself is refused before its body is read
    check_reserve(gateway())
    requests = Requests(gateway(), names_provider=explicit is None)
    with inline_input.reading(gateway(), Body(request), each=requests.checked) as body:
        identify(body.identity)
        fields = load(schemas.CreateBatch, body.members)
        if body.inline is None:
            raise InvalidRequestError("requests: is required.", param="requests")
        provider = explicit_provider(fields["provider"], requests.provider)
        new = NewBatch(provider=provider, sdk_provider=VENDOR, endpoint=ENDPOINT)
        return _answer(create_batch(gateway(), caller(), new, source=body.inline, settle=settling(_answer)))


@blueprint.get("/messages/batches")
@operation("batch_list", schemas.Page)
def list_() -> Response:
    """The project's batches, newest first."""
    provider = explicit_provider()

    def read(after: str | None, descending: bool, limit: int) -> batches.BatchPage:
        return batches.list_(gateway(), caller(), limit=limit, after=after, provider=provider, descending=descending)

    return page(query.read(schemas.Page), read, write=_wire)


@blueprint.get(BATCH)
@operation("batch_retrieve", schemas.Beta)
def retrieve(batch_id: str) -> Response:
    """A batch."""
    return _answer(batches.look_up(gateway(), caller(), batch_id, provider=explicit_provider()))


@blueprint.post(f"{BELOW}/cancel")
@operation("batch_cancel", schemas.Beta)
def cancel(batch_id: str) -> Response:
    """Send no more requests. A batch that is being cancelled stays so."""
    load(schemas.CancelBatch, read_json(required=False))
    provider = explicit_provider()
    found = batches.retrieve(gateway(), caller(), batch_id, provider=provider)
    if found.status != "cancelling":
        found = batches.cancel(gateway(), caller(), batch_id, provider=provider)
    return _answer(found)


@blueprint.delete(BATCH)
@operation("batch_delete", schemas.Beta)
def delete(batch_id: str) -> Response:
    """Hide a batch that has ended."""
    found = batches.delete(gateway(), caller(), batch_id, provider=explicit_provider())
    g.object_id = found.public_id
    return answer({"id": wire.batch_id(found), "type": "message_batch_deleted"})


@blueprint.get(f"{BELOW}/results")
@operation("batch_results", schemas.Beta)
def results(batch_id: str) -> Response:
    """The result of each request, as JSONL; there are none before the batch has ended."""
    provider = explicit_provider()
    found = batches.retrieve(gateway(), caller(), batch_id, provider=provider)
    g.object_id = found.public_id
    if not found.has_ended:
        raise NotFoundError(f"The results of {wire.batch_id(found)} are there once its processing_status is ended.")
    outcomes.check(found, ENDPOINT)
    lines = batch_results.stream(gateway(), caller(), batch_id, provider=provider, each=partial(_result, found))
    return Response(lines, mimetype=JSONL)


class Requests:
    """The requests of a body, by Anthropic's rules but for one: they have one model.

    Jobs at other providers, prices and limits are of one model. `provider` is the one that it names, or None.
    """

    def __init__(self, gateway: Gateway, *, names_provider: bool) -> None:
        self.provider: str | None = None
        self._gateway = gateway
        self._names_provider = names_provider
        self._model: Any = None
        self._seen: set[int] = set()  # hashes: a body may have 100,000 ids

    def checked(self, value: Any, index: int) -> Any:
        """The request without the provider in its model. Raises InvalidRequestError that names the field."""
        where = f"requests.{index}"
        if not isinstance(value, dict) or value.keys() != MEMBERS:
            raise InvalidRequestError(f"{where}: must be an object of custom_id and params.", param=where)
        custom_id, params = value["custom_id"], value["params"]
        if not isinstance(custom_id, str) or not CUSTOM_ID.fullmatch(custom_id):
            text = f"{where}.custom_id: must be 1 to 64 letters, digits, hyphens or underscores."
            raise InvalidRequestError(text, param=f"{where}.custom_id")
        if hash(custom_id) in self._seen:
            text = f"{where}.custom_id: {custom_id} is the id of an earlier request, too."
            raise InvalidRequestError(text, param=f"{where}.custom_id")
        self._seen.add(hash(custom_id))
        if not isinstance(params, dict):
            raise InvalidRequestError(f"{where}.params: must be an object.", param=f"{where}.params")
        return {**value, "params": self._with_one_model(params, index)}

    def _with_one_model(self, params: dict[str, Any], index: int) -> dict[str, Any]:
        """`params` without the provider in the model, which is that of the requests before it."""
        model, provider = params.get("model"), None
        prefix, _, rest = model.partition("/") if isinstance(model, str) else ("", "", "")
        if self._names_provider and rest and self._gateway.accounts.is_known(prefix.lower()):
            model, provider = rest, prefix.lower()
        if index == 0:
            self.provider, self._model = provider, model
        if (provider, model) != (self.provider, self._model):
            text = (
                f"requests.{index}.params.model: {params.get('model')!r:.100} differs from the model of the requests "
                "before it. A batch has one model here; send a batch for each."
            )
            raise InvalidRequestError(text, param=f"requests.{index}.params.model")
        return params if provider is None else {**params, "model": model}


def _answer(found: Batch) -> Response:
    g.object_id = found.public_id
    return answer(_wire(found), **({} if found.has_ended else {"Retry-After": POLL_S}))


def _wire(found: Batch) -> dict[str, Any]:
    settings = gateway().settings
    # SDKs fetch results from where the batch says, so it has to be where they reached the gateway.
    is_set = bool(settings.environment.get("BATCHGATE_PUBLIC_URL"))
    return wire.batch(found, public_url=settings.public_url if is_set else request.host_url.rstrip("/"))


def _result(found: Batch, line: bytes) -> bytes:
    outcome = outcomes.read(found, line, ENDPOINT)
    return json.dumps_line({"custom_id": outcome.custom_id, "result": _written(outcome)})


def _written(outcome: Outcome) -> dict[str, Any]:
    if outcome.kind == SUCCEEDED:
        return {"type": "succeeded", "message": outcome.body}
    if outcome.kind == ERRORED:
        error = {"type": wire.error_type(outcome.status or wire.status_of(outcome.code)), "message": outcome.message}
        return {"type": "errored", "error": {"type": "error", "error": error, "request_id": outcome.request_id}}
    return {"type": "canceled" if outcome.kind == CANCELLED else "expired"}
