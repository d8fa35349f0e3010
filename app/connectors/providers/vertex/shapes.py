"""Vertex's JSON for batch jobs as native objects, in both directions (contracts: providers, 7, 28.0 and 28.6)."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.connectors.contract.objects import OVER, JobError, JobResult, NativeJob, NewJob, Page
from app.connectors.providers.anthropic.shapes import ERROR_STATUSES
from app.connectors.shared import parsing, refusals, regrouping
from app.connectors.shared.nobody import NOBODY, owner, readable, unread
from app.connectors.shared.translated import BAD_ANSWER, answered
from app.lib import json
from app.translate.errors import TranslationError
from app.translate.neutral import Answer, EmbeddingAnswer, Json

STATES = {
    "JOB_STATE_UNSPECIFIED": "validating",
    "JOB_STATE_QUEUED": "validating",
    "JOB_STATE_PENDING": "validating",
    "JOB_STATE_RUNNING": "in_progress",
    "JOB_STATE_PAUSED": "in_progress",
    "JOB_STATE_UPDATING": "in_progress",
    "JOB_STATE_SUCCEEDED": "completed",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "completed",
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_EXPIRED": "expired",
    "JOB_STATE_CANCELLING": "cancelling",
    "JOB_STATE_CANCELLED": "cancelled",
}
NAME = re.compile(r"projects/[^/\s]+/locations/[a-z0-9-]+/batchPredictionJobs/[A-Za-z0-9_-]+")
# Labels of jobs and of lines. They appear on bills, so they contain nothing that callers wrote.
MARKER = "batchgate"
LINE = "batchgate_id"
LABEL = re.compile(r"[a-z0-9_-]{1,63}")
UNKNOWN_COUNT = "-1"
KNOWN_NAMES = re.compile(r"\b(" + "|".join(name for name, _ in refusals.GRPC.values()) + r")\b")

Read = Callable[[Any], Answer | EmbeddingAnswer]


def label(marker: str) -> str:
    """The label by which the job of a marker can be found."""
    return marker if LABEL.fullmatch(marker) else hashlib.sha256(marker.encode()).hexdigest()[:40]


def request(new: NewJob, *, model: str, output_uri: str) -> Json:
    """The request that creates a job; `model` is the full resource name."""
    return {
        "displayName": new.marker,
        "model": model,
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [new.input_id]}},
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": output_uri}},
        "labels": {MARKER: label(new.marker)},
    }


def chat_line(custom_id: str, body: Json, *, claude: bool) -> bytes:
    """A line of an input. Gemini's rows are identified by a label in `body`. Raises TranslationError."""
    if claude:
        return _line({"custom_id": custom_id, "request": body})
    body["labels"] = {LINE: custom_id}
    return _line({"request": body})


def embedding_lines(custom_id: str, texts: list[Json]) -> bytes:
    """The lines of an input for the texts of one line. Raises TranslationError."""
    count = len(texts)
    named = ((regrouping.piece_id(custom_id, index, count), text) for index, text in enumerate(texts))
    return b"".join(_line({"key": key, "request": text}) for key, text in named)


def _line(record: Json) -> bytes:
    try:
        return json.dumps_line(record)
    except json.JSONEncodeError as error:
        raise TranslationError("body", "is nested too deep.") from error


def page(answer: Any, current: str | None) -> Page[NativeJob]:
    """A page of a list; a token leads to the next page."""
    listed = parsing.fields(answer, "the list")
    after = parsing.cursor(listed, "nextPageToken")
    parsing.check_next_page(after, current)
    return parsing.page(listed, "batchPredictionJobs", job, after)


def job(answer: Any) -> NativeJob:
    """A job; its output is below its output id, which ends with a slash."""
    fields = parsing.fields(answer, "the job")
    name = parsing.required(fields, "name")
    if not NAME.fullmatch(name):
        raise parsing.bad_answer("the name of a job is invalid")
    status, native_status = parsing.status(fields, "state", STATES)
    over, model = status in OVER, parsing.text(fields, "model")
    uris = parsing.part(parsing.part(fields, "inputConfig"), "gcsSource").get("uris")
    counts = {} if model is not None and "embedding" in model else _counts(fields)  # of texts, not lines
    return NativeJob(
        id=name,
        status=status,
        native_status=native_status,
        marker=_marker(fields),
        input_id=uris[0] if isinstance(uris, list) and uris and isinstance(uris[0], str) else None,
        output_id=_output(fields) if over else None,
        model=model,
        total=sum(counts.values()) if counts else None,
        completed=counts.get("successfulCount"),
        failed=counts["failedCount"] + counts["incompleteCount"] if counts else None,
        errors=_errors(fields) if over and status != "cancelled" else (),
        created_at=parsing.instant(fields, "createTime"),
        in_progress_at=parsing.instant(fields, "startTime"),
        ended_at=(parsing.instant(fields, "endTime") or parsing.instant(fields, "updateTime")) if over else None,
        odd=tuple(fields.odd),
        unclear=parsing.unclear(fields),
    )


def _marker(fields: Mapping[str, Any]) -> str | None:
    """The display name of a job with the matching label: jobs of others may have any name."""
    name = parsing.text(fields, "displayName")
    labelled = parsing.text(parsing.part(fields, "labels"), MARKER)
    return name if name is not None and labelled == label(name) else None


def _counts(fields: Mapping[str, Any]) -> dict[str, int]:
    """The counts of a job, empty until Vertex reports them; Vertex writes -1 for an unknown count."""
    stats = parsing.part(fields, "completionStats")
    names = ("successfulCount", "failedCount", "incompleteCount")
    known = {name: None if str(stats.get(name)) == UNKNOWN_COUNT else parsing.count(stats, name) for name in names}
    return {name: value or 0 for name, value in known.items()} if stats else {}


def _output(fields: Mapping[str, Any]) -> str | None:
    folder = parsing.result_id(parsing.part(fields, "outputInfo"), "gcsOutputDirectory")
    return None if folder is None else f"{folder.rstrip('/')}/"


def _errors(fields: Mapping[str, Any]) -> tuple[JobError, ...]:
    error = parsing.part(fields, "error")
    errors = [*([error] if error else []), *parsing.notes(fields, "partialFailures")]
    return tuple(_error(item) for item in errors[:100])


def _error(error: Mapping[str, Any]) -> JobError:
    known, _ = refusals.GRPC.get(parsing.count(error, "code") or 0, ("provider_error", 0))
    return JobError(known.lower(), parsing.text(error, "message") or "The provider gave no reason.")


def chats(files: Iterator[Iterator[bytes]], read: Read) -> Iterator[JobResult]:
    """The result of each line of a job of chats."""

    def result(line: bytes, number: int) -> JobResult:
        row = _row(line, number)
        request = row.get("request")
        labels = request.get("labels") if type(request) is dict else None
        label = labels.get(LINE) if type(labels) is dict else None
        return _result(row, owner(row.get("custom_id"), label), read)

    return readable(files, result)


def embeddings(files: Iterator[Iterator[bytes]], read: Read, *, status: str) -> Iterator[JobResult]:
    """The result of each line of a job of texts, reassembled from its pieces; `status` is the job's."""

    def result(line: bytes, number: int) -> JobResult:
        row = _row(line, number)
        return _result(row, owner(row.get("key")), read)

    pieces = (regrouping.Piece(piece.custom_id, piece) for piece in readable(files, result))
    return regrouping.regrouped(pieces, status=status)


def _row(line: bytes, number: int) -> Mapping[str, Any]:
    try:
        return parsing.fields(json.loads(line), f"line {number} of the results")
    except json.JSONDecodeError as error:
        raise parsing.bad_answer(f"line {number} of the results is not JSON") from error


def _result(row: Mapping[str, Any], name: str, read: Read) -> JobResult:
    if name == NOBODY:
        return unread()
    status = row.get("status")
    if status:
        return _refused(name, status)
    response = row if "predictions" in row else row.get("response")
    if response is None:
        return JobResult(name, error_code=BAD_ANSWER, message="The provider's result has no answer and no error.")
    return answered(name, response, read)


def _refused(name: str, status: Any) -> JobResult:
    """The result of a failed line. Its status is JSON, text, or a few words followed by JSON."""
    if isinstance(status, str):
        value = _json_within(status)
        if value is None:
            known = KNOWN_NAMES.search(status)
            return refusals.refused(name, status, code=known[1] if known else None)
    else:
        value = status
    holder = value.get("error") if isinstance(value, dict) and isinstance(value.get("error"), dict) else value
    kind = holder.get("type") if isinstance(holder, dict) else None
    if isinstance(kind, str) and kind in ERROR_STATUSES:
        return refusals.from_error(name, holder, status=ERROR_STATUSES[kind])
    return refusals.from_error(name, holder)


def _json_within(text: str) -> Any:
    start = text.find("{")
    if start < 0:
        return None
    try:
        return json.loads(text[start:])
    except json.JSONDecodeError:
        return None
