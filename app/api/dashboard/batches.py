"""Batches: the list, one of them, and what can be done with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, g, request

from app.api.context import caller, gateway
from app.api.dashboard import pages
from app.api.openai import batch_wire
from app.api.operation import operation
from app.connectors.catalogue import registry
from app.errors import InvalidRequestError
from app.lib.states import BATCH_STATUSES, TERMINAL
from app.schemas.base import load
from app.schemas.batches import RetryBatch, UpdateBatch
from app.services.batches import batches, retry, search, spending, steer, trace
from app.services.batches.batches import Batch
from app.services.batches.create import PROVIDER
from app.services.batches.spending import Spending
from app.services.events import browse
from app.services.events.browse import Filters
from app.services.jobs import admin
from app.services.jobs.admin import Resolution

PER_PAGE = 25
MAX_JOBS = 50
MAX_EVENTS = 20
MAX_DIGITS = 9
QUICK_MS, SLOW_MS = 2000, 15_000
MINUTE_MS = 60_000
NOTES = {
    "cancelled": "The batch is being cancelled: no more lines are sent, and finished ones are kept.",
    "paused": "The batch is paused: no more lines are sent. Its deadline stays.",
    "resumed": "The batch goes on.",
    "changed": "The priority is changed.",
    "retried": "This is the new batch, of the lines that did not succeed.",
    "resolved": "The job is resolved.",
    "deleted": "The batch is deleted. Its files stay.",
}

blueprint = Blueprint("batches", __name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """A batch as pages show it. Instants are Unix milliseconds; `margin_ms` is what it left of its window, or will."""

    batch: Batch
    name: str
    total: int
    completed: int
    failed: int
    left: int
    took_ms: int | None
    started_at: int | None
    eta: int | None
    margin_ms: int | None
    spending: Spending
    waiting: dict[str, Any] | None


@blueprint.get("/batches")
@operation("ui_batch_list")
def list_() -> Response:
    """The project's batches, newest first, with what they are doing and what they cost."""
    query = {name: request.args.get(name, "").strip() for name in ("q", "status", "provider", "after")}
    statuses = _statuses(query["status"])
    provider = query["provider"] if registry.is_known(query["provider"]) else None
    items, further = _find(query["q"], after=query["after"] or None, provider=provider, statuses=statuses)
    shown = _shown(items)
    return pages.page(
        "batches.html",
        shown=shown,
        query=query,
        further=further,
        statuses=(*BATCH_STATUSES, "running"),
        providers=gateway().accounts.known(),
        note=NOTES.get(request.args.get("note", "")),
        live_ms=QUICK_MS if any(not each.batch.has_ended for each in shown) else SLOW_MS,
    )


@blueprint.get("/batches/<batch_id>")
@operation("ui_batch")
def batch(batch_id: str) -> Response:
    """One batch."""
    found = batches.look_up(gateway(), caller(), batch_id)
    [shown] = _shown([found])
    is_admin = pages.signed_in().is_admin
    filters = Filters(project=caller().project, object_id=found.public_id)
    return pages.page(
        "batch.html",
        shown=shown,
        batch=found,
        moments=_moments(found),
        failures=trace.failures(gateway(), found) if found.lines_failed and found.lines_state == "kept" else [],
        among=trace.AMONG_LINES,
        jobs=admin.shown(gateway(), found.public_id, limit=MAX_JOBS) if found.execution == PROVIDER else [],
        events=browse.list_(gateway(), filters, limit=MAX_EVENTS).items if is_admin else [],
        note=NOTES.get(request.args.get("note", "")),
        live_ms=QUICK_MS if not found.has_ended else SLOW_MS,
    )


@blueprint.post("/batches/<batch_id>/cancel")
@operation("batch_cancel")
def cancel(batch_id: str) -> Response:
    """Sends no more lines."""
    return _seen(batches.cancel(gateway(), caller(), batch_id), "cancelled")


@blueprint.post("/batches/<batch_id>/pause")
@operation("batch_pause")
def pause(batch_id: str) -> Response:
    """Sends no more lines until the batch is resumed; its window runs on."""
    return _seen(steer.pause(gateway(), caller(), batch_id), "paused")


@blueprint.post("/batches/<batch_id>/resume")
@operation("batch_resume")
def resume(batch_id: str) -> Response:
    """Goes on with a paused batch."""
    return _seen(steer.resume(gateway(), caller(), batch_id), "resumed")


@blueprint.post("/batches/<batch_id>/priority")
@operation("batch_update")
def priority(batch_id: str) -> Response:
    """Puts a batch before the project's others, or behind them."""
    fields = load(UpdateBatch, {"priority": _whole(request.form.get("priority", ""))})
    return _seen(steer.change(gateway(), caller(), batch_id, {"priority": fields["priority"]}), "changed")


@blueprint.post("/batches/<batch_id>/retry")
@operation("batch_retry")
def retry_(batch_id: str) -> Response:
    """A new batch of the lines that did not succeed, or of those with a code; on another model if one is named."""
    given = {name: request.form.get(name, "").strip() for name in ("model", "provider", "error_code")}
    fields = load(RetryBatch, {name: value for name, value in given.items() if value})
    changes = retry.Changes(model=fields["model"], provider=fields["provider"])
    return _seen(
        retry.retry(gateway(), caller(), batch_id, error_code=fields["error_code"], changes=changes), "retried"
    )


@blueprint.post("/batches/<batch_id>/delete")
@operation("batch_delete")
def delete(batch_id: str) -> Response:
    """Hides a batch that has ended."""
    found = batches.delete(gateway(), caller(), batch_id)
    g.object_id = found.public_id
    return pages.see("/ui/batches?note=deleted")


@blueprint.post("/batches/<batch_id>/resolve")
@operation("job_resolve")
def resolve(batch_id: str) -> Response:
    """An admin says what became of a job whose fate the gateway cannot know."""
    actor = pages.signed_in().actor()
    found = batches.retrieve(gateway(), caller(), batch_id)
    g.object_id = found.public_id
    native_id = request.form.get("native_id", "").strip() or None
    decision, number = request.form.get("decision", ""), request.form.get("number", "")
    if decision not in ("has", "again", "given_up") or (decision == "has") != (native_id is not None):
        text = "Say what became of the job: it runs (give its id at the provider), it is made again, or it is given up."
        raise InvalidRequestError(text, param="decision")
    admin.resolve(
        gateway(),
        found.public_id,
        Resolution(native_id=native_id, again=decision == "again"),
        number=int(number) if number.isascii() and number.isdecimal() else None,
        actor=actor,
    )
    return pages.see(f"/ui/batches/{found.public_id}?note=resolved")


def _seen(found: Batch, note: str) -> Response:
    """Leads to the page of a batch, with a word on what was done."""
    g.object_id = found.public_id
    return pages.see(f"/ui/batches/{found.public_id}?note={note}")


def _whole(text: str) -> int | str:
    """A whole number; any other text as it is, which is then refused."""
    digits = text.strip().removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < MAX_DIGITS else text


def _find(
    text: str, *, after: str | None, provider: str | None, statuses: Sequence[str] | None
) -> tuple[Sequence[Batch], str | None]:
    """A page of batches, and the `after` of the next one."""
    if text:
        found = search.search(
            gateway(), caller(), text, limit=PER_PAGE, after=after, provider=provider, statuses=statuses
        )
        return found.items, found.further
    page = batches.list_(gateway(), caller(), limit=PER_PAGE, after=after, provider=provider, statuses=statuses)
    return page.items, page.items[-1].public_id if page.has_more else None


def _statuses(named: str) -> Sequence[str] | None:
    if named == "running":
        return [status for status in BATCH_STATUSES if status not in TERMINAL]
    return [named] if named in BATCH_STATUSES else None


def _shown(found: Sequence[Batch]) -> list[Shown]:
    spent = spending.of(gateway(), found) if found else {}
    return [_show(each, spent[each.id]) for each in found]


def _show(found: Batch, spent: Spending) -> Shown:
    counts = batch_wire.request_counts(found)
    done = counts["completed"] + counts["failed"]
    left = max(0, counts["total"] - done)
    ended = found.completed_at or found.failed_at or found.expired_at or found.cancelled_at
    eta = None
    if found.progress is not None and found.progress.eta_ms is not None:
        # To the minute: what a page shows changes only if there is news.
        eta = -(-found.progress.eta_ms // MINUTE_MS) * MINUTE_MS
    until = ended or eta
    return Shown(
        batch=found,
        name=_name(found),
        total=counts["total"],
        completed=counts["completed"],
        failed=counts["failed"],
        left=left,
        took_ms=None if ended is None else ended - found.created_at,
        started_at=None if found.has_ended else found.created_at,
        eta=eta,
        margin_ms=None if until is None else found.expires_at - until,
        spending=spent,
        waiting=batch_wire.render(found, public_url="", has_operations=False)["waiting_on"],
    )


def _moments(found: Batch) -> list[tuple[str, int]]:
    """What happened when, in order."""
    named = {
        "created": found.created_at,
        "began": found.in_progress_at,
        "cancel asked for": found.cancelling_at,
        "results written from": found.finalizing_at,
        "completed": found.completed_at,
        "failed": found.failed_at,
        "expired": found.expired_at,
        "cancelled": found.cancelled_at,
    }
    return sorted(((name, at) for name, at in named.items() if at is not None), key=lambda moment: moment[1])


def _name(found: Batch) -> str:
    """What its metadata call it."""
    metadata = found.metadata or {}
    return next((metadata[key] for key in ("name", "title", "description") if metadata.get(key)), "")
