"""A row of `batches` as the object that clients see (contracts: gateway API, "Batches")."""

from typing import Any

from app.data.store.database import AnyRow
from app.services.gateway import Gateway

TERMINAL = ("failed", "completed", "expired", "cancelled")
_INSTANTS = (
    "created_at",
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


def render(gateway: Gateway, row: AnyRow) -> dict[str, Any]:
    """All fields of the batch object but `extra_fields`; `row` is one of data.batches."""
    return {
        "id": row.public_id,
        "object": "batch",
        "endpoint": row.endpoint,
        "model": row.model,
        "input_file_id": row.input_file,
        "completion_window": row.completion_window,
        "status": row.status,
        "errors": {"object": "list", "data": row.errors} if row.errors else None,
        "output_file_id": row.output_file,
        "error_file_id": row.error_file,
        "request_counts": request_counts(row),
        "usage": usage(row),
        "metadata": row.metadata,
        **{name: _seconds(getattr(row, name)) for name in _INSTANTS},
        "processing_status": processing_status(row.status),
        "results_url": f"{gateway.settings.public_url}/v1/batches/{row.public_id}/results",
        "operation_name": operation_name(gateway, row),
        "execution": row.execution,
        "retry_of": row.retry_of_batch,
    }


def request_counts(row: AnyRow) -> dict[str, int]:
    """Lines by how they went.

    `failed` counts every line that is over without success, as many as the error file will have, so that
    `completed` and `failed` add up to `total` in the end; `expired` and `canceled` tell how many of those never ran.
    """
    unexecuted = row.lines_expired + row.lines_cancelled
    return {
        "total": row.lines_total,
        "completed": row.lines_completed,
        "failed": row.lines_failed + unexecuted,
        "succeeded": row.lines_completed,
        "expired": row.lines_expired,
        "canceled": row.lines_cancelled,
        "pending": max(0, row.lines_total - row.lines_completed - row.lines_failed - unexecuted),
    }


def usage(row: AnyRow) -> dict[str, Any]:
    """Tokens of the lines that succeeded, under the names of the Responses API for every endpoint."""
    return {
        "input_tokens": row.input_tokens,
        "input_tokens_details": {"cached_tokens": row.cached_tokens},
        "output_tokens": row.output_tokens,
        "output_tokens_details": {"reasoning_tokens": row.reasoning_tokens},
        "total_tokens": row.total_tokens,
    }


def operation_name(gateway: Gateway, row: AnyRow) -> str | None:
    """The long-running operation that the batch is at its provider, where that has such; of several jobs the first."""
    limits = gateway.accounts.abilities(row.provider).jobs
    name: str | None = row.first_native_id
    return name if limits.operation else None


def processing_status(status: str) -> str:
    """Anthropic's word for `status`."""
    if status in TERMINAL:
        return "ended"
    return "canceling" if status == "cancelling" else "in_progress"


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000
