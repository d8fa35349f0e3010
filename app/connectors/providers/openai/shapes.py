"""OpenAI's objects as compatible providers send them. Missing values become None; invalid ones raise an error.

Every function takes the JSON of an answer and raises UpstreamServerError if it cannot be such an object.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from app.connectors.contract.objects import (
    OVER,
    JobError,
    NativeContainer,
    NativeContainerFile,
    NativeFile,
    NativeJob,
    Page,
)
from app.connectors.http.judging import usage_of
from app.connectors.shared import parsing
from app.lib import json

T = TypeVar("T")

# The metadata key that holds a job's marker.
MARKER = "batchgate"
ENDS = ("completed_at", "failed_at", "cancelled_at", "expired_at")
# OpenAI's statuses, and those seen at other providers.
JOB_STATUSES = {
    **{word: word for word in ("validating", "in_progress", "finalizing", "cancelling", *OVER)},
    **dict.fromkeys(("pending", "queued", "created", "notrunning"), "validating"),
    **dict.fromkeys(("running", "processing", "inprogress"), "in_progress"),
    "canceling": "cancelling",
    "canceled": "cancelled",
    "succeeded": "completed",
    "error": "failed",
}
FILE_STATUSES = {
    **dict.fromkeys(("uploaded", "processed", "succeeded"), "processed"),
    **dict.fromkeys(("pending", "notrunning", "running", "processing"), "processing"),
    **dict.fromkeys(("error", "failed"), "error"),
    **dict.fromkeys(("deleting", "deleted"), "deleted"),
}
# OpenAI's codes for line errors, by the codes of Azure and DeepInfra.
ERROR_CODES = {
    "model_mismatch": "mismatched_model",
    "url_mismatch": "invalid_url",
    "too_many_tasks": "maximum_requests_exceeded",
    "invalid_json": "invalid_json_line",
    "unknown_model": "model_not_found",
}
GONE = ("expired", "deleted")


def file(answer: Any) -> NativeFile:
    """A file. One without a status is ready: most providers omit that deprecated field."""
    fields = parsing.fields(answer, "the file")
    status = parsing.text(fields, "status")
    return NativeFile(
        id=parsing.native_id(fields, "id"),
        filename=parsing.text(fields, "filename") or "",
        purpose=parsing.text(fields, "purpose") or "",
        bytes=parsing.count(fields, "bytes"),
        status=parsing.file_status(FILE_STATUSES, status.lower()) if status else "processed",
        created_at=parsing.instant(fields, "created_at"),
        expires_at=parsing.instant(fields, "expires_at"),
    )


def job(answer: Any, *, first_line: int = 1) -> NativeJob:
    """A batch. `first_line` is the number of an input's first line in the provider's errors."""
    fields = parsing.fields(answer, "the batch")
    status, native_status = parsing.status(fields, "status", JOB_STATUSES, reword=str.lower)
    counts = parsing.part(fields, "request_counts")
    metadata = _metadata(fields)
    endpoint = parsing.text(fields, "endpoint")
    ended = [instant for name in ENDS if (instant := parsing.instant(fields, name)) is not None]
    return NativeJob(
        id=parsing.native_id(fields, "id"),
        status=status,
        native_status=native_status,
        marker=metadata.pop(MARKER, None),
        input_id=parsing.text(fields, "input_file_id"),
        output_id=parsing.result_id(fields, "output_file_id"),
        error_id=parsing.result_id(fields, "error_file_id"),
        # Azure's dated style leaves the version out.
        endpoint=endpoint if endpoint is None or endpoint.startswith("/v1/") else f"/v1{endpoint}",
        model=parsing.text(fields, "model"),
        window=parsing.text(fields, "completion_window"),
        total=parsing.count(counts, "total"),
        completed=parsing.count(counts, "completed"),
        failed=parsing.count(counts, "failed"),
        usage=usage_of(fields) if isinstance(fields.get("usage"), dict) else None,
        errors=tuple(_error(item, first_line) for item in _errors(fields)),
        metadata=metadata,
        created_at=parsing.instant(fields, "created_at"),
        in_progress_at=parsing.instant(fields, "in_progress_at"),
        ended_at=max(ended) if ended and status in OVER else None,
        expires_at=parsing.instant(fields, "expires_at"),
        odd=tuple(fields.odd),
        unclear=parsing.unclear(fields),
    )


def container(answer: Any) -> NativeContainer:
    """A container. Statuses of running containers vary between providers; those of expired ones do not."""
    fields = parsing.fields(answer, "the container")
    status = (parsing.text(fields, "status") or "").lower()
    policy = parsing.part(fields, "network_policy")
    return NativeContainer(
        id=parsing.native_id(fields, "id"),
        name=parsing.text(fields, "name") or "",
        status=status if status in GONE else "running",
        created_at=parsing.instant(fields, "created_at"),
        last_active_at=parsing.instant(fields, "last_active_at"),
        expires_after_minutes=parsing.count(parsing.part(fields, "expires_after"), "minutes"),
        memory_limit=parsing.text(fields, "memory_limit"),
        network_policy=policy or None,
    )


def container_file(answer: Any) -> NativeContainerFile:
    """A file of a container."""
    fields = parsing.fields(answer, "the container's file")
    return NativeContainerFile(
        id=parsing.native_id(fields, "id"),
        path=parsing.text(fields, "path") or "",
        source=parsing.text(fields, "source") or "user",
        bytes=parsing.count(fields, "bytes"),
        created_at=parsing.instant(fields, "created_at"),
    )


def page(answer: Any, read: Callable[[Any], T], *, current: str | None) -> Page[T]:
    """A page of what `read` reads; `asked` is the cursor that led to it. Without `has_more` it is the only one."""
    fields = parsing.fields(answer, "the list")
    if not isinstance(fields.get("data"), list):
        raise parsing.bad_answer("data is not a list")
    more = fields.get("has_more")
    if more is not None and not isinstance(more, bool):
        raise parsing.bad_answer("has_more is neither true nor false")
    after = (parsing.cursor(fields, "last_id") or _last_id(fields["data"])) if more and fields["data"] else None
    parsing.check_next_page(after, current)
    return parsing.page(fields, "data", read, after)


def deleted(answer: Any) -> None:
    """Check the answer to a deletion: empty, or a confirmation."""
    if answer is not None and parsing.fields(answer, "the answer to a deletion").get("deleted", True) is not True:
        raise parsing.bad_answer("it does not say that the object is deleted")


def _last_id(rows: list[Any]) -> str:
    return parsing.native_id(parsing.fields(rows[-1], "the last row"), "id")


def _metadata(fields: Mapping[str, Any]) -> dict[str, str]:
    given = parsing.part(fields, "metadata")
    return {name: value if isinstance(value, str) else json.dumps(value).decode() for name, value in given.items()}


def _errors(fields: Mapping[str, Any]) -> list[parsing.Fields]:
    given = fields.get("errors")
    if isinstance(given, dict) and not given.get("message"):
        return parsing.notes(parsing.part(fields, "errors"), "data")
    return parsing.notes(fields, "errors")


def _error(item: Mapping[str, Any], first_line: int) -> JobError:
    code = parsing.text(item, "code") or "invalid_request"
    line = parsing.count(item, "line")
    return JobError(
        code=ERROR_CODES.get(code, code),
        message=parsing.text(item, "message") or "The provider gave no reason.",
        param=parsing.text(item, "param"),
        line=None if line is None else line + 1 - first_line,
    )
