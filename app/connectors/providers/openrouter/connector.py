"""OpenRouter: batches that carry their lines and their results within themselves, and files that stay there."""

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
from app.lib import json

FILES = "/v1/files"
BATCHES = "/v1/batches"
CONTAINERS = "/v1/containers"
PER_PAGE = 100


class OpenRouter(Managed):
    """One account at OpenRouter. Jobs keep no word of ours, so none is found again; a new one may miss at first."""

    def check(self) -> None:
        """Try the credential with a call that changes nothing: the models are told to anyone. Raises UpstreamError."""
        self._api.get(self._path(BATCHES), query={"limit": 1})

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Make a file. OpenRouter keeps no purpose."""
        answer = self._api.upload(
            self._path(FILES), fields=(), file_field="file", filename=new.filename, payload=new.payload
        )
        return shapes.file(answer)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """A file as it is now."""
        return shapes.file(self._api.get(self._at(FILES, native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's files."""
        answer = self._api.get(self._path(FILES), query={"limit": PER_PAGE, "after": after})
        return shapes.page(answer, after, shapes.file)

    def delete_file(self, native_id: str) -> None:
        """Delete a file; one that is gone already is fine."""
        self._api.delete(self._at(FILES, native_id), missing_ok=True)

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """The bytes of a file that was made at OpenRouter; of an uploaded one a RefusedError."""
        return self._api.download(f"{self._at(FILES, native_id)}/content")

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line in the dialect of this provider's jobs, its newline included."""
        return EncodedLine(json.dumps_line({"custom_id": line.custom_id, "body": {**line.body, "model": line.model}}))

    def create_job(self, new: NewJob) -> NativeJob:
        """Make a job of the lines in `new.payload`."""
        answer = self._api.send("POST", self._path(BATCHES), shapes.request(new), content_type="application/json")
        return shapes.job(answer)

    def retrieve_job(self, native_id: str) -> NativeJob:
        """A job as it is now, without the results that come with it. A new one may raise MissingError at first."""
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
        """Delete a job that is over; one that is gone already is fine."""
        self._api.delete(self._at(BATCHES, native_id), missing_ok=True)

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """What came of each line of a job that is over, in any order. Reading may raise UpstreamError midway."""
        return (shapes.result(element, endpoint=job.endpoint) for element in self._elements(job))

    def _rows(self, job: NativeJob) -> Iterator[bytes]:
        """The elements of a job's results, each as a line."""
        return map(parsing.written, self._elements(job))

    def _elements(self, job: NativeJob) -> Iterator[Any]:
        for member in members(self._api, self._at(BATCHES, job.id), array="results"):
            if member.index is not None:
                yield member.value
            elif member.name == "results" and not isinstance(member.value, list | None):
                raise parsing.bad_answer("results is no list")

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
