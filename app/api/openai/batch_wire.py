"""Batches and their lines on the wire (contracts: gateway API, "Batches")."""

import re
from dataclasses import replace
from typing import Any

from app.lib.states import TERMINAL
from app.services.batches.batches import Batch
from app.services.batches.results import LineStatus, LineWaiting
from app.services.lines import output

# A refusal of the account's key: its words are the operator's.
OF_OPERATOR = "credential"
MESSAGES = {
    "planning": "The batch waits for its lines to be checked.",
    "queue": "It waits for its turn.",
    "permits": "As many requests as the account may have for this model are at the provider.",
    "concurrency": "As many requests as the batch may have at once are at the provider.",
    "paused": "The provider refuses requests for this model or account; one is tried from time to time.",
    "paused_by_user": "The batch is paused. Resume it to have its other lines sent.",
    "not_before": "The batch was asked not to begin earlier.",
    "off_peak": "The batch waits for the off-peak hours of its account.",
    "retry": "Requests failed or were refused, and are sent again.",
    "account_disabled": "The account at the provider is disabled or gone. Ask the operator of the gateway.",
    "no_worker": "No worker of the gateway is running. Ask its operator.",
    "store_away": "The file store of the gateway does not answer. Ask its operator.",
    "budget": "A budget is spent, so the batch is being cancelled.",
    "provider": "Requests are at the provider, which has not answered them yet.",
    "finalizing": "All lines have ended; their results are being written.",
}
# What holds a batch holds each of its lines that has not been sent.
OF_LINES_TOO = frozenset(MESSAGES) - {"provider", "retry"}
# Where the operator's accounts are is the operator's.
URL = re.compile(r"https?://[^\s'\"]*[^\s'\".,:;)]")
COUNTS = ("total", "completed", "failed", "succeeded", "expired", "canceled", "pending")


def render(batch: Batch, *, public_url: str, has_operations: bool) -> dict[str, Any]:
    """The batch object without its `extra_fields`.

    `has_operations` is true when the batch's provider has long-running operations: the batch names its own then.
    """
    return {
        "id": batch.public_id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model,
        "input_file_id": batch.input_file,
        "completion_window": batch.completion_window,
        "status": batch.status,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "request_counts": request_counts(batch),
        "usage": usage(batch),
        "metadata": batch.metadata,
        "created_at": _seconds(batch.created_at),
        "in_progress_at": _seconds(batch.in_progress_at),
        "expires_at": _seconds(batch.expires_at),
        "finalizing_at": _seconds(batch.finalizing_at),
        "completed_at": _seconds(batch.completed_at),
        "failed_at": _seconds(batch.failed_at),
        "expired_at": _seconds(batch.expired_at),
        "cancelling_at": _seconds(batch.cancelling_at),
        "cancelled_at": _seconds(batch.cancelled_at),
        "processing_status": processing_status(batch.status),
        "results_url": f"{public_url}/v1/batches/{batch.public_id}/results",
        "operation_name": batch.first_native_id if has_operations else None,
        "execution": batch.execution,
        "retry_of": batch.retry_of_batch,
        "webhook": {"url": batch.webhook_url} if batch.webhook_url is not None else batch.webhook_endpoint,
        "priority": batch.priority,
        "concurrency": batch.concurrency,
        "finish_by": _seconds(batch.finish_by),
        "not_before": _seconds(batch.not_before),
        "off_peak": batch.off_peak_until is not None,
        "paused_at": _seconds(batch.paused_at),
        "waiting_on": _waiting_on(batch),
        "progress": _progress(batch),
    }


def request_counts(batch: Batch) -> dict[str, int]:
    """Lines by how they ended.

    `failed` counts every line that ended without success, as many as the error file will have, so that `completed` and
    `failed` add up to `total` in the end; `expired` and `canceled` are how many of those never ran. A batch that failed
    as a whole counts no lines, as at OpenAI, wherever it was to run.
    """
    if batch.status == "failed" and not batch.lines_completed:
        return dict.fromkeys(COUNTS, 0)
    unexecuted = batch.lines_expired + batch.lines_cancelled
    return {
        "total": batch.lines_total,
        "completed": batch.lines_completed,
        "failed": batch.lines_failed + unexecuted,
        "succeeded": batch.lines_completed,
        "expired": batch.lines_expired,
        "canceled": batch.lines_cancelled,
        "pending": max(0, batch.lines_total - batch.lines_completed - batch.lines_failed - unexecuted),
    }


def usage(batch: Batch) -> dict[str, Any]:
    """Tokens of the successful lines, under the names of the Responses API for every endpoint."""
    return {
        "input_tokens": batch.input_tokens,
        "input_tokens_details": {"cached_tokens": batch.cached_tokens},
        "output_tokens": batch.output_tokens,
        "output_tokens_details": {"reasoning_tokens": batch.reasoning_tokens},
        "total_tokens": batch.total_tokens,
    }


def processing_status(status: str) -> str:
    """Anthropic's word for `status`."""
    if status in TERMINAL:
        return "ended"
    return "canceling" if status == "cancelling" else "in_progress"


def line(batch: Batch, row: LineStatus, wait: LineWaiting | None = None) -> dict[str, Any]:
    """The state of a line, as `GET /batches/{id}/lines` lists it."""
    if row.state != "pending":
        wait = None  # it ended a moment ago
    is_running = wait is not None and wait.state == "running"
    return {
        "id": output.line_id(batch.public_id, row.line),
        "object": "batch.line",
        "line": row.line,
        "custom_id": row.custom_id,
        "wire_id": row.wire_id,
        "state": "running" if is_running else row.state,
        "running_since": _seconds(wait.since) if wait and is_running else None,
        "waiting_on": _line_waits_on(batch, row, wait),
        "attempts": row.attempts,
        "unknown_attempts": row.unknown_attempts,
        "status_code": row.status_code,
        "error_code": row.error_code,
        "latency_ms": row.latency_ms,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "dropped_fields": row.dropped_fields.split(",") if row.dropped_fields else [],
    }


def _progress(batch: Batch) -> dict[str, Any] | None:
    found = batch.progress
    if found is None:
        return None
    return {"lines_per_second": found.lines_per_second, "eta": _seconds(found.eta_ms)}


def _waiting_on(batch: Batch) -> dict[str, Any] | None:
    waits = batch.waiting_on
    if waits is None:
        return None
    # Of a native batch this is what went wrong with its job, which it may wait for at its provider, too.
    shows = waits.reason in ("paused", "retry") or (waits.reason == "provider" and batch.execution == "provider")
    message = waits.message if shows else None
    has_permits = waits.reason in ("permits", "concurrency", "queue", "provider") and waits.ceiling is not None
    return {
        "reason": waits.reason,
        "since": _seconds(waits.since_ms),
        "until": _seconds(waits.until_ms),
        "message": _said(batch, waits.reason, waits.kind, message),
        "status_code": waits.status_code if message else None,
        "code": waits.code if message and waits.kind != OF_OPERATOR else None,
        "lines": waits.lines if waits.reason == "retry" and waits.lines else None,
        "refusals": waits.refusals if shows and waits.refusals else None,
        "ahead": waits.ahead,
        "in_flight": waits.in_flight if has_permits else None,
        "ceiling": waits.ceiling if has_permits else None,
        "learned_limit": int(waits.learned_limit) if has_permits and waits.learned_limit is not None else None,
        "jobs": dict(waits.jobs) or None,
        "polled_at": _seconds(waits.polled_ms),
    }


def _line_waits_on(batch: Batch, row: LineStatus, wait: LineWaiting | None) -> dict[str, Any] | None:
    """Why a line without a result waits: for itself, else for the reason of its batch, else for its turn."""
    if row.state != "pending":
        return None
    if wait is None:
        of_batch = batch.waiting_on
        if of_batch is None or of_batch.reason in OF_LINES_TOO or batch.execution == "provider":
            return _waiting_on(batch)
        return _waiting_on(replace(batch, waiting_on=replace(of_batch, reason="queue", until_ms=None)))
    reason = "provider" if wait.state == "running" else "retry"
    return {
        "reason": reason,
        "since": _seconds(wait.since),
        "until": _seconds(wait.until),
        "message": _said(batch, reason, wait.kind, wait.message),
        "status_code": wait.status_code,
        "code": wait.code if wait.kind != OF_OPERATOR else None,
        "refusals": wait.refusals,
    }


def _said(batch: Batch, reason: str, kind: str | None, message: str | None) -> str:
    """The provider's words, unless they are about the operator's key, after what is waited for."""
    if kind == OF_OPERATOR or not message:
        return MESSAGES[reason]
    if batch.execution == "provider":
        return f"{MESSAGES[reason]} Last: {URL.sub(batch.provider, message)}"
    return f"{MESSAGES[reason]} The provider said: {message}"


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000
