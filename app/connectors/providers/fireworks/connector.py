"""Fireworks: files are datasets, we choose the ids of jobs, and results are behind signed URLs."""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from app.connectors.contract.base import Target
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError
from app.connectors.contract.objects import (
    Download,
    EncodedLine,
    JobLine,
    JobResult,
    NativeFile,
    NativeJob,
    NewFile,
    NewJob,
    Page,
    Payload,
    SoughtJob,
)
from app.connectors.http.api import fetch_url
from app.connectors.http.remote import with_bearer
from app.connectors.http.spool import each_row, files
from app.connectors.providers.fireworks import shapes
from app.connectors.providers.openai.managed import Managed
from app.connectors.shared import parsing
from app.connectors.shared.nobody import readable
from app.connectors.shared.once import Once
from app.lib import json

INFERENCE = "/inference/v1"
PER_PAGE = 200
CONFLICT = 409
NEWEST_FIRST = "create_time desc"
REFUSED_LINES = "error-data"
DOWNLOAD_HOSTS = "storage.googleapis.com"
FILENAME_LENGTH = 63


class Fireworks(Managed):
    """One account at Fireworks.

    Options: `account_id` (looked up if it is not set), `download_hosts` (hosts of signed URLs, separated by commas).
    A job's id is derived from its marker. A file's native id is the dataset's full name.
    """

    def __init__(self, target: Target) -> None:
        root = re.sub(r"(/inference)?/v1$", "", target.base_url.rstrip("/"))
        management = replace(with_bearer(target), base_url=root)
        super().__init__(target, replace(management, base_url=root + INFERENCE), api=management)
        self._account = Once(self._find_account_id)
        hosts = target.options.get("download_hosts") or DOWNLOAD_HOSTS
        self._download_hosts = tuple(host.strip() for host in hosts.split(",") if host.strip())

    def check(self) -> None:
        """Check the credential with a read-only call. Raises UpstreamError."""
        self._api.get(self._datasets(), query={"pageSize": 1})

    def _models_path(self) -> str:
        return f"{INFERENCE}/models"

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Create a dataset and upload into it; it may be processed for a while. Deleted again if the upload fails."""
        name = f"bg-{secrets.token_hex(12)}"
        lines = _count_lines(new.payload) if new.lines is None else new.lines
        described = {
            "userUploaded": {},
            "exampleCount": str(lines),
            "displayName": new.filename[:FILENAME_LENGTH],
        }
        made = shapes.dataset(self._api.post(self._datasets(), {"datasetId": name, "dataset": described}))
        path = self._datasets(made.id)
        try:
            self._api.upload(f"{path}:upload", fields=(), file_field="file", filename=new.filename, payload=new.payload)
        except UpstreamError:
            self._discard(made.id)
            raise
        return replace(self._as_it_is(made), purpose=new.purpose, bytes=new.payload.length)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file, without its size, which the provider does not report."""
        return shapes.dataset(self._api.get(self._datasets(native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's datasets, newest first."""
        answer, following = self._list(self._datasets(), after)
        return parsing.page(answer, "datasets", shapes.dataset, following)

    def delete_file(self, native_id: str) -> None:
        """Delete a dataset. Raises MissingError if it is not there."""
        self._api.delete(self._datasets(native_id))

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a dataset; of a job's results, only the successful lines."""
        urls = self._urls(native_id)
        answered = [url for name, url in urls.items() if not name.endswith(f"/{REFUSED_LINES}")]
        if len(answered) != 1:
            raise parsing.bad_answer(f"a dataset of {len(answered)} files")
        return self._fetch(answered[0])

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line in the dialect of this provider's jobs, with its newline. The model belongs to the job."""
        body = {name: value for name, value in line.body.items() if name != "model"}
        return EncodedLine(json.dumps_line({"custom_id": line.custom_id, "body": body}))

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job. An existing one with this marker is ours, and is returned."""
        name = shapes.slug(new.marker)
        body = {"model": new.model, "inputDatasetId": new.input_id, "displayName": new.marker}
        try:
            return shapes.job(self._api.post(self._jobs(), body, query={"batchInferenceJobId": name}))
        except RefusedError as error:
            jobs = self.find_jobs(SoughtJob(new.marker, None, 0)) if error.status == CONFLICT else []
            if not jobs:
                raise
            return jobs[0]

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job. A cancelled one is deleted after a while."""
        return shapes.job(self._api.get(self._jobs(native_id)))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the account's jobs, newest first."""
        answer, following = self._list(self._jobs(), after)
        return parsing.page(answer, "batchInferenceJobs", shapes.job, following)

    def find_jobs(self, sought: SoughtJob) -> list[NativeJob]:
        """The job with the given marker, if it exists: its id is derived from the marker."""
        try:
            return [self.retrieve_job(shapes.slug(sought.marker))]
        except MissingError:
            return []

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a running job by deleting it: there is no other way. A finished job is returned as it is."""
        job = self.retrieve_job(native_id)
        if job.is_over:
            return job
        self.delete_job(native_id)
        try:
            return self.retrieve_job(native_id)
        except MissingError:
            return replace(job, status="cancelled")

    def delete_job(self, native_id: str) -> None:
        """Delete a job. Does nothing if it is already deleted."""
        self._api.delete(self._jobs(native_id), missing_ok=True)

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        return readable(self._files(job), lambda row, _: shapes.result(row))

    def _rows(self, job: NativeJob) -> Iterator[bytes]:
        return each_row(self._files(job))

    def _files(self, job: NativeJob) -> Iterator[Iterator[bytes]]:
        """The lines of a job's result files: successful lines and failed lines."""
        if job.output_id is None:
            return
        try:
            urls = self._urls(job.output_id)
        except MissingError:
            if job.status == "completed":
                raise
            return  # only a completed job is certain to have results
        yield from files(self._fetch, urls.values())

    # Paths and pages.

    def _datasets(self, native_id: str | None = None) -> str:
        return self._in_account("datasets", native_id)

    def _jobs(self, native_id: str | None = None) -> str:
        return self._in_account("batchInferenceJobs", native_id)

    def _in_account(self, kind: str, native_id: str | None) -> str:
        account_id = self.target.options.get("account_id") or self._account.value()
        path = f"/v1/accounts/{quote(account_id, safe='')}/{kind}"
        return path if native_id is None else f"{path}/{quote(native_id.rpartition('/')[2], safe='')}"

    def _find_account_id(self) -> str:
        """Raises RefusedError for a key that opens several accounts, or none."""
        answer = parsing.fields(self._api.get("/v1/accounts"), "the list of accounts")
        names = [parsing.required(item, "name") for item in parsing.items(answer, "accounts")]
        if len(names) != 1:
            text = f"This key opens {len(names)} accounts at Fireworks: set the option account_id to one of them."
            raise RefusedError(text, code="account_id_missing")
        return names[0].rpartition("/")[2]

    def _list(self, path: str, after: str | None) -> tuple[Mapping[str, Any], str | None]:
        query = {"pageSize": PER_PAGE, "pageToken": after, "orderBy": NEWEST_FIRST}
        answer = parsing.fields(self._api.get(path, query=query), "the list")
        following = parsing.cursor(answer, "nextPageToken")
        parsing.check_next_page(following, after)
        return answer, following

    # Datasets.

    def _as_it_is(self, made: NativeFile) -> NativeFile:
        try:
            return self.retrieve_file(made.id)
        except UpstreamError:
            return replace(made, status="processing")  # it was uploaded, which is what the caller needs

    def _discard(self, native_id: str) -> None:
        try:
            self.delete_file(native_id)
        except UpstreamError:
            return  # the error that led here is the one to report

    def _urls(self, native_id: str) -> dict[str, str]:
        answer = parsing.fields(self._api.get(f"{self._datasets(native_id)}:getDownloadEndpoint"), "the answer")
        urls = parsing.part(answer, "filenameToSignedUrls")
        return {name: parsing.url(urls, name) for name in urls}

    def _fetch(self, url: str) -> AbstractContextManager[Download]:
        return fetch_url(url, target=self.target, allowed_hosts=self._download_hosts)


def _count_lines(payload: Payload) -> int:
    return sum(chunk.count(b"\n") for chunk in payload.open())
