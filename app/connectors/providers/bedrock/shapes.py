"""Bedrock's JSON for batch jobs as native objects, in both directions (contracts: providers, 5.2, 5.3 and 28.6)."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from app.connectors.contract.objects import OVER, JobError, JobResult, NativeJob, NewJob, Page
from app.connectors.http.wire import Answer as HttpAnswer
from app.connectors.shared import parsing
from app.connectors.shared.refusals import refused
from app.connectors.shared.translated import answered
from app.lib import json
from app.translate.neutral import Answer, EmbeddingAnswer

STATUSES = {
    "Submitted": "validating",
    "Validating": "validating",
    "Scheduled": "in_progress",
    "InProgress": "in_progress",
    "Completed": "completed",
    "PartiallyCompleted": "completed",
    "Failed": "failed",
    "Expired": "expired",
    "Stopping": "cancelling",
    "Stopped": "cancelled",
}
JSONL = "JSONL"
CONVERSE = "Converse"
# The names that the API accepts; a name must also be unique in the account.
NAME = re.compile(r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9+.-]){0,63}")
MAX_NAME = 63
TAG = re.compile(r"[a-zA-Z0-9\s._:/=+@-]*", re.ASCII)
MAX_TAGS = 50
RESERVED_TAGS = "aws:"
THROTTLED, SERVER_ERROR = 429, 500
# A quota of the whole account is used up: the job waits until capacity frees up.
FULL = {"ServiceQuotaExceededException": "too_many_batches"}
THROTTLING = frozenset({"ThrottlingException", "TooManyRequestsException"})

Read = Callable[[Any], Answer | EmbeddingAnswer]


def reword(answer: HttpAnswer) -> HttpAnswer:
    """An error with its code in the body; AWS sends the code in a header."""
    code = answer.headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2]
    try:
        fields = json.loads(answer.body)
    except json.JSONDecodeError:
        fields = {}
    if not code or not isinstance(fields, dict):
        return answer
    message = fields.get("message") or fields.get("Message")
    text = message if isinstance(message, str) else f"Bedrock answered {answer.status} ({code}) without a reason."
    status = THROTTLED if code in THROTTLING else answer.status
    return replace(answer, status=status, body=json.dumps({"message": text, "code": FULL.get(code, code)}))


def name(marker: str) -> str:
    """The job name for a marker; different markers give different names."""
    candidate = marker.replace("_", "-")
    if len(candidate) <= MAX_NAME and NAME.fullmatch(candidate):
        return candidate
    return f"bg-{hashlib.sha256(marker.encode()).hexdigest()[:40]}"


def request(new: NewJob, *, role_arn: str, output_uri: str, converse: bool) -> dict[str, Any]:
    """The request that creates a job."""
    tags = [
        {"key": key, "value": value}
        for key, value in new.metadata.items()
        if _fits(key, 1, 128) and _fits(value, 0, 256) and not key.lower().startswith(RESERVED_TAGS)
    ]
    body: dict[str, Any] = {
        "jobName": name(new.marker),
        # Letters and digits only. The same marker never creates two jobs.
        "clientRequestToken": hashlib.sha256(new.marker.encode()).hexdigest(),
        "roleArn": role_arn,
        "modelId": new.model,
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": new.input_id, "s3InputFormat": JSONL}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": output_uri}},
        "timeoutDurationInHours": int(new.window.removesuffix("h")),
    }
    if tags:
        body["tags"] = tags[:MAX_TAGS]
    if converse:
        body["modelInvocationType"] = CONVERSE
    return body


def made(answer: Any, new: NewJob) -> NativeJob:
    """A job that was just created; the answer contains only its name."""
    arn = parsing.required(parsing.fields(answer, "the job"), "jobArn")
    return NativeJob(
        id=arn,
        status="validating",
        native_status="Submitted",
        marker=name(new.marker),
        input_id=new.input_id,
        endpoint=new.endpoint,
        model=new.model,
        window=new.window,
        metadata=new.metadata,
    )


def page(answer: Any, current: str | None) -> Page[NativeJob]:
    """A page of a list; a token leads to the next page."""
    listed = parsing.fields(answer, "the list")
    after = parsing.cursor(listed, "nextToken")
    parsing.check_next_page(after, current)
    return parsing.page(listed, "invocationJobSummaries", job, after)


def job(answer: Any) -> NativeJob:
    """A job, complete or as it appears in lists. Its marker is its name."""
    fields = parsing.fields(answer, "the job")
    arn = parsing.required(fields, "jobArn")
    status, native_status = parsing.status(fields, "status", STATUSES)
    message = parsing.text(fields, "message")
    hours = parsing.count(fields, "timeoutDurationInHours")
    input_id = parsing.result_id(parsing.part(parsing.part(fields, "inputDataConfig"), "s3InputDataConfig"), "s3Uri")
    output = parsing.result_id(parsing.part(parsing.part(fields, "outputDataConfig"), "s3OutputDataConfig"), "s3Uri")
    over = status in OVER
    return NativeJob(
        id=arn,
        status=status,
        native_status=native_status,
        marker=parsing.text(fields, "jobName"),
        input_id=input_id,
        output_id=output_uri(output, arn, input_id) if over and output and input_id else None,
        model=parsing.text(fields, "modelId"),
        window=f"{hours}h" if hours else None,
        total=parsing.count(fields, "totalRecordCount"),
        completed=parsing.count(fields, "successRecordCount"),
        failed=parsing.count(fields, "errorRecordCount"),
        errors=(JobError("provider_error", message),) if message and status in ("failed", "expired") else (),
        created_at=parsing.instant(fields, "submitTime"),
        ended_at=(parsing.instant(fields, "endTime") or parsing.instant(fields, "lastModifiedTime")) if over else None,
        expires_at=parsing.instant(fields, "jobExpirationTime"),
        odd=tuple(fields.odd),
        unclear=parsing.unclear(fields),
    )


def output_uri(output: str, arn: str, input_uri: str) -> str:
    """The URI of a job's results; for a job with a folder of inputs, the folder of its results."""
    folder = f"{output.rstrip('/')}/{arn.rpartition('/')[2]}/"
    named = input_uri.rpartition("/")[2]
    return f"{folder}{named}.out" if named else folder


def result(line: bytes, number: int, read: Read) -> JobResult:
    """The result of one record; its copy of the model's input is ignored."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise parsing.bad_answer(f"line {number} of the results is not JSON") from error
    row = parsing.fields(value, f"line {number} of the results")
    record = parsing.required(row, "recordId")
    wrong = row.get("error")
    if wrong is not None:
        return _refused(record, wrong if isinstance(wrong, dict) else {})
    return answered(record, row.get("modelOutput"), read)


def _refused(record: str, error: Mapping[str, Any]) -> JobResult:
    text, code = error.get("errorMessage"), error.get("errorCode")
    message = text if isinstance(text, str) and text else "Bedrock refused this record and did not say why."
    valid = type(code) is int and 400 <= code < 600
    return refused(record, message, status=code if valid else SERVER_ERROR)


def _fits(text: str, least: int, most: int) -> bool:
    return least <= len(text) <= most and TAG.fullmatch(text) is not None
