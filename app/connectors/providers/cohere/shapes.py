"""Cohere's JSON as native objects: datasets, batches, rows of results (contracts: providers, 6 and 28.6)."""

from collections.abc import Mapping
from typing import Any

from app.connectors.contract.objects import OVER, JobError, JobResult, NativeFile, NativeJob, Usage
from app.connectors.shared import parsing, refusals, translated
from app.lib import json
from app.translate.cohere import answers, embeddings
from app.translate.dialects import CHAT_LIKE, EMBEDDINGS

PREFIX = "BATCH_STATUS_"
STATUSES = {
    "UNSPECIFIED": "validating",
    "QUEUED": "validating",
    "IN_PROGRESS": "in_progress",
    "CANCELING": "cancelling",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELED": "cancelled",
}
FILE_STATUSES = {
    "unknown": "processing",
    "queued": "processing",
    "processing": "processing",
    "validated": "processed",
    "skipped": "processed",
    "failed": "error",
}
# The type of a dataset by the endpoint of the lines in it.
DATASET_TYPES = {**dict.fromkeys(CHAT_LIKE, "batch-chat-v2-input"), EMBEDDINGS: "batch-embed-v2-input"}
DATASET_LIFETIME_MS = 30 * 24 * 3600 * 1000


def dataset(answer: Any) -> NativeFile:
    """A dataset as a file. It expires after 30 days."""
    fields = parsing.fields(answer, "the dataset")
    created_at = parsing.instant(fields, "created_at")
    return NativeFile(
        id=parsing.native_id(fields, "id"),
        filename=parsing.text(fields, "name") or "",
        purpose="batch" if fields.get("dataset_type") in DATASET_TYPES.values() else "",
        status=parsing.file_status(FILE_STATUSES, parsing.text(fields, "validation_status") or "unknown"),
        created_at=created_at,
        expires_at=None if created_at is None else created_at + DATASET_LIFETIME_MS,
    )


def parts(answer: Any) -> list[Mapping[str, Any]]:
    """The files of a dataset, in order."""
    files = parsing.items(parsing.fields(answer, "the dataset"), "dataset_parts")
    places = [parsing.count(part, "index") for part in files]
    ranked = sorted(zip([place or 0 for place in places], range(len(files)), strict=True))
    return [files[number] for _, number in ranked]


def job(answer: Any) -> NativeJob:
    """A batch; its name is its marker."""
    fields = parsing.fields(answer, "the batch")
    status, native_status = parsing.status(fields, "status", STATUSES, reword=lambda word: word.removeprefix(PREFIX))
    over = status in OVER
    return NativeJob(
        id=parsing.native_id(fields, "id"),
        status=status,
        native_status=native_status,
        marker=parsing.text(fields, "name"),
        input_id=parsing.text(fields, "input_dataset_id"),
        output_id=parsing.result_id(fields, "output_dataset_id") if over else None,
        model=parsing.text(fields, "model"),
        window="24h",
        total=parsing.count(fields, "num_records") or None,  # 0 until Cohere has counted them
        completed=parsing.count(fields, "num_successful_records"),
        failed=parsing.count(fields, "num_failed_records"),
        usage=_usage(fields),
        errors=_errors(fields) if status == "failed" else (),
        created_at=parsing.instant(fields, "created_at"),
        ended_at=parsing.instant(fields, "updated_at") if over else None,
        odd=tuple(fields.odd),
        unclear=parsing.unclear(fields),
    )


def result(row: Any, endpoint: str | None) -> JobResult:
    """A row of the results: an `error`, or a `body` with the answer to a line of `endpoint`, maybe as a string."""
    fields = parsing.fields(row, "a result")
    custom_id = parsing.required(fields, "custom_id")
    error = fields.get("error")
    if error:
        return refusals.from_error(custom_id, _json(error) if isinstance(error, str) else error)
    body = fields.get("body")
    if isinstance(body, str | bytes):
        body = _json(body)
    status = answers.failure(body)
    if status is not None and isinstance(body, dict):
        return refusals.refused(custom_id, f"Cohere ended the answer with {body['finish_reason']}.", status=status)
    embeds = endpoint == EMBEDDINGS if endpoint else isinstance(body, dict) and "embeddings" in body
    return translated.answered(custom_id, body, embeddings.read if embeds else answers.read)


def _json(text: str | bytes) -> Any:
    """The JSON object in a text, or the text itself if it is not one."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, dict) else text


def _errors(fields: Mapping[str, Any]) -> tuple[JobError, ...]:
    reason = parsing.text(fields, "status_reason") or "Cohere gave no reason."
    return (JobError("batch_failed", reason),)


def _usage(fields: Mapping[str, Any]) -> Usage | None:
    given, made = parsing.count(fields, "input_tokens"), parsing.count(fields, "output_tokens")
    if given is None and made is None:
        return None
    return Usage(input_tokens=given or 0, output_tokens=made or 0, total_tokens=(given or 0) + (made or 0))
