"""The base of all connectors: a connector declares its abilities, and each method makes one call.

A connector knows neither SQL nor Flask. It is immutable and safe to share between threads.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from app.connectors.contract.abilities import Abilities
from app.connectors.contract.errors import RefusedError
from app.connectors.contract.objects import (
    Download,
    EncodedLine,
    JobLine,
    JobResult,
    NativeContainer,
    NativeContainerFile,
    NativeFile,
    NativeJob,
    NewContainer,
    NewFile,
    NewJob,
    Page,
    Payload,
    SoughtJob,
    Usage,
)
from app.connectors.contract.paging import each_page, matching, whole
from app.lib import json, redact
from app.translate.neutral import Answer, EmbeddingAnswer


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a provider: to connect, for a whole management call, for silence while bytes stream.

    `retry_pause_s` is the pause before the first retry of a management call; None for the default.
    """

    connect_s: float = 10.0
    call_s: float = 30.0
    silence_s: float = 60.0
    retry_pause_s: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a connector is made of: the account's URL, credential and options, and how long to wait.

    `options` are the account's own settings (`api_version`, `account_id`, ...), as the connector documents them.
    `credential` is an API key, or JSON where a provider needs more than one word. Times are seconds: to connect, for
    a management call, for silence while bytes stream, and before the first retry (None for the default).
    """

    provider: str
    base_url: str
    credential: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    abilities: Abilities = Abilities()
    max_concurrency: int = 64
    connect_timeout_s: float = 10.0
    call_timeout_s: float = 30.0
    silence_timeout_s: float = 60.0
    retry_pause_s: float | None = None


def always_room(_size: int, _timeout_s: float) -> bool:
    """Room for any answer."""
    return True


@dataclass(frozen=True, slots=True)
class LineCall:
    """One line to send: the batch's endpoint (`/v1/...`), the body, and the time left.

    `room(bytes, seconds)` is asked before (more of) a large answer is read, and waits until there is memory for it;
    False when there was none in time.
    """

    endpoint: str
    body: Mapping[str, Any]
    timeout_s: float
    room: Callable[[int, float], bool] = field(default=always_room, repr=False)


@dataclass(frozen=True, slots=True)
class WrittenLine:
    """What a provider gets of a line: the path, and the body in its dialect."""

    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """The answer to a line: either `body`, raw JSON in the dialect of the line's endpoint, or `answer`.

    `dropped` lists the fields of the line that the provider's dialect cannot express.
    """

    status_code: int
    request_id: str
    body: bytes
    usage: Usage = field(default_factory=Usage)
    dropped: tuple[str, ...] = ()
    answer: Answer | EmbeddingAnswer | None = None


class Connector:
    """One account at one provider. Every method raises NotImplementedError unless a subclass overrides it.

    All calls raise UpstreamError: RefusedError for a 4xx (MissingError for a 404), OverloadedError,
    UpstreamTimeoutError, UpstreamServerError. Calls that create something are sent once; only an error whose
    `sent` is false allows sending them again.
    """

    def __init__(self, target: Target) -> None:
        self.target = target

    @property
    def abilities(self) -> Abilities:
        """What the account can do."""
        return self.target.abilities

    @property
    def healthy(self) -> bool:
        """False while the account's breaker is open: new work goes elsewhere."""
        return True

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""

    def hide(self, value: Any) -> Any:
        """JSON `value` without the secrets of the account, in any name or text.

        What a provider says of a failure may repeat its key, in any of the spellings that JSON has for a character.
        """
        if isinstance(value, str):
            return self.hide_text(value)
        if isinstance(value, dict):
            return {self.hide_text(name): self.hide(each) for name, each in value.items()}
        return [self.hide(each) for each in value] if isinstance(value, list) else value

    def hide_text(self, text: str) -> str:
        """`text` without the secrets of the account; a connector that has more than its credential overrides it."""
        text = redact.hidden(text, [self.target.credential])
        address = redact.address(self.target.base_url)
        return address.sub(redact.REDACTED, text) if address else text

    def hide_row(self, row: bytes) -> bytes:
        """A row of results without the secrets of the account; one that has none stays as it is, byte by byte."""
        try:
            value = json.loads(row)
        except ValueError:
            return self.hide_text(row.decode("utf-8", "backslashreplace")).encode()
        hidden = self.hide(value)
        return row if hidden == value else json.dumps(hidden) + b"\n"

    def check(self) -> None:
        """Check the credential with a read-only call. Raises UpstreamError."""
        self.list_models(timeout_s=self.target.call_timeout_s)

    # Lines, one by one.

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line. A 2xx and a final 4xx are answers; anything else raises an UpstreamError."""
        raise self._undeclared("endpoints for lines")

    def written_line(self, call: LineCall) -> WrittenLine:
        """What `run_line` would send. Raises TranslationError."""
        return WrittenLine(call.endpoint, call.body)

    def list_models(self, *, timeout_s: float) -> Sequence[Mapping[str, Any]]:
        """The models the account can use, as OpenAI's model objects."""
        return ()

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file. If the provider already has these bytes, return that file."""
        raise self._undeclared("file_upload")

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file."""
        raise self._undeclared("file_retrieve")

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's files, newest first where the provider can."""
        raise self._undeclared("file_list")

    def delete_file(self, native_id: str) -> None:
        """Delete a file. Raises MissingError if it is not there."""
        raise self._undeclared("file_delete")

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file. Within the block, reading may raise UpstreamError too."""
        raise self._undeclared("file_content")

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line in the dialect of this provider's jobs.

        Raises TranslationError if the dialect cannot express the line, which is then rejected and never sent.
        """
        body = {**line.body, "model": line.model}
        fields = {"custom_id": line.custom_id, "method": "POST", "url": line.endpoint, "body": body}
        return EncodedLine(json.dumps_line(fields))

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job."""
        raise self._undeclared("batch_create")

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job."""
        raise self._undeclared("batch_retrieve")

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the account's jobs, newest first where the provider can."""
        raise self._undeclared("batch_list")

    def find_jobs(self, sought: SoughtJob) -> list[NativeJob]:
        """Jobs that may be the one in question, the most likely first: by marker, else by input file and time."""
        found = matching(self._recent(sought.not_before), lambda job: _may_be(job, sought))
        return sorted(found, key=lambda job: job.marker != sought.marker)

    def recent_jobs(self, *, not_before: int) -> list[NativeJob]:
        """All jobs that were made since then, or at an unknown time.

        Raises UpstreamServerError for a list that cannot be read whole.
        """
        return [
            job
            for page in self._recent(not_before)
            for job in whole(page).items
            if job.created_at is None or job.created_at >= not_before
        ]

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a job. A finished job is returned as it is."""
        raise self._undeclared("batch_cancel")

    def delete_job(self, native_id: str) -> None:
        """Delete a finished job. Does nothing if it is already deleted."""
        raise self._undeclared("batch_delete")

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        raise self._undeclared("batch_results")

    def raw_results(self, job: NativeJob) -> Iterator[bytes]:
        """The provider's own lines of a finished job, each with its newline; otherwise as `results`."""
        raise self._undeclared("batch_results")

    # Containers.

    def create_container(self, new: NewContainer) -> NativeContainer:
        """Create a container."""
        raise self._undeclared("container_create")

    def retrieve_container(self, native_id: str) -> NativeContainer:
        """The current state of a container."""
        raise self._undeclared("container_retrieve")

    def list_containers(self, *, after: str | None = None) -> Page[NativeContainer]:
        """A page of the account's containers."""
        raise self._undeclared("container_list")

    def delete_container(self, native_id: str) -> None:
        """Delete a container. Raises MissingError if it is not there."""
        raise self._undeclared("container_delete")

    def put_container_file(self, container_id: str, filename: str, payload: Payload) -> NativeContainerFile:
        """Upload bytes into a container."""
        raise self._undeclared("container_file_create")

    def copy_container_file(self, container_id: str, file_id: str) -> NativeContainerFile:
        """Copy a file of the same account into a container."""
        raise self._undeclared("container_file_create")

    def list_container_files(self, container_id: str, *, after: str | None = None) -> Page[NativeContainerFile]:
        """A page of the files of a container."""
        raise self._undeclared("container_file_list")

    def retrieve_container_file(self, container_id: str, file_id: str) -> NativeContainerFile:
        """A file of a container."""
        raise self._undeclared("container_file_retrieve")

    def read_container_file(self, container_id: str, file_id: str) -> AbstractContextManager[Download]:
        """The bytes of a file of a container; as `read_file`."""
        raise self._undeclared("container_file_content")

    def delete_container_file(self, container_id: str, file_id: str) -> None:
        """Delete a file of a container. Does nothing if it is already deleted."""
        raise self._undeclared("container_file_delete")

    def _recent(self, not_before: int) -> Iterator[Page[NativeJob]]:
        """Pages of jobs, newest first, as far back as they matter."""
        for page in each_page(self.list_jobs):
            yield page
            oldest = min((job.created_at for job in page.items if job.created_at is not None), default=None)
            if oldest is not None and oldest < not_before:
                return  # the rest is older still

    def _cancelled(self, native_id: str, ask: Callable[[], NativeJob | None], *, ended: Collection[int]) -> NativeJob:
        """The job after `ask` requested its cancellation; `ask` may return the job.

        An error whose status is in `ended` is ignored if the job has ended, or is about to.
        """
        try:
            job = ask()
        except RefusedError as error:
            if error.status not in ended:
                raise
            job = self.retrieve_job(native_id)
            if not job.is_over and job.status != "cancelling":
                raise
            return job
        if job is not None:
            return job
        # Reading the job may be too early to see the cancellation.
        job = self.retrieve_job(native_id)
        return job if job.is_over else replace(job, status="cancelling")

    def _undeclared(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} of {self.target.provider} does not declare {what}")


def _may_be(job: NativeJob, sought: SoughtJob) -> bool:
    if job.marker is not None:
        return job.marker == sought.marker
    recent = job.created_at is None or job.created_at >= sought.not_before
    return sought.input_id is not None and job.input_id == sought.input_id and recent
