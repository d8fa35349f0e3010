"""Batches and their lines on the wire (contracts: gateway API, "Batches")."""

from typing import Any

from app.lib.states import TERMINAL
from app.services.batches.batches import Batch
from app.services.batches.results import LineStatus
from app.services.lines import output

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


def line(batch: Batch, row: LineStatus) -> dict[str, Any]:
    """The state of a line, as `GET /batches/{id}/lines` lists it."""
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


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000
