"""Mistral: jobs and pages of its own, files much like OpenAI's, chats translated in both directions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

from app.connectors.contract.base import LineAnswer, LineCall
from app.connectors.contract.objects import (
    OVER,
    Download,
    EncodedLine,
    JobError,
    JobLine,
    JobResult,
    NativeFile,
    NativeJob,
    NewFile,
    NewJob,
    Page,
)
from app.connectors.providers.openai import results as openai_results
from app.connectors.providers.openai.lines import CHAT
from app.connectors.providers.openai.managed import Managed
from app.connectors.shared import parsing, refusals
from app.connectors.shared.nobody import readable
from app.connectors.shared.translated import refusal
from app.lib import json
from app.translate.errors import TranslationError
from app.translate.mistral import (
    dropped_by_mistral,
    embedding_to_mistral,
    from_mistral,
    moderation_to_mistral,
    to_mistral,
)

FILES = "/v1/files"
JOBS = "/v1/batch/jobs"
PER_PAGE = 100
MARKER = "batchgate"
ENDED = (400, 409, 422)  # how the provider may reject cancelling a finished job
HOURS = {"h": 1, "d": 24}
STATUSES = {
    "QUEUED": "validating",
    "RUNNING": "in_progress",
    "SUCCESS": "completed",
    "FAILED": "failed",
    "TIMEOUT_EXCEEDED": "expired",
    "CANCELLATION_REQUESTED": "cancelling",
    "CANCELLED": "cancelled",
}
# How the body of a line is translated, by endpoint; other bodies are sent unchanged.
REQUESTS = {CHAT: to_mistral, "/v1/embeddings": embedding_to_mistral, "/v1/moderations": moderation_to_mistral}


class Mistral(Managed):
    """One account at Mistral. The model belongs to the job; lines carry only their bodies."""

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line. A 2xx and a final 4xx are answers; anything else raises an UpstreamError."""
        try:
            answer = super().run_line(replace(call, body=_request(call.endpoint, call.body)))
        except TranslationError as error:
            return LineAnswer(400, "", refusal(error))
        if call.endpoint != CHAT or answer.status_code >= 400:
            return answer
        dropped = tuple(dropped_by_mistral(call.body))
        try:
            return replace(answer, body=json.dumps(from_mistral(json.loads(answer.body))), dropped=dropped)
        except json.JSONEncodeError as error:
            raise parsing.bad_answer("it is nested too deep") from error

    def check(self) -> None:
        """Check the credential by listing a single file. Raises UpstreamError."""
        self._api.get(self._path(FILES), query={"page": 0, "page_size": 1})

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file; Mistral validates each line of a batch input immediately."""
        answer = self._api.upload(
            self._path(FILES),
            fields=[("purpose", new.purpose)],
            file_field="file",
            filename=new.filename,
            payload=new.payload,
        )
        return _file(answer)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file."""
        return _file(self._api.get(self._at(FILES, native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's files, newest first."""
        answer = parsing.fields(self._api.get(self._path(FILES), query=_page(after)), "the list")
        return _paged(answer, _file, after)

    def delete_file(self, native_id: str) -> None:
        """Delete a file. Raises MissingError if it is not there."""
        self._api.delete(self._at(FILES, native_id))

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file."""
        return self._api.download(f"{self._at(FILES, native_id)}/content")

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line in the dialect of this provider's jobs, with its newline. Raises TranslationError."""
        own = {**line.body, "model": line.model}
        data = json.dumps_line({"custom_id": line.custom_id, "body": _request(line.endpoint, own)})
        return EncodedLine(data, dropped=tuple(dropped_by_mistral(own)) if line.endpoint == CHAT else ())

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job."""
        body = {
            "endpoint": new.endpoint,
            "model": new.model,
            "input_files": [new.input_id],
            "metadata": {**new.metadata, MARKER: new.marker},
            "timeout_hours": int(new.window[:-1]) * HOURS[new.window[-1]],
        }
        return _job(self._api.post(self._path(JOBS), body))

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job."""
        return _job(self._api.get(self._at(JOBS, native_id)))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the account's jobs, newest first."""
        answer = parsing.fields(
            self._api.get(self._path(JOBS), query={**_page(after), "order_by": "-created"}), "the list"
        )
        return _paged(answer, _job, after)

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a job. A finished job is returned as it is."""
        return self._cancelled(
            native_id, lambda: _job(self._api.post(f"{self._at(JOBS, native_id)}/cancel")), ended=ENDED
        )

    def delete_job(self, native_id: str) -> None:
        """Delete a finished job. Does nothing if it is already deleted."""
        self._api.delete(self._at(JOBS, native_id), missing_ok=True)

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        return readable(self._files(job), partial(_result, chat=job.endpoint in (None, CHAT)))


def _request(endpoint: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return REQUESTS.get(endpoint, dict)(body)


def _page(after: str | None) -> dict[str, str | int | None]:
    return {"page": after or "0", "page_size": PER_PAGE}


def _paged(answer: Mapping[str, Any], read: Callable[[Any], Any], after: str | None) -> Page[Any]:
    """Pages are numbered from 0; a full page is followed by another unless the total says it is the last."""
    number = int(after or "0") + 1
    total = parsing.count(answer, "total")
    page = parsing.page(answer, "data", read, None)
    more = len(page.items) + page.unread >= PER_PAGE and (total is None or total > number * PER_PAGE)
    return replace(page, after=str(number) if more else None)


def _file(answer: Any) -> NativeFile:
    fields = parsing.fields(answer, "the file")
    size = parsing.count(fields, "bytes")
    return NativeFile(
        id=parsing.native_id(fields, "id"),
        filename=parsing.text(fields, "filename") or "",
        purpose=parsing.text(fields, "purpose") or "",
        bytes=parsing.count(fields, "size_bytes") if size is None else size,
        status="deleted" if fields.get("deleted") is True else "processed",
        created_at=parsing.instant(fields, "created_at"),
        expires_at=parsing.instant(fields, "expires_at"),
    )


def _job(answer: Any) -> NativeJob:
    fields = parsing.fields(answer, "the job")
    status, native_status = parsing.status(fields, "status", STATUSES)
    metadata = {name: str(value) for name, value in parsing.part(fields, "metadata").items()}
    inputs = fields.get("input_files")
    total = parsing.count(fields, "total_requests")
    return NativeJob(
        id=parsing.native_id(fields, "id"),
        status=status,
        native_status=native_status,
        marker=metadata.pop(MARKER, None),
        input_id=inputs[0] if isinstance(inputs, list) and inputs else None,
        output_id=parsing.result_id(fields, "output_file"),
        error_id=parsing.result_id(fields, "error_file"),
        endpoint=parsing.text(fields, "endpoint"),
        model=parsing.text(fields, "model"),
        total=total or None,  # 0 until Mistral has counted them
        completed=parsing.count(fields, "succeeded_requests"),
        failed=parsing.count(fields, "failed_requests"),
        errors=tuple(_error(item) for item in parsing.notes(fields, "errors"))
        if status in ("failed", "expired")
        else (),
        metadata=metadata,
        created_at=parsing.instant(fields, "created_at"),
        in_progress_at=parsing.instant(fields, "started_at"),
        ended_at=parsing.instant(fields, "completed_at") if status in OVER else None,
        odd=tuple(fields.odd),
        unclear=parsing.unclear(fields),
    )


def _error(item: Mapping[str, Any]) -> JobError:
    message = parsing.text(item, "message") or "The provider gave no reason."
    count = parsing.count(item, "count") or 1
    return JobError("invalid_request", f"{message} ({count} lines)" if count > 1 else message)


def _result(line: bytes, number: int, *, chat: bool) -> JobResult:
    """The result in a row of either file. The body of an error is JSON in a string."""
    result = openai_results.result(line, number)
    if result.status_code is None:
        return result
    value = json.loads(result.body)
    if result.status_code >= 400:
        return _refused(result, value)
    return replace(result, body=json.dumps(from_mistral(value))) if chat and isinstance(value, dict) else result


def _refused(result: JobResult, value: Mapping[str, Any]) -> JobResult:
    error = value.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    try:
        inner = json.loads(message) if isinstance(message, str) else None
    except ValueError:
        return result
    if not isinstance(inner, dict | str):
        return result
    return replace(
        refusals.from_error(result.custom_id, inner, status=result.status_code), request_id=result.request_id
    )
