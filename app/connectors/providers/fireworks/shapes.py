"""Fireworks' JSON as native objects: datasets, jobs, rows of results."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from app.connectors.contract.objects import OVER, JobError, JobResult, NativeFile, NativeJob, Usage
from app.connectors.http.judging import usage_of
from app.connectors.shared import parsing, refusals
from app.lib import json

PREFIX = "JOB_STATE_"
# A job that is deleted while it runs counts as cancelled: there is no other way to cancel.
STATUSES = {
    "UNSPECIFIED": "validating",
    "CREATING": "validating",
    "VALIDATING": "validating",
    "PENDING": "validating",
    "CREATING_INPUT_DATASET": "validating",
    "RUNNING": "in_progress",
    "RE_QUEUEING": "in_progress",
    "IDLE": "in_progress",
    "PAUSED": "in_progress",
    "WRITING_RESULTS": "finalizing",
    "COMPLETED": "completed",
    "EARLY_STOPPED": "completed",
    "FAILED": "failed",
    "EXPIRED": "expired",
    "CANCELLING": "cancelling",
    "DELETING": "cancelling",
    "DELETING_CLEANING_UP": "cancelled",
    "CANCELLED": "cancelled",
}
FILE_STATUSES = {"STATE_UNSPECIFIED": "processing", "UPLOADING": "processing", "READY": "processed"}
SLUG = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def slug(marker: str) -> str:
    """The id of a job with `marker`: the marker itself, if it is a valid id."""
    if SLUG.fullmatch(marker):
        return marker
    return f"bg-{hashlib.sha256(marker.encode()).hexdigest()[:40]}"


def dataset(answer: Any) -> NativeFile:
    """A dataset as a file, under its full name."""
    fields = parsing.fields(answer, "the dataset")
    state = parsing.text(fields, "state") or "READY"
    return NativeFile(
        id=parsing.required(fields, "name"),
        filename=parsing.text(fields, "displayName") or "",
        purpose="",
        status="error" if _blamed(fields) else parsing.file_status(FILE_STATUSES, state),
        created_at=parsing.instant(fields, "createTime"),
    )


def job(answer: Any) -> NativeJob:
    """A job; its id is the last part of its name."""
    fields = parsing.fields(answer, "the job")
    status, state = parsing.status(fields, "state", STATUSES, reword=lambda word: word.removeprefix(PREFIX))
    progress, lifecycle = parsing.part(fields, "jobProgress"), parsing.part(fields, "lifecycle")
    return NativeJob(
        id=parsing.required(fields, "name").rpartition("/")[2],
        status=status,
        native_status=state,
        marker=parsing.text(fields, "displayName"),
        input_id=parsing.text(fields, "inputDatasetId"),
        output_id=parsing.result_id(fields, "outputDatasetId") if status in OVER else None,
        endpoint="/v1/chat/completions",
        model=parsing.text(fields, "model"),
        window="24h",
        total=parsing.count(progress, "totalInputRequests"),
        completed=parsing.count(progress, "successfullyProcessedRequests"),
        failed=parsing.count(progress, "failedRequests"),
        usage=_usage(progress),
        errors=_blamed(fields),
        created_at=parsing.instant(fields, "createTime"),
        in_progress_at=parsing.instant(lifecycle, "runStartTime"),
        ended_at=parsing.instant(lifecycle, "endTime"),
        expires_at=parsing.instant(fields, "expireTime"),
        odd=tuple(fields.odd),
        unclear=parsing.unclear(fields),
    )


def result(line: bytes) -> JobResult:
    """A row of the results or of `error-data`. `response` is the bare answer; an error may have any form."""
    try:
        row = parsing.fields(json.loads(line), "a result")
    except json.JSONDecodeError as malformed:
        raise parsing.bad_answer("a result is not JSON") from malformed
    custom_id = parsing.required(row, "custom_id")
    response, error = parsing.unquoted(row.get("response")), parsing.unquoted(row.get("error"))
    if response is None:
        if not error:
            raise parsing.bad_answer("a result has neither an answer nor an error")
        return refusals.from_error(custom_id, error)
    body = parsing.fields(response, "the answer to a line")
    if "status_code" in body and "body" in body:
        status = parsing.whole_count(body, "status_code") or 200
        if status >= 400:
            return refusals.from_error(custom_id, parsing.unquoted(body["body"]) or error, status=status)
        body = parsing.fields(parsing.unquoted(body["body"]), "the answer to a line")
    elif body.get("error") and "choices" not in body:
        return refusals.from_error(custom_id, body["error"])
    return JobResult(custom_id, 200, body=json.dumps(body), usage=usage_of(body))


def _blamed(fields: Mapping[str, Any]) -> tuple[JobError, ...]:
    status = parsing.part(fields, "status")
    code = parsing.text(status, "code") or "OK"
    if code == "OK":
        return ()
    return (JobError(code.lower(), parsing.text(status, "message") or "Fireworks gave no reason."),)


def _usage(progress: Mapping[str, Any]) -> Usage | None:
    names = ("inputTokens", "outputTokens", "cachedInputTokenCount")
    given, made, cached = (parsing.count(progress, name) for name in names)
    if given is None and made is None:
        return None
    total = (given or 0) + (made or 0)
    return Usage(input_tokens=given or 0, cached_tokens=cached or 0, output_tokens=made or 0, total_tokens=total)
