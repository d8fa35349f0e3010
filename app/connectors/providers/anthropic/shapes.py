"""Anthropic's JSON as native objects: files, batches, rows of results (contracts: providers, 4 and 28.0)."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from app.connectors.contract.objects import OVER, JobResult, NativeFile, NativeJob, Page
from app.connectors.shared import parsing, refusals
from app.connectors.shared.translated import BAD_ANSWER, answered
from app.lib import json
from app.translate.messages import answers
from app.translate.neutral import Answer

T = TypeVar("T")

STATUSES = {"in_progress": "in_progress", "canceling": "cancelling", "ended": "completed"}
COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
ERROR_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# Rows of requests that never ran.
UNANSWERED = {
    "canceled": ("batch_cancelled", "The batch was cancelled before this line was answered."),
    "expired": ("batch_expired", "The batch expired before this line was answered."),
}


def page(answer: Any, current: str | None, item: Callable[[Any], T]) -> Page[T]:
    """A page of a list in either shape: `next_page` leads to the next page, or `last_id`.

    The page's `after` is the query parameter for the next page and its value, joined by `=`.
    """
    listed = parsing.fields(answer, "the list")
    following = parsing.cursor(listed, "next_page")
    last = parsing.cursor(listed, "last_id") if listed.get("has_more") is True else None
    after = f"page={following}" if following else f"after_id={last}" if last else None
    parsing.check_next_page(after, current)
    return parsing.page(listed, "data", item, after)


def file(answer: Any) -> NativeFile:
    """A file. Anthropic keeps no purpose."""
    fields = parsing.fields(answer, "the file")
    return NativeFile(
        id=parsing.native_id(fields, "id"),
        filename=parsing.text(fields, "filename") or "",
        purpose="",
        bytes=parsing.count(fields, "size_bytes"),
        created_at=parsing.instant(fields, "created_at"),
        expires_at=parsing.instant(fields, "expires_at"),
    )


def job(answer: Any) -> NativeJob:
    """A batch. Until it ends, Anthropic counts every request as processing."""
    batch = parsing.fields(answer, "the batch")
    status, native_status = parsing.status(batch, "processing_status", STATUSES)
    request_counts = parsing.part(batch, "request_counts")
    counts = {name: parsing.count(request_counts, name) or 0 for name in COUNTS}
    if status == "completed":
        status = _ending(counts, cancelled=parsing.instant(batch, "cancel_initiated_at") is not None)
    created_at = parsing.instant(batch, "created_at")
    return NativeJob(
        id=parsing.native_id(batch, "id"),
        status=status,
        native_status=native_status,
        total=sum(counts.values()) or None,
        completed=counts["succeeded"],
        failed=counts["errored"] + counts["canceled"] + counts["expired"],
        created_at=created_at,
        in_progress_at=created_at,
        ended_at=parsing.instant(batch, "ended_at") if status in OVER else None,
        expires_at=parsing.instant(batch, "expires_at"),
        odd=tuple(batch.odd),
        unclear=parsing.unclear(batch),
    )


def _ending(counts: Mapping[str, int], *, cancelled: bool) -> str:
    if cancelled and counts["canceled"]:
        return "cancelled"
    return "expired" if counts["expired"] and counts["expired"] == sum(counts.values()) else "completed"


def result(line: bytes, *, ended_at_s: int | None, untouched: bool) -> JobResult:
    """The result of one line; `untouched` answers stay messages. A message has no creation time."""
    try:
        row = parsing.fields(json.loads(line), "a result")
    except json.JSONDecodeError as error:
        raise parsing.bad_answer("a result is not JSON") from error
    custom_id = parsing.required(row, "custom_id")
    outcome = row.get("result")
    outcome = outcome if isinstance(outcome, dict) else {}
    kind = outcome.get("type")
    if kind == "succeeded":
        if untouched:
            return message(custom_id, outcome.get("message"))
        return answered(custom_id, outcome.get("message"), lambda value: _read(value, ended_at_s))
    if kind == "errored":
        return _errored(custom_id, outcome.get("error"))
    if isinstance(kind, str) and kind in UNANSWERED:
        code, text = UNANSWERED[kind]
        return JobResult(custom_id, error_code=code, message=text)
    return JobResult(custom_id, error_code=BAD_ANSWER, message="The provider's row has no known type of result.")


def _read(value: Any, created: int | None) -> Answer:
    return answers.read(value, created=created)


def message(custom_id: str, value: Any) -> JobResult:
    """The result of a line whose request and answer are both messages."""
    value = parsing.unquoted(value)
    if not isinstance(value, dict) or not isinstance(value.get("content"), list):
        return JobResult(custom_id, error_code=BAD_ANSWER, message="The provider's message has no content.")
    try:
        body = json.dumps(value)
    except json.JSONEncodeError:
        return JobResult(custom_id, error_code=BAD_ANSWER, message="The provider's message is nested too deep.")
    message_id = value.get("id")
    usage = answers.read_usage(value.get("usage"))
    return JobResult(custom_id, 200, message_id if isinstance(message_id, str) else "", body, usage=usage)


def _errored(custom_id: str, response: Any) -> JobResult:
    holder = response if isinstance(response, dict) else {}
    inner = holder.get("error")
    error = dict(inner) if isinstance(inner, dict) else response
    kind = error.get("type") if isinstance(error, dict) else None
    status = ERROR_STATUSES.get(kind, 400) if isinstance(kind, str) else 400
    details = error.get("details") if isinstance(error, dict) else None
    if isinstance(details, dict):
        error["code"] = details.get("error_code")
    refused = refusals.from_error(custom_id, error, status=status)
    request_id = holder.get("request_id")
    return JobResult(custom_id, refused.status_code, request_id if isinstance(request_id, str) else "", refused.body)
