"""Requests in the body of POST /batches, written to a batch input line by line while they arrive."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from app.errors import InvalidRequestError, PayloadTooLargeError
from app.lib import json, jsonl
from app.lib.json_stream import JsonStreamError, Member, PieceTooLargeError, Source, members
from app.services.blobs import IncomingBlob, incoming
from app.services.gateway import Gateway
from app.services.lines.index import LineIndex
from app.services.lines.rules import MAX_CUSTOM_ID, PARAMS, endpoint_of
from app.services.lines.rules import MESSAGES as MESSAGES_ENDPOINT

MEMBERS = frozenset({"custom_id", "method", "url", "body", "params"})
REQUESTS = "requests"
METHOD = "POST"
URL_LENGTH = 256
SHOWN_NAME = 64
ENDPOINT_ROOM = 64  # bytes by which a line without url may still grow


class InlineInput:
    """The lines so far, in a blob that is not settled yet. `sha256` identifies the requests as they were received."""

    def __init__(self, gateway: Gateway, blob: IncomingBlob, stack: ExitStack) -> None:
        self.blob = blob
        self.lines = 0
        self.endpoint: str | None = None  # the url of the first request that has one
        self._form: str | None = None  # body (OpenAI's) or params (Anthropic's), as the first request has it
        self._first_url_at = 0
        self._other_url_at: int | None = None
        self._lacks_url = False
        self._gateway = gateway
        self._stack = stack

    @property
    def size(self) -> int:
        """How many bytes have been written."""
        return self.blob.bytes

    @property
    def sha256(self) -> str | None:
        return self.blob.sha256

    def add(self, request: Any, *, index: int) -> None:
        """Write one request as a line. Raises InvalidRequestError (with the field), PayloadTooLargeError."""
        settings = self._gateway.settings
        if settings.max_batch_lines and index >= settings.max_batch_lines:
            raise InvalidRequestError(
                f"requests: a batch has at most {settings.max_batch_lines} lines.", param=REQUESTS
            )
        form = _form(request, index)
        if self._form not in (None, form):
            raise _wrong(index, f".{form}", f"the requests before it have {self._form}: send all of them in one form.")
        self._form = form
        line = _line(request, form, index)
        self._note_url(line["url"], index)
        data = _dumps(line, index)
        if len(data) + (ENDPOINT_ROOM if line["url"] is None else 0) > settings.max_line_bytes:
            raise _wrong(index, "", f"is longer than {settings.max_line_bytes} bytes.")
        if self.blob.bytes + len(data) > settings.max_file_bytes:
            raise PayloadTooLargeError(
                f"requests: a batch input has at most {settings.max_file_bytes} bytes.", param=REQUESTS
            )
        self.blob.write(data)
        self.lines += 1

    def copy(self, data: bytes) -> None:
        """Write an existing line of a batch input unchanged."""
        self.blob.write(data.rstrip(b"\r\n") + b"\n")
        self.lines += 1

    def check_urls(self, endpoint: str) -> None:
        """Raises InvalidRequestError unless every request that has a url has `endpoint`."""
        at = self._other_url_at if self.endpoint in (None, endpoint) else self._first_url_at
        if at is not None and self._form == PARAMS:
            raise _wrong(
                at, ".params", f"this form is for {MESSAGES_ENDPOINT}, but the endpoint of the batch is {endpoint}."
            )
        if at is not None:
            raise _wrong(at, ".url", f"must be the endpoint of the batch, {endpoint}, as all requests of a batch.")

    def seal(self, endpoint: str) -> None:
        """Make the lines durable, after filling in `endpoint` where a request has no url."""
        self.blob.seal()
        if self._lacks_url:
            self._rewrite(endpoint)

    def _note_url(self, url: str | None, index: int) -> None:
        if url is None:
            self._lacks_url = True
        elif self.endpoint is None:
            self.endpoint, self._first_url_at = url, index
        elif url != self.endpoint and self._other_url_at is None:
            self._other_url_at = index

    def _rewrite(self, endpoint: str) -> None:
        # `endpoint` may follow the requests in the body: the lines are written by then.
        draft = self.blob
        self.blob = self._stack.enter_context(_incoming(self._gateway))
        stream = self._gateway.blobs.stream(draft.key)
        for text in jsonl.lines(stream, max_line_bytes=self._gateway.settings.max_line_bytes):
            line = json.loads(text.data or b"")
            line["url"] = line["url"] or endpoint
            self.blob.write(json.dumps_line(line))
        self.blob.seal()
        draft.abort()


@dataclass(slots=True)
class Body:
    """The members of the body except `requests`, and the input made from those, if there were any."""

    members: dict[str, Any] = field(default_factory=dict)
    inline: InlineInput | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """A small value that differs between different bodies."""
        return {**self.members, REQUESTS: None if self.inline is None else self.inline.sha256}


@contextmanager
def reading(gateway: Gateway, source: Source, *, each: Callable[[Any, int], Any] | None = None) -> Iterator[Body]:
    """Read the whole body of POST /batches. If the block ends with an exception, the bytes are deleted.

    `each` checks a request, whose index it gets, by the rules of a face, and returns it as it is to be.
    Raises InvalidRequestError, naming `requests[3].custom_id` and the like, or PayloadTooLargeError.
    """
    limits = {"element_bytes": gateway.settings.max_line_bytes, "other_bytes": gateway.settings.max_json_bytes}
    with ExitStack() as stack:
        body = Body()
        try:
            for member in members(source, array=REQUESTS, **limits):
                if each is not None and member.name == REQUESTS and member.index is not None:
                    member = replace(member, value=each(member.value, member.index))
                _take(gateway, body, member, stack)
        except JsonStreamError as error:
            raise _refusal(error) from error
        if body.inline is not None and body.inline.lines == 0:
            raise InvalidRequestError("requests must hold at least one request.", param=REQUESTS)
        yield body


@contextmanager
def writing(gateway: Gateway) -> Iterator[InlineInput]:
    """An input that the gateway itself fills. If the block ends with an exception, the bytes are deleted."""
    with ExitStack() as stack:
        yield InlineInput(gateway, stack.enter_context(_incoming(gateway)), stack)


def _incoming(gateway: Gateway) -> AbstractContextManager[IncomingBlob]:
    index = LineIndex(max_lines=gateway.settings.max_input_lines)
    return incoming(gateway, spares_reserve=True, index=index)


def _take(gateway: Gateway, body: Body, member: Member, stack: ExitStack) -> None:
    if member.name != REQUESTS:
        body.members[member.name] = member.value
    elif member.index is not None:
        if body.inline is not None:
            body.inline.add(member.value, index=member.index)
    elif isinstance(member.value, list):
        body.inline = InlineInput(gateway, stack.enter_context(_incoming(gateway)), stack)
    elif member.value is not None:
        raise InvalidRequestError("requests must be an array of requests.", param=REQUESTS)


def _form(request: Any, index: int) -> str:
    """The member that has the request itself."""
    if not isinstance(request, dict):
        raise _wrong(index, "", "must be a JSON object.")
    if unknown := sorted(set(request) - MEMBERS):
        known = ", ".join(sorted(MEMBERS))
        raise _wrong(index, f".{unknown[0][:SHOWN_NAME]}", f"is not known here; the known members are {known}.")
    if request.get("body") is not None and request.get(PARAMS) is not None:
        raise _wrong(index, f".{PARAMS}", "send either body (OpenAI's form) or params (Anthropic's), not both.")
    return PARAMS if request.get("body") is None and PARAMS in request else "body"


def _line(request: dict[str, Any], name: str, index: int) -> dict[str, Any]:
    custom_id = request.get("custom_id")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= MAX_CUSTOM_ID or "\0" in custom_id:
        raise _wrong(index, ".custom_id", f"must be a string of 1 to {MAX_CUSTOM_ID} characters without NUL.")
    body = request.get(name)
    if not isinstance(body, dict):
        raise _wrong(index, f".{name}", "must be a JSON object.")
    if (request.get("method") or METHOD) != METHOD:
        raise _wrong(index, ".method", f"must be {METHOD}.")
    url = request.get("url") or (MESSAGES_ENDPOINT if name == PARAMS else None)
    if url is not None and (not isinstance(url, str) or len(url) > URL_LENGTH):
        raise _wrong(index, ".url", f"must be a string of at most {URL_LENGTH} characters.")
    if name == PARAMS and url != MESSAGES_ENDPOINT:
        raise _wrong(index, ".url", f"requests with params are of {MESSAGES_ENDPOINT}; leave it out.")
    return {"custom_id": custom_id, "method": METHOD, "url": None if url is None else endpoint_of(url), "body": body}


def _dumps(line: dict[str, Any], index: int) -> bytes:
    try:
        return json.dumps_line(line)
    except (TypeError, ValueError) as error:
        raise _wrong(index, "", f"cannot be written as JSON: {error}.") from error


def _wrong(index: int, path: str, text: str) -> InvalidRequestError:
    param = f"{REQUESTS}[{index}]{path}"
    return InvalidRequestError(f"{param}: {text}", param=param)


def _refusal(error: JsonStreamError) -> InvalidRequestError | PayloadTooLargeError:
    name = (error.member or "")[:SHOWN_NAME]
    param = name if error.index is None else f"{name}[{error.index}]"
    text = f"{param}: {error.message}" if param else f"The body {error.message}"
    if isinstance(error, PieceTooLargeError) and error.index is None:
        return PayloadTooLargeError(text, param=param or None)
    return InvalidRequestError(text, param=param or None)
