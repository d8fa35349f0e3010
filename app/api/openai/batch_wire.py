"""Batches and their lines on the wire (contracts: gateway API, "Batches")."""

import re
from typing import Any

from app.lib.states import TERMINAL
from app.services.batches.batches import Batch
from app.services.batches.results import LineStatus, LineWaiting
from app.services.lines import output

# A refusal of the account's key: its words are the operator's.
OF_OPERATOR = "credential"
MESSAGES = {
    "paused": "The provider refuses requests for this model or account; one is tried from time to time.",
    "retry": "Requests failed or were refused, and are sent again.",
    "account_disabled": "The account at the provider is disabled or gone. Ask the operator of the gateway.",
    "provider": "Requests are at the provider, which has not answered them yet.",
}
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
        "waiting_on": _waiting_on(batch),
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


def _waiting_on(batch: Batch) -> dict[str, Any] | None:
    waits = batch.waiting_on
    if waits is None:
        return None
    # Of a native batch this is what went wrong with its job, which it may wait for at its provider, too.
    shows = waits.reason in ("paused", "retry") or (waits.reason == "provider" and batch.execution == "provider")
    message = waits.message if shows else None
    return {
        "reason": waits.reason,
        "since": _seconds(waits.since_ms),
        "until": _seconds(waits.until_ms),
        "message": _said(batch, waits.reason, waits.kind, message),
        "status_code": waits.status_code if message else None,
        "code": waits.code if message and waits.kind != OF_OPERATOR else None,
        "lines": waits.lines if waits.reason == "retry" and waits.lines else None,
    }


def _line_waits_on(batch: Batch, row: LineStatus, wait: LineWaiting | None) -> dict[str, Any] | None:
    """Why a line without a result waits: for itself, else for the reason of its batch."""
    if row.state != "pending":
        return None
    if wait is None:
        held = batch.waiting_on is not None and batch.waiting_on.reason in ("paused", "account_disabled")
        return _waiting_on(batch) if held else None
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
