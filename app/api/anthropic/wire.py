"""Files, batches, models and errors as Anthropic's API writes them (contracts: providers, 4)."""

import mimetypes
from datetime import UTC, datetime
from typing import Any

from app.api.errors import Written
from app.errors import GatewayError
from app.lib import ids
from app.services.accounts.models import Model
from app.services.batches.batches import Batch
from app.services.files.files import FileRow

UNKNOWN_TYPE = "application/octet-stream"
CONFLICT = 409
# By status; what is not here is by its class: 4xx the caller's fault, 5xx the server's.
TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}

# Codes of lines that ended without an answer, through no fault of the caller; the status that Anthropic has for such.
FAILURES = {
    "request_timeout": 504,
    **dict.fromkeys(
        ("aborted_answer", "account_refused", "bad_answer", "gateway_error", "provider_error", "worker_crashed"), 500
    ),
}


def error(fault: GatewayError, request_id: str) -> Written:
    """An error; what Anthropic calls an invalid request is a 409 here, unless it is worth another try."""
    status = 400 if fault.status == CONFLICT and fault.retry_after_s is None else fault.status
    body = {
        "type": "error",
        "error": {"type": error_type(status), "message": fault.message},
        "request_id": request_id,
    }
    return status, body, {"request-id": request_id}


def error_type(status: int) -> str:
    """Anthropic's word for an HTTP status."""
    return TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def status_of(code: str | None) -> int:
    """The status for the code of a line that ended without an answer."""
    return FAILURES.get(code or "", 400)


def file(row: FileRow) -> dict[str, Any]:
    """FileMetadata."""
    return {
        "id": file_id(row),
        "type": "file",
        "filename": row.filename,
        "mime_type": mimetypes.guess_type(row.filename)[0] or UNKNOWN_TYPE,
        "size_bytes": row.bytes,
        "created_at": instant(row.created_at),
        "downloadable": True,
        "expires_at": instant(row.expires_at),
    }


def file_id(row: FileRow) -> str:
    """The id of a file on this face."""
    return ids.shown(row.public_id, own=ids.FILE, prefix=ids.ANTHROPIC_FILE)


def batch(found: Batch, *, public_url: str) -> dict[str, Any]:
    """MessageBatch. As at Anthropic, all requests count as processing until the batch has ended."""
    ended_at = found.completed_at or found.failed_at or found.expired_at or found.cancelled_at
    return {
        "id": batch_id(found),
        "type": "message_batch",
        "processing_status": _status(found),
        "request_counts": _counts(found),
        "created_at": instant(found.created_at),
        "expires_at": instant(found.expires_at),
        "ended_at": instant(ended_at) if found.has_ended else None,
        "cancel_initiated_at": instant(found.cancelling_at),
        "archived_at": None,
        "results_url": f"{public_url}/anthropic/v1/messages/batches/{batch_id(found)}/results"
        if found.has_ended
        else None,
    }


def batch_id(found: Batch) -> str:
    """The id of a batch on this face."""
    return ids.shown(found.public_id, own=ids.BATCH, prefix=ids.MESSAGE_BATCH)


def model(found: Model) -> dict[str, Any]:
    """ModelInfo. Providers do not tell more of a model."""
    return {
        "id": found.id,
        "type": "model",
        "display_name": found.id,
        "created_at": instant(found.created * 1000),
        "lifecycle": "active",
    }


def instant(at_ms: int | None) -> str | None:
    """RFC 3339 of Unix milliseconds."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _status(found: Batch) -> str:
    if found.has_ended:
        return "ended"
    return "canceling" if found.status == "cancelling" else "in_progress"


def _counts(found: Batch) -> dict[str, int]:
    if not found.has_ended:
        return {"processing": found.lines_total, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    ended = found.lines_completed + found.lines_expired + found.lines_cancelled
    return {
        "processing": 0,
        "succeeded": found.lines_completed,
        # Of a batch that failed as a whole, the lines that were never run.
        "errored": max(found.lines_failed, found.lines_total - ended),
        "canceled": found.lines_cancelled,
        "expired": found.lines_expired,
    }
