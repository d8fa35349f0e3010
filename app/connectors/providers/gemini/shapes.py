"""Gemini's JSON as native objects, in both directions (contracts: providers, 8)."""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from app.connectors.contract.objects import OVER, JobError, JobResult, NativeFile, NativeJob, NewJob, Page, Payload
from app.connectors.http.wire import Answer
from app.connectors.shared import parsing, refusals, regrouping
from app.connectors.shared.nobody import NOBODY, owner, readable, unread
from app.connectors.shared.translated import BAD_ANSWER, answered
from app.connectors.shared.wrap import wrapped
from app.lib import json
from app.translate.gemini.answers import read as read_answer
from app.translate.neutral import EmbeddingAnswer

# Rows of each file of results, to be closed when one of them is invalid.
Files = Generator[Iterator[Any]]

FILE_STATES = {
    "STATE_UNSPECIFIED": "processing",
    "PROCESSING": "processing",
    "ACTIVE": "processed",
    "FAILED": "error",
}
STATES = {
    "UNSPECIFIED": "validating",
    "PENDING": "validating",
    "RUNNING": "in_progress",
    "SUCCEEDED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "EXPIRED": "expired",
}
PREFIXES = re.compile(r"^(BATCH|JOB)_STATE_")
NAME = re.compile(r"(files|batches)/[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
CANCELLED = 1  # google.rpc.Code
KEPT_MS = 48 * 3600 * 1000
MAX_DISPLAY_NAME = 512
# Where the results of inline jobs may be: in either place, under either name.
LISTS = ("inlinedResponses", "inlinedEmbedContentResponses")
RESULTS = frozenset(
    (*place, name, "inlinedResponses") for place in (("response",), ("metadata", "output")) for name in LISTS
)
LISTED_RESULTS = frozenset(("operations", "", *path) for path in RESULTS)
# The beginning of a line in a file, which is rewritten for a request.
KEY, REQUEST = b'{"key":', b',"request":'


def reworded(answer: Answer) -> Answer:
    """An error with the right status: Gemini answers 403 for an unknown file and 400 for a wrong key."""
    if answer.status == 403 and b"may not exist" in answer.body:
        return replace(answer, status=404)
    if answer.status == 400 and b"API_KEY_INVALID" in answer.body:
        return replace(answer, status=401)
    return answer


def request(new: NewJob) -> Payload:
    """The request that creates a job from an input file, or from its lines."""
    head = {"displayName": new.marker}
    if new.input_id is not None:
        whole = json.dumps({"batch": {**head, "inputConfig": {"fileName": new.input_id}}})
        return Payload(len(whole), lambda: iter((whole,)))
    start = b'{"batch":' + json.dumps(head)[:-1] + b',"inputConfig":{"requests":{"requests":['
    return wrapped(start, None if new.payload is None else _inlined(new.payload), b"]}}}}")


def _inlined(lines: Payload) -> Payload:
    """Lines of a file as elements of a request: the key of a line moves into its metadata."""

    def stream() -> Iterator[bytes]:
        for line in _lines(lines):
            at = line.index(REQUEST)
            yield b'{"metadata":{' + line[1:at] + b"}" + line[at:]

    more = len(b'"metadata":{}')
    count = sum(chunk.count(b"\n") for chunk in lines.open())
    return Payload(lines.length + more * count, stream)


def _lines(lines: Payload) -> Iterator[bytes]:
    """Complete lines with their newlines. Raises ValueError if the last line has none."""
    held = b""
    for chunk in lines.open():
        lines_of_chunk = (held + chunk).splitlines(keepends=True)
        held = b"" if not lines_of_chunk or lines_of_chunk[-1].endswith(b"\n") else lines_of_chunk.pop()
        yield from lines_of_chunk
    if held:
        raise ValueError("the last of the encoded lines has no newline")


def name(holder: Mapping[str, Any]) -> str:
    """The name of a file or a batch, which is its id and part of paths."""
    value = parsing.required(holder, "name")
    if not NAME.fullmatch(value):
        raise parsing.bad_answer("a name is invalid")
    return value


def page(answer: Any, current: str | None, items: str, item: Callable[[Any], Any]) -> Page[Any]:
    """A page of a list; a token leads to the next page."""
    listed = parsing.fields(answer, "the list")
    after = parsing.cursor(listed, "nextPageToken")
    parsing.check_next_page(after, current)
    return parsing.page(listed, items, item, after)


def file(answer: Any, *, purpose: str = "") -> NativeFile:
    """A file; Gemini keeps no purpose."""
    fields = parsing.fields(answer, "the file")
    return NativeFile(
        id=name(fields),
        filename=parsing.text(fields, "displayName") or "",
        purpose=purpose,
        bytes=parsing.count(fields, "sizeBytes"),
        status=parsing.file_status(FILE_STATES, parsing.text(fields, "state") or "ACTIVE"),
        created_at=parsing.instant(fields, "createTime"),
        expires_at=parsing.instant(fields, "expirationTime"),
    )


def job(answer: Any) -> NativeJob:
    """A batch, which is a long-running operation."""
    fields = parsing.fields(answer, "the batch")
    metadata = parsing.part(fields, "metadata")
    error = parsing.part(fields, "error")
    status, native_status = "validating", ""
    if metadata.get("state"):
        status, native_status = parsing.status(metadata, "state", STATES, reword=_state)
    if fields.get("done") is True and status not in OVER:
        status = ("cancelled" if error.get("code") == CANCELLED else "failed") if error else "completed"
    stats = parsing.part(metadata, "batchStats")
    if _takes_texts(metadata):
        stats.clear()  # they count texts, and a line may have many
    created_at, model = parsing.instant(metadata, "createTime"), parsing.text(metadata, "model")
    return NativeJob(
        id=name(fields),
        status=status,
        native_status=_state(native_status),
        marker=parsing.text(metadata, "displayName"),
        input_id=parsing.text(parsing.part(metadata, "inputConfig"), "fileName"),
        output_id=_output(fields, metadata),
        model=None if model is None else model.removeprefix("models/"),
        total=parsing.count(stats, "requestCount"),
        completed=parsing.count(stats, "successfulRequestCount"),
        failed=parsing.count(stats, "failedRequestCount"),
        errors=(_error(error),) if error and status != "cancelled" else (),
        created_at=created_at,
        ended_at=parsing.instant(metadata, "endTime") if status in OVER else None,
        expires_at=None if created_at is None else created_at + KEPT_MS,
        odd=tuple(fields.odd),
        unclear=parsing.unclear(fields),
    )


def _state(word: str) -> str:
    return PREFIXES.sub("", word)


def _takes_texts(metadata: Mapping[str, Any]) -> bool:
    return (parsing.text(metadata, "@type") or "").endswith("EmbedContentBatch")


def _output(operation: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """The file that holds the results, if there is one."""
    for place in (parsing.part(operation, "response"), parsing.part(metadata, "output")):
        file_name = parsing.result_id(place, "responsesFile")
        if file_name is not None and NAME.fullmatch(file_name):
            return file_name
        if file_name is not None:
            place.doubts.append("its responsesFile is not a name")
    return None


def _error(error: Mapping[str, Any]) -> JobError:
    code = parsing.count(error, "code")
    known, _ = refusals.GRPC.get(code or 0, ("provider_error", 0))
    message = parsing.text(error, "message") or "The provider gave no reason."
    return JobError(known.lower(), message)


def chats(files: Files, *, created: int | None) -> Iterator[JobResult]:
    """The result of each line; `created` (Unix seconds) is for answers without a time of their own."""

    def results() -> Iterator[JobResult]:
        with closing(files):
            yield from readable(files, lambda value, _: _read(value, lambda body: read_answer(body, created=created)))

    return results()


def embeddings(files: Files, read: Callable[[Any], EmbeddingAnswer], *, status: str) -> Iterator[JobResult]:
    """The result of each line, reassembled from the pieces of its texts; `status` is the job's."""

    def pieces() -> Iterator[regrouping.Piece]:
        with closing(files):
            for result in readable(files, lambda value, _: _read(value, read)):
                yield regrouping.Piece(result.custom_id, result)

    return regrouping.regrouped(pieces(), status=status)


def _read(value: Any, read: Callable[[Any], Any]) -> JobResult:
    row, key = _row(value)
    return _result(row, key, read)


def _row(value: Any) -> tuple[Mapping[str, Any], str]:
    """A row and its key, which is in the row itself (in a file) or in its metadata (inline)."""
    row = parsing.fields(value, "a result")
    metadata = row.get("metadata")
    return row, owner(row.get("key"), metadata.get("key") if isinstance(metadata, dict) else None)


def _result(row: Mapping[str, Any], key: str, read: Callable[[Any], Any]) -> JobResult:
    response, error = row.get("response"), row.get("error")
    if key == NOBODY:
        return unread()
    if response is not None:
        return answered(key, response, read)
    if error:
        return refusals.from_error(key, error)
    return JobResult(key, error_code=BAD_ANSWER, message="The provider's result has neither an answer nor an error.")
