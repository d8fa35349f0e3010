"""xAI: OpenAI's lines, files much like OpenAI's; batches with counts instead of a status, and paged results."""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from app.connectors.contract.objects import (
    OVER,
    Download,
    JobError,
    JobResult,
    NativeFile,
    NativeJob,
    NewFile,
    NewJob,
    Page,
)
from app.connectors.http.judging import usage_of
from app.connectors.providers.openai.managed import Managed
from app.connectors.shared import parsing, refusals
from app.connectors.shared.big_json import members
from app.connectors.shared.nobody import readable
from app.lib import json

FILES = "/v1/files"
BATCHES = "/v1/batches"
PER_PAGE = 100
RESULTS_PER_PAGE = 1000
ENDED = (400, 409, 422)  # how xAI may reject cancelling a job that has just finished


class XAI(Managed):
    """One account at xAI. A job's marker is its name; its results have the job's id."""

    def check(self) -> None:
        """Check the credential by listing a single file. Raises UpstreamError."""
        self._api.get(self._path(FILES), query={"limit": 1})

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file. xAI does not keep its purpose."""
        fields = [("purpose", new.purpose)]
        if new.expires_after_s is not None:
            fields.append(("expires_after", str(new.expires_after_s)))
        answer = self._api.upload(
            self._path(FILES), fields=fields, file_field="file", filename=new.filename, payload=new.payload
        )
        return _file(answer)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file."""
        return _file(self._api.get(self._at(FILES, native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's files."""
        query = {"limit": PER_PAGE, "pagination_token": after}
        answer = parsing.fields(self._api.get(self._path(FILES), query=query), "the list")
        return parsing.page(answer, "data", _file, _next(answer, after))

    def delete_file(self, native_id: str) -> None:
        """Delete a file. Raises MissingError if it is not there."""
        self._api.delete(self._at(FILES, native_id))

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file."""
        return self._api.download(f"{self._at(FILES, native_id)}/content")

    # Native batches.

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job from an input file, which seals the file."""
        return _job(self._api.post(self._path(BATCHES), {"name": new.marker, "input_file_id": new.input_id}))

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job."""
        return _job(self._api.get(self._at(BATCHES, native_id)))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the account's jobs, newest first."""
        query = {"limit": PER_PAGE, "pagination_token": after}
        answer = parsing.fields(self._api.get(self._path(BATCHES), query=query), "the list")
        return parsing.page(answer, "batches", _job, _next(answer, after))

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a job. A finished job is returned as it is."""
        job = self.retrieve_job(native_id)
        if job.is_over:
            return job
        return self._cancelled(
            native_id, lambda: _job(self._api.post(f"{self._at(BATCHES, native_id)}:cancel")), ended=ENDED
        )

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        return readable([self._elements(job)], lambda element, _: _result(element))

    def _rows(self, job: NativeJob) -> Iterator[bytes]:
        """All results of a job, from all pages, each as a line."""
        return map(parsing.written, self._elements(job))

    def _elements(self, job: NativeJob) -> Iterator[Any]:
        path = f"{self._at(BATCHES, job.id)}/results"
        token: str | None = None
        # Not `each_page`: a page is too large to hold, and names the next one only at its end.
        while True:
            rest: dict[str, Any] = {}
            query = {"limit": RESULTS_PER_PAGE, "pagination_token": token}
            for member in members(self._api, path, array="results", query=query):
                if member.index is None:
                    rest[member.name] = member.value
                else:
                    yield member.value
            if rest.get("results") is not None and not isinstance(rest["results"], list):
                raise parsing.bad_answer("results is not a list")
            token = _next(rest, token)
            if token is None:
                return


def _next(answer: Mapping[str, Any], current: str | None) -> str | None:
    token = parsing.cursor(answer, "pagination_token")
    parsing.check_next_page(token, current)
    return token


def _file(answer: Any) -> NativeFile:
    file = parsing.fields(answer, "the file")
    return NativeFile(
        id=parsing.native_id(file, "id"),
        filename=parsing.text(file, "filename") or "",
        purpose=parsing.text(file, "purpose") or "",
        bytes=parsing.count(file, "bytes"),
        created_at=parsing.instant(file, "created_at"),
        expires_at=parsing.instant(file, "expires_at"),
    )


def _job(answer: Any) -> NativeJob:
    batch = parsing.fields(answer, "the batch")
    native_id = parsing.native_id(batch, "batch_id")
    state = parsing.part(batch, "state")
    status = _status(batch, state)
    blamed = parsing.text(batch, "cancel_by_xai_message")
    failed = [parsing.count(state, name) for name in ("num_error", "num_cancelled")]
    return NativeJob(
        id=native_id,
        status=status,
        marker=parsing.text(batch, "name"),
        input_id=parsing.text(batch, "input_file_id"),
        output_id=native_id if status in OVER else None,
        total=parsing.count(state, "num_requests"),
        completed=parsing.count(state, "num_success"),
        failed=sum(number or 0 for number in failed) if any(number is not None for number in failed) else None,
        errors=(JobError("cancelled_by_provider", blamed),) if blamed else (),
        created_at=parsing.instant(batch, "create_time"),
        ended_at=parsing.instant(batch, "cancel_time") if status == "cancelled" else None,
        expires_at=parsing.instant(batch, "expire_time"),
        odd=tuple(batch.odd),
        unclear=parsing.unclear(batch),
    )


def _status(batch: parsing.Fields, state: parsing.Fields) -> str:
    """xAI reports no status. What ended the batch takes precedence, because its counts are unreliable then."""
    pending, total = parsing.expected(state, "num_pending") or 0, parsing.expected(state, "num_requests")
    expires_at = parsing.instant(batch, "expire_time")
    late = expires_at is not None and expires_at < time.time() * 1000
    if parsing.text(batch, "cancel_by_xai_message"):
        return "failed"
    if parsing.instant(batch, "cancel_time") is not None:
        return "cancelling" if pending and not late else "cancelled"
    if not total:
        return "expired" if late else "validating"
    if pending:
        return "expired" if late else "in_progress"
    return "completed"


def _result(element: Any) -> JobResult:
    """A line's result. Its answer is under the name of its endpoint."""
    row = parsing.fields(element, "a result")
    custom_id = parsing.required(row, "batch_request_id")
    came = parsing.part(row, "batch_result") or row
    if came.get("error"):
        return refusals.from_error(custom_id, came["error"])
    bodies = [body for body in parsing.part(came, "response").values() if body is not None]
    if len(bodies) != 1:
        raise parsing.bad_answer("a result has neither an answer nor an error")
    body = parsing.fields(parsing.unquoted(bodies[0]), "the answer to a line")
    return JobResult(custom_id, 200, body=json.dumps(body), usage=usage_of(body))
