"""OpenRouter's JSON as native objects, in both directions."""

from collections.abc import Callable
from typing import Any, TypeVar

from app.connectors.contract.objects import (
    OVER,
    JobError,
    JobResult,
    NativeContainerFile,
    NativeFile,
    NativeJob,
    NewJob,
    Page,
    Payload,
)
from app.connectors.http.judging import usage_of
from app.connectors.shared import parsing, refusals
from app.connectors.shared.wrap import wrapped
from app.lib import json
from app.translate.dialects import MESSAGES
from app.translate.messages.answers import read_usage

T = TypeVar("T")

STATUSES = {word: word for word in ("validating", "in_progress", "finalizing", "cancelling", *OVER)}
# HTTP statuses for OpenRouter's types of errors; others mean 400.
ERROR_STATUSES = {
    "authentication": 401,
    "payment_required": 402,
    "permission_denied": 403,
    "not_found": 404,
    "timeout": 408,
    "precondition_failed": 412,
    "payload_too_large": 413,
    "unprocessable": 422,
    "rate_limit_exceeded": 429,
    "server": 500,
    "unmapped": 500,
    "provider_unavailable": 502,
    "provider_overloaded": 503,
}


def request(new: NewJob) -> Payload:
    """The request that creates a job: its encoded lines, wrapped. All other fields must precede the lines."""
    head = {"endpoint": new.endpoint, "model": new.model, "completion_window": new.window}
    return wrapped(json.dumps(head)[:-1] + b',"requests":[', new.payload, b"]}")


def page(answer: Any, current: str | None, item: Callable[[Any], T]) -> Page[T]:
    """A page of a list; the next page comes after `last_id`."""
    listed = parsing.fields(answer, "the list")
    after = parsing.cursor(listed, "last_id") if listed.get("has_more") is True else None
    parsing.check_next_page(after, current)
    return parsing.page(listed, "data", item, after)


def file(answer: Any) -> NativeFile:
    """A file, in any of its shapes (OpenRouter's, OpenAI's, Anthropic's)."""
    fields = parsing.fields(answer, "the file")
    size = parsing.count(fields, "size_bytes")
    return NativeFile(
        id=parsing.native_id(fields, "id"),
        filename=parsing.text(fields, "filename") or "",
        purpose=parsing.text(fields, "purpose") or "",
        bytes=parsing.count(fields, "bytes") if size is None else size,
        created_at=parsing.instant(fields, "created_at"),
    )


def container_file(answer: Any) -> NativeContainerFile:
    """A file of a container."""
    fields = parsing.fields(answer, "the file")
    return NativeContainerFile(
        id=parsing.native_id(fields, "id"),
        path=parsing.text(fields, "path") or "",
        source=parsing.text(fields, "source") or "assistant",
        bytes=parsing.count(fields, "bytes"),
        created_at=parsing.instant(fields, "created_at"),
    )


def job(answer: Any) -> NativeJob:
    """A batch."""
    batch = parsing.fields(answer, "the batch")
    status, native_status = parsing.status(batch, "status", STATUSES)
    counts = parsing.part(batch, "request_counts")
    blamed = next((parsing.text(error, "message") for error in parsing.notes(batch, "error")), None)
    return NativeJob(
        id=parsing.native_id(batch, "id"),
        status=status,
        native_status=native_status,
        endpoint=parsing.text(batch, "endpoint"),
        model=parsing.text(batch, "model"),
        window=parsing.text(batch, "completion_window"),
        total=parsing.count(counts, "total"),
        completed=parsing.count(counts, "completed"),
        failed=parsing.count(counts, "failed"),
        usage=usage_of(batch) if batch.get("usage") else None,
        errors=(JobError("provider_error", blamed),) if blamed else (),
        created_at=parsing.instant(batch, "created_at"),
        ended_at=parsing.instant(batch, "finalized_at") if status in OVER else None,
        expires_at=parsing.instant(batch, "expires_at"),
        odd=tuple(batch.odd),
        unclear=parsing.unclear(batch),
    )


def result(value: Any, *, endpoint: str | None = None) -> JobResult:
    """The result of one line of a job at `endpoint`."""
    row = parsing.fields(value, "a result")
    custom_id = parsing.required(row, "custom_id")
    error, answer = parsing.unquoted(row.get("error")), parsing.unquoted(row.get("response"))
    if answer is None:
        if not error:
            raise parsing.bad_answer("a result has neither an answer nor an error")
        kind = error.get("error_type") if isinstance(error, dict) else None
        return refusals.from_error(custom_id, error, status=ERROR_STATUSES.get(kind) if isinstance(kind, str) else None)
    response = parsing.fields(answer, "the answer to a line")
    said = parsing.unquoted(response.get("body"))
    status = parsing.whole_count(response, "status_code") or 200
    if status >= 400:
        return refusals.from_error(custom_id, said or error, status=status)
    body = _without_extras(parsing.fields(said, "the answer to a line"))
    request_id = parsing.text(response, "request_id") or ""
    # Messages count tokens differently.
    usage = read_usage(body.get("usage")) if endpoint == MESSAGES else usage_of(body)
    return JobResult(custom_id, status, request_id=request_id, body=json.dumps(body), usage=usage)


def _without_extras(body: Any) -> Any:
    """A chat completion without `native_finish_reason`, which repeats `finish_reason`."""
    if isinstance(choices := body.get("choices"), list):
        for choice in choices:
            if isinstance(choice, dict):
                choice.pop("native_finish_reason", None)
    return body
