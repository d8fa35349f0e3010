"""Together: OpenAI's lines; uploads by a form of its own, deduplicated by content; jobs without counts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from app.connectors.contract.errors import MissingError, OverloadedError, RefusedError
from app.connectors.contract.objects import (
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
from app.connectors.http import judging
from app.connectors.providers.openai import results as openai_results
from app.connectors.providers.openai.managed import Managed
from app.connectors.shared import parsing, refusals
from app.connectors.shared.nobody import readable
from app.lib import json

FILES = "/v1/files"
BATCHES = "/v1/batches"
CONFLICT = 409
ENDED = (400, CONFLICT, 422)  # how Together may reject cancelling a finished job
# What the gateway calls a purpose, and Together.
PURPOSES = {"batch": "batch-api", "evals": "eval"}
FILE_TYPES = ("jsonl", "parquet", "csv")
OWN_PURPOSES = {own: purpose for purpose, own in PURPOSES.items()}
STATUSES = {
    "VALIDATING": "validating",
    "IN_PROGRESS": "in_progress",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "EXPIRED": "expired",
    "CANCELING": "cancelling",
    "CANCELLING": "cancelling",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
}
# What Together says of a line that did not run to an answer, as the status that it would have had.
ERROR_CODES = re.compile(r"(?:[a-z]+_)*(client|server)_error")
ERROR_STATUSES = {"client": 400, "server": 500}


class Together(Managed):
    """One account at Together. Its jobs carry no marker: they are found by their input file and time."""

    def list_models(self, *, timeout_s: float) -> Sequence[Mapping[str, Any]]:
        """The models that Together lists, as it describes them. Raises UpstreamError."""
        with self._redaction.in_errors():
            return parsing.page(_list(judging.json_value(self._models(timeout_s))), "data", _model, None).items

    def check(self) -> None:
        """Check the credential by listing the jobs. Raises UpstreamError."""
        self._api.get(self._path(BATCHES))

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file. If Together already has these bytes, return the file that has them."""
        fields = [
            ("purpose", PURPOSES.get(new.purpose, new.purpose)),
            ("file_name", new.filename),
            ("file_type", _file_type(new)),
        ]
        try:
            answer = self._api.upload(
                f"{self._path(FILES)}/upload",
                fields=fields,
                file_field="file",
                filename=new.filename,
                payload=new.payload,
            )
        except RefusedError as error:
            known = _known_id(error)
            if known is None:
                raise
            return self._twin(known)
        return _file(answer)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file."""
        return _file(self._api.get(self._at(FILES, native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """All files of the account: Together's list has no pages."""
        return parsing.page(_list(self._api.get(self._path(FILES))), "data", _file, None)

    def delete_file(self, native_id: str) -> None:
        """Delete a file. Raises MissingError if it is not there."""
        self._api.delete(self._at(FILES, native_id))

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file."""
        return self._api.download(f"{self._at(FILES, native_id)}/content")

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line in the dialect of this provider's jobs, with its newline."""
        return EncodedLine(json.dumps_line({"custom_id": line.custom_id, "body": {**line.body, "model": line.model}}))

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job. The answer wraps it, next to warnings."""
        body = {"input_file_id": new.input_id, "endpoint": new.endpoint, "completion_window": new.window}
        answer = parsing.fields(self._api.post(self._path(BATCHES), body), "the answer")
        return _job(answer.get("job") or answer)

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job."""
        return _job(self._api.get(self._at(BATCHES, native_id)))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """All jobs of the account: Together's list has no pages."""
        return parsing.page(_list(self._api.get(self._path(BATCHES))), "data", _job, None)

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a job. A finished job is returned as it is."""
        return self._cancelled(
            native_id, lambda: _job(self._api.post(f"{self._at(BATCHES, native_id)}/cancel")), ended=ENDED
        )

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        return readable(self._files(job), _result)

    def _twin(self, native_id: str) -> NativeFile:
        """The file with the same bytes. While Together deletes it, the bytes cannot be uploaded again."""
        try:
            return self.retrieve_file(native_id)
        except MissingError as error:
            text = "The provider is deleting a file with the same bytes; retry shortly."
            raise OverloadedError(text, status=CONFLICT, code="file_being_deleted") from error


def _list(answer: Any) -> Mapping[str, Any]:
    """An answer with a list, which is under `data` or bare."""
    entries = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(entries, list):
        raise parsing.bad_answer("the list is none")
    return {"data": entries}


def _model(item: Any) -> Mapping[str, Any]:
    return parsing.fields(item, "the model")


def _file_type(new: NewFile) -> str:
    """The file type, from its name; the input of a batch is always JSONL."""
    ending = new.filename.rpartition(".")[2].lower()
    return ending if ending in FILE_TYPES and new.purpose != "batch" else FILE_TYPES[0]


def _known_id(error: RefusedError) -> str | None:
    """The id of the file with the same bytes, from the error that rejects an upload."""
    if error.status != CONFLICT:
        return None
    try:
        value = json.loads(error.body)
    except ValueError:
        return None
    holders = [value, value.get("error")] if isinstance(value, dict) else []
    ids = [holder.get("file_id") for holder in holders if isinstance(holder, dict)]
    return next((file_id for file_id in ids if isinstance(file_id, str) and file_id), None)


def _file(answer: Any) -> NativeFile:
    fields = parsing.fields(answer, "the file")
    purpose = parsing.text(fields, "purpose") or ""
    return NativeFile(
        id=parsing.native_id(fields, "id"),
        filename=parsing.text(fields, "filename") or "",
        purpose=OWN_PURPOSES.get(purpose, purpose),
        bytes=parsing.count(fields, "bytes"),
        created_at=parsing.instant(fields, "created_at"),
        expires_at=parsing.instant(fields, "expires_at"),
    )


def _job(answer: Any) -> NativeJob:
    fields = parsing.fields(answer, "the job")
    status, native_status = parsing.status(fields, "status", STATUSES, reword=str.upper)
    blamed = next((parsing.text(error, "message") for error in parsing.notes(fields, "error")), None)
    return NativeJob(
        id=parsing.native_id(fields, "id"),
        status=status,
        native_status=native_status,
        input_id=parsing.text(fields, "input_file_id"),
        output_id=parsing.result_id(fields, "output_file_id"),
        error_id=parsing.result_id(fields, "error_file_id"),
        endpoint=parsing.text(fields, "endpoint"),
        model=parsing.text(fields, "model_id"),
        errors=(JobError("provider_error", blamed),) if blamed else (),
        created_at=parsing.instant(fields, "created_at"),
        ended_at=parsing.instant(fields, "completed_at"),
        expires_at=parsing.instant(fields, "job_deadline"),
        odd=tuple(fields.odd),
        unclear=parsing.unclear(fields),
    )


def _result(line: bytes, number: int) -> JobResult:
    """The result in a row of the output or the error file; rows of the latter have an error and no answer."""
    outcome = openai_results.result(line, number)
    side = ERROR_CODES.fullmatch(outcome.error_code or "")
    return refusals.refused(outcome.custom_id, outcome.message, status=ERROR_STATUSES[side[1]]) if side else outcome
