"""What connectors take and return: providers' objects in the gateway's terms and units.

Instants are Unix milliseconds in UTC. Statuses are OpenAI's, whatever the provider calls them. What providers send is
within `app.lib.bounds` once it is in one of these: texts are cut and cleaned, numbers that make no sense are None, and
an id that cannot be stored raises UpstreamServerError.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from app.connectors.contract.errors import UpstreamServerError
from app.lib import bounds
from app.translate.neutral import Answer, EmbeddingAnswer
from app.translate.neutral import Usage as Usage

T = TypeVar("T")

# Terminal statuses of jobs.
OVER = frozenset({"completed", "failed", "expired", "cancelled"})
# The error code of a row whose answer cannot be read.
BAD_ROW = "bad_answer"


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes to send: their number, and a way to read them from the start, as often as needed."""

    length: int
    open: Callable[[], Iterator[bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a provider's list; `after` leads to the next page, None at the end.

    `unread` are how many rows cannot be read, and are left out.
    """

    items: list[T]
    after: str | None
    unread: int = 0


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to upload to a provider. `expires_after_s` counts from its creation.

    `endpoint` is that of the batch whose input it is. `folder` is where its bytes go in the account's own bucket, if it
    has one; ends with a slash.
    """

    filename: str
    purpose: str
    payload: Payload
    lines: int | None = None
    expires_after_s: int | None = None
    endpoint: str | None = None
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class NativeFile:
    """A file at a provider. `status`: processing, processed, error or deleted."""

    id: str
    filename: str
    purpose: str
    bytes: int | None = None
    status: str = "processed"
    created_at: int | None = None
    expires_at: int | None = None

    def __post_init__(self) -> None:
        _check_ids(self, "id")
        _set(self, purpose=bounds.word(self.purpose, "status"), bytes=_count(self.bytes, bounds.MAX_BYTES))
        _check_instants(self, "created_at", "expires_at")


@dataclass(frozen=True, slots=True)
class NewJob:
    """A native batch to create.

    `input_id` is the native id of the input file; where jobs are inline, `payload` holds the encoded lines instead.
    `marker` goes wherever the provider keeps a text of ours, so that the job can be found again.
    """

    endpoint: str
    model: str
    window: str
    marker: str
    lines: int
    input_id: str | None = None
    payload: Payload | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    output_expires_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class JobError:
    """An error of a whole job, or of a line of its input (`line` counts from 1)."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None

    def __post_init__(self) -> None:
        _set(
            self,
            code=bounds.word(self.code, "code"),
            message=bounds.text(self.message, "message"),
            param=bounds.optional_word(self.param, "param"),
            line=_count(self.line, bounds.MAX_LINES),
        )


@dataclass(frozen=True, slots=True)
class NativeJob:
    """A native batch as its provider reports it. What it does not report, or what makes no sense, is None.

    `odd` are the names of what makes no sense. `unclear` says why it is not known how far the job is: it counts as
    running then, so that it is looked at again.
    """

    id: str
    status: str
    native_status: str = ""
    marker: str | None = None
    input_id: str | None = None
    output_id: str | None = None
    error_id: str | None = None
    endpoint: str | None = None
    model: str | None = None
    window: str | None = None
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    usage: Usage | None = None
    errors: tuple[JobError, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: int | None = None
    in_progress_at: int | None = None
    ended_at: int | None = None
    expires_at: int | None = None
    odd: tuple[str, ...] = ()
    unclear: str = ""

    def __post_init__(self) -> None:
        _check_ids(self, "id", "output_id", "error_id")
        _set(
            self,
            status="in_progress" if self.unclear and self.status in OVER else self.status,
            input_id=self.input_id if bounds.is_id(self.input_id) else None,
            native_status=bounds.word(self.native_status, "status"),
            endpoint=bounds.optional_word(self.endpoint, "endpoint"),
            model=bounds.optional_word(self.model, "model"),
            window=bounds.optional_word(self.window, "window"),
            total=_count(self.total, bounds.MAX_LINES),
            completed=_count(self.completed, bounds.MAX_LINES),
            failed=_count(self.failed, bounds.MAX_LINES),
            metadata=bounds.pairs(self.metadata),
            odd=bounds.fields(self.odd),
            unclear=bounds.text(self.unclear, "message"),
        )
        _check_instants(self, "created_at", "in_progress_at", "ended_at", "expires_at")

    @property
    def is_over(self) -> bool:
        """True if the job has ended."""
        return self.status in OVER


@dataclass(frozen=True, slots=True)
class SoughtJob:
    """A job that may have been created although its answer was lost: its marker, its input, and the earliest time."""

    marker: str
    input_id: str | None
    not_before: int


@dataclass(frozen=True, slots=True)
class JobLine:
    """One line of a batch to encode for a job, in OpenAI's form. `custom_id` is the id on the wire."""

    custom_id: str
    endpoint: str
    model: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EncodedLine:
    """A line in the dialect of a provider's jobs: one or more records, each with its newline.

    `dropped` lists fields that the dialect cannot express and the answer does not need.
    """

    data: bytes
    records: int = 1
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of one line, in OpenAI's form.

    An answer has `status_code` and either `body` (JSON of the endpoint's own dialect, or `{"error": {...}}`) or, where
    it was translated, `answer`; a line that never ran has `error_code` and `message` instead.
    """

    custom_id: str
    status_code: int | None = None
    request_id: str = ""
    body: bytes = b""
    error_code: str | None = None
    message: str = ""
    usage: Usage = Usage()
    answer: Answer | EmbeddingAnswer | None = None

    def __post_init__(self) -> None:
        _set(
            self,
            custom_id=bounds.text(self.custom_id, "custom_id"),
            request_id=bounds.word(self.request_id, "request_id"),
            message=bounds.text(self.message, "message"),
            error_code=bounds.optional_word(self.error_code, "code"),
        )
        if self.status_code is not None and not bounds.is_status(self.status_code):
            text = "The provider's result of this line has a status that is none of HTTP's."
            _set(self, status_code=None, body=b"", answer=None, error_code=BAD_ROW, message=text)


@dataclass(frozen=True, slots=True)
class Download:
    """Bytes to receive; `length` is None if the provider does not send it."""

    length: int | None
    content_type: str
    chunks: Iterator[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewContainer:
    """A container to create at a provider."""

    name: str
    expires_after_minutes: int
    memory_limit: str
    network_policy: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NativeContainer:
    """A container at a provider. `status`: running, expired or deleted."""

    id: str
    name: str
    status: str
    created_at: int | None = None
    last_active_at: int | None = None
    expires_after_minutes: int | None = None
    memory_limit: str | None = None
    network_policy: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _check_ids(self, "id")
        _set(
            self,
            name=bounds.text(self.name, "filename"),
            expires_after_minutes=_count(self.expires_after_minutes, bounds.MAX_MINUTES),
            memory_limit=bounds.optional_word(self.memory_limit, "memory"),
        )
        _check_instants(self, "created_at", "last_active_at")


@dataclass(frozen=True, slots=True)
class NativeContainerFile:
    """A file in a container at a provider. `source`: user or assistant."""

    id: str
    path: str
    source: str
    bytes: int | None = None
    created_at: int | None = None

    def __post_init__(self) -> None:
        _check_ids(self, "id")
        _set(self, path=bounds.text(self.path, "path"), bytes=_count(self.bytes, bounds.MAX_BYTES))
        _check_instants(self, "created_at")


def _set(made: object, **values: Any) -> None:
    """Change fields of a frozen object that is being made."""
    for name, value in values.items():
        object.__setattr__(made, name, value)


def _count(value: Any, most: int) -> int | None:
    return None if value is None else bounds.count(value, most)


def _check_ids(made: object, *names: str) -> None:
    for name in names:
        value = getattr(made, name)
        if value is not None and not bounds.is_id(value):
            raise UpstreamServerError(f"The provider's answer makes no sense: {name} is not an id.", code=BAD_ROW)


def _check_instants(made: object, *names: str) -> None:
    for name in names:
        value = getattr(made, name)
        if value is not None:
            object.__setattr__(made, name, bounds.count(value, bounds.MAX_INSTANT_MS))
