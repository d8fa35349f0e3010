"""OpenRouter: batches that contain their lines and results; files that cannot be downloaded."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

from app.connectors.contract.objects import (
    Download,
    EncodedLine,
    JobLine,
    JobResult,
    NativeContainerFile,
    NativeFile,
    NativeJob,
    NewFile,
    NewJob,
    Page,
)
from app.connectors.providers.openai.managed import Managed
from app.connectors.providers.openrouter import shapes
from app.connectors.shared import parsing
from app.connectors.shared.big_json import members
from app.connectors.shared.nobody import readable
from app.lib import json

FILES = "/v1/files"
BATCHES = "/v1/batches"
CONTAINERS = "/v1/containers"
PER_PAGE = 100


class OpenRouter(Managed):
    """One account at OpenRouter. Jobs carry no marker, so none is found again; a new one may be missing at first."""

    def check(self) -> None:
        """Check the credential by listing a batch: the list of models is public. Raises UpstreamError."""
        self._api.get(self._path(BATCHES), query={"limit": 1})

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file. OpenRouter keeps no purpose."""
        answer = self._api.upload(
            self._path(FILES), fields=(), file_field="file", filename=new.filename, payload=new.payload
        )
        return shapes.file(answer)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file."""
        return shapes.file(self._api.get(self._at(FILES, native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's files."""
        answer = self._api.get(self._path(FILES), query={"limit": PER_PAGE, "after": after})
        return shapes.page(answer, after, shapes.file)

    def delete_file(self, native_id: str) -> None:
        """Delete a file. Raises MissingError if it is not there."""
        self._api.delete(self._at(FILES, native_id))

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file that was made at OpenRouter. Raises RefusedError for an uploaded one."""
        return self._api.download(f"{self._at(FILES, native_id)}/content")

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line in the dialect of this provider's jobs, with its newline."""
        return EncodedLine(json.dumps_line({"custom_id": line.custom_id, "body": {**line.body, "model": line.model}}))

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job from the lines in `new.payload`."""
        answer = self._api.send("POST", self._path(BATCHES), shapes.request(new), content_type="application/json")
        return shapes.job(answer)

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job, without its results. A new job may raise MissingError at first."""
        fields: dict[str, Any] = {}
        for member in members(self._api, self._at(BATCHES, native_id), array="results"):
            if member.index is None:
                fields[member.name] = member.value
        return shapes.job(fields)

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the account's jobs, newest first."""
        answer = self._api.get(self._path(BATCHES), query={"limit": PER_PAGE, "after": after})
        return shapes.page(answer, after, shapes.job)

    def delete_job(self, native_id: str) -> None:
        """Delete a finished job. Does nothing if it is already deleted."""
        self._api.delete(self._at(BATCHES, native_id), missing_ok=True)

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        return readable([self._elements(job)], lambda element, _: shapes.result(element, endpoint=job.endpoint))

    def _rows(self, job: NativeJob) -> Iterator[bytes]:
        """All results of a job, each as a line."""
        return map(parsing.written, self._elements(job))

    def _elements(self, job: NativeJob) -> Iterator[Any]:
        for member in members(self._api, self._at(BATCHES, job.id), array="results"):
            if member.index is not None:
                yield member.value
            elif member.name == "results" and not isinstance(member.value, list | None):
                raise parsing.bad_answer("results is not a list")

    # Files of containers, which models make.

    def list_container_files(self, container_id: str, *, after: str | None = None) -> Page[NativeContainerFile]:
        """A page of the files of a container."""
        path = f"{self._at(CONTAINERS, container_id)}/files"
        return shapes.page(self._api.get(path, query={"limit": PER_PAGE, "after": after}), after, shapes.container_file)

    def retrieve_container_file(self, container_id: str, file_id: str) -> NativeContainerFile:
        """A file of a container."""
        return shapes.container_file(self._api.get(self._in_container(container_id, file_id)))

    def read_container_file(self, container_id: str, file_id: str) -> AbstractContextManager[Download]:
        """The bytes of a file of a container; as `read_file`."""
        return self._api.download(f"{self._in_container(container_id, file_id)}/content")

    def _in_container(self, container_id: str, file_id: str) -> str:
        return f"{self._at(CONTAINERS, container_id)}/files/{quote(file_id, safe='')}"
