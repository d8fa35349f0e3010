"""Sending one line: from the bytes of the input file to a line of the output file."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from app.connectors.contract.base import Connector, LineAnswer, LineCall
from app.connectors.contract.errors import (
    AnswerTooLargeError,
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamTimeoutError,
)
from app.connectors.contract.objects import JobResult, Usage
from app.connectors.contract.refusals import Kind
from app.data.batches import work
from app.data.batches.work import BatchFacts
from app.engine.outcomes import BAD_ANSWER, Faulted, Line, NotReady, Outcome, Overloaded, Result, Tokens, Words
from app.engine.patience import ACCOUNT_KINDS
from app.engine.run import Segment
from app.errors import UnavailableError
from app.lib import bounds, ids, json
from app.lib.threads import cuts
from app.lib.threads.cuts import Cut
from app.services.accounts.load import Account
from app.services.gateway import Gateway
from app.services.lines import dialects, file_refs, line_tokens, rules
from app.services.lines.file_refs import Reference
from app.services.lines.output import answered_line, failed_line, line_id
from app.services.lines.read_ahead import ReadAhead
from app.services.money import charge
from app.services.provider_errors import is_credential
from app.translate.errors import TranslationError

# Twice as many as the segments that one worker holds: a batch in use is never the oldest.
MAX_OPEN_BATCHES = 128
MAX_FAULT_ATTEMPTS = 5
MAX_TIMEOUT_ATTEMPTS = 3
CREDENTIAL_CODE = "account_refused"
CREDENTIAL_MESSAGE = "The provider refuses the gateway's account. Ask the operator of the gateway to mend it."
FILE_REFUSED = "file_refused"
NOT_READY_S = 1.0
MAX_CODE = 128
MAX_WORDS = 500


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """What all lines of a batch share; its input is open for reading."""

    id: int
    public_id: str
    endpoint: str
    model_override: str | None
    account_id: int
    reader: ReadAhead
    files: "FilesOfLines"


@dataclass(frozen=True, slots=True)
class Request:
    """A line ready to be sent: `body` goes to the endpoint `target`; `original` is the body that the caller wrote.

    `connector` is the account's as it is now, in its `version`: a new key or URL reaches the next line of a running
    batch. A line whose `references` name files has to be filled with them first; `file_tokens` are then the most that
    these have.
    """

    line: Line
    batch: OpenBatch
    connector: Connector = field(repr=False)
    body: dict[str, Any]
    target: str
    dropped: tuple[str, ...]
    original: dict[str, Any]
    references: tuple[Reference, ...] = ()
    file_tokens: int = 0
    version: int = 0


class FilesOfLines(Protocol):
    """The files that lines of a batch name."""

    def filled(
        self,
        account: Account,
        body: Mapping[str, Any],
        references: Sequence[Reference],
        *,
        room: Callable[[int], bool],
    ) -> tuple[dict[str, Any], list[str]]:
        """(the body with the files, or their native ids, in the places of references; these native ids).

        Raises NotReadyError, TranslationError for a line that cannot be sent, and UpstreamError.
        """
        ...

    def tokens(self, references: Sequence[Reference]) -> int:
        """The most tokens of the files that a line names."""
        ...


class NotReadyError(Exception):
    """A file that the line names cannot be sent yet: retry later."""


class LineCalls:
    """Prepares and sends lines; keeps the input blobs of recent batches open. `files` makes what knows their files."""

    def __init__(self, gateway: Gateway, files: Callable[[BatchFacts], FilesOfLines]) -> None:
        self._gateway = gateway
        self._files = files
        self._lock = threading.Lock()
        self._batches: OrderedDict[int, OpenBatch] = OrderedDict()

    def prepare(self, segment: Segment, line: Line) -> Request | Result:
        """Read and parse the line. Returns a Result when it can never be sent."""
        batch = self._batch(segment.batch_id)
        account = self._account(batch.account_id)
        data = batch.reader.read(line.offset, line.length)
        if len(data) != line.length:
            raise UnavailableError("The input file is shorter than its line index.")
        body: dict[str, Any] = rules.body_of(json.loads(data))
        references, owned = file_refs.named_in(batch.endpoint, body)
        if owned is not None:
            text = f"{owned} names an object in a provider's account; batch lines may not refer to such objects."
            return refused(batch.public_id, line, code="unsupported_id", message=text)
        if batch.model_override is not None:
            body["model"] = batch.model_override
        if references:
            return Request(
                line, batch, account.connector, body, "", (), body, tuple(references), version=account.version
            )
        return _ready(line, batch, account, body, original=body)

    def fill(self, request: Request, *, borrow: Callable[[int], bool]) -> Request | Outcome:
        """The request with the files that it names, or what keeps it from being sent. `borrow` is asked for memory."""
        batch, line = request.batch, request.line
        account = self._account(batch.account_id)
        try:
            body, _ = batch.files.filled(account, request.body, request.references, room=borrow)
            file_tokens = batch.files.tokens(request.references)
        except NotReadyError as error:
            return NotReady(NOT_READY_S, Words(code="file_not_ready", message=str(error)))
        except TranslationError as error:
            return untranslatable(batch.public_id, line, error)
        except RefusedError as error:
            if is_credential(error):
                error.kind = Kind.CREDENTIAL
            if error.kind in ACCOUNT_KINDS:
                return _failed(batch, line, error, version=account.version)
            text = f"The provider refused a file that this line names: {error.message}"
            return refused(batch.public_id, line, code=FILE_REFUSED, message=text)
        except UpstreamError as error:
            outcome = _failed(batch, line, error, version=account.version)
            return replace(outcome, cost_unknown=False) if isinstance(outcome, Faulted) else outcome
        ready = _ready(line, batch, account, body, original=request.original)
        if not isinstance(ready, Request):
            return ready
        return replace(ready, file_tokens=file_tokens)

    def send(
        self, request: Request, *, timeout_s: float, room: Callable[[int, float], bool], cut: Cut | None = None
    ) -> Outcome:
        """One attempt at the provider, which `cut` may end.

        `room` is asked for the bytes of a large answer before they are read.
        """
        gateway, batch, line = self._gateway, request.batch, request.line
        started = gateway.clock.monotonic()
        call = LineCall(
            endpoint=request.target,
            body=request.body,
            timeout_s=min(timeout_s, gateway.settings.line_timeout_s),
            room=room,
        )
        try:
            with cuts.watched(cut):
                answer = request.connector.run_line(call)
        except UpstreamError as error:
            outcome = _failed(batch, line, error, version=request.version)
            if error.sent and isinstance(outcome, Faulted):
                return replace(outcome, most=self._most(request))
            return outcome
        latency_ms = int((gateway.clock.monotonic() - started) * 1000)
        result, body = _answered(request, answer, latency_ms=latency_ms, now_s=gateway.clock.now_ms() // 1000)
        if charge.is_charged(result) and not line_tokens.is_told(result.tokens, batch.endpoint, body):
            return replace(result, most=self._most(request))
        return result

    def _most(self, request: Request) -> Tokens:
        default = self._gateway.settings.default_output_tokens
        endpoint, of_files = request.batch.endpoint, request.file_tokens
        return line_tokens.most_of(request.original, endpoint, default_output=default, of_files=of_files)

    def broken(self, segment: Segment, line: Line, *, code: str, message: str) -> Result:
        """The result of a line that the gateway itself failed to process."""
        return refused(self._batch(segment.batch_id).public_id, line, code=code, message=message)

    def given_up(self, segment: Segment, line: Line, words: Words) -> Result:
        """The result of a line that was not sent, since its provider refused all others for too long."""
        own = words.kind == Kind.CREDENTIAL
        said, code = (CREDENTIAL_MESSAGE, CREDENTIAL_CODE) if own else (words.message, words.code or "overloaded")
        text = f"The provider refused all requests for too long, so this one was not sent: {said}"
        return refused(self._batch(segment.batch_id).public_id, line, code=code, message=text)

    def _batch(self, batch_id: int) -> OpenBatch:
        with self._lock:
            batch = self._batches.get(batch_id)
            if batch is not None:
                self._batches.move_to_end(batch_id)
                return batch
            batch = self._batches[batch_id] = self._load(batch_id)
            if len(self._batches) > MAX_OPEN_BATCHES:
                self._batches.popitem(last=False)[1].reader.close()
            return batch

    def _load(self, batch_id: int) -> OpenBatch:
        with self._gateway.database.read() as connection:
            row = work.facts(connection, batch_id)
        if row.input_key is None:
            raise UnavailableError("The input file of the batch has been deleted.")
        return OpenBatch(
            id=batch_id,
            public_id=row.public_id,
            endpoint=row.endpoint,
            model_override=row.model_override,
            account_id=row.account_id,
            reader=ReadAhead(self._gateway.blobs.open_read(row.input_key)),
            files=self._files(row),
        )

    def _account(self, account_id: int) -> Account:
        account = self._gateway.accounts.by_id(account_id)
        if account is None:
            raise UnavailableError("The account of the batch cannot be used; the log says why (account.unusable).")
        return account


def _ready(
    line: Line, batch: OpenBatch, account: Account, body: dict[str, Any], *, original: dict[str, Any]
) -> Request | Result:
    """The request in the dialect of the account, and with its name of the model."""
    abilities = account.abilities
    target = dialects.spoken(batch.endpoint, abilities.lines)
    try:
        written = dialects.outgoing(batch.endpoint, target, body, output_limit=abilities.output_limit)
    except TranslationError as error:
        return untranslatable(batch.public_id, line, error)
    sent = _renamed(written.body, account)
    dropped = tuple(written.dropped)
    return Request(line, batch, account.connector, sent, target, dropped, original, version=account.version)


def _failed(batch: OpenBatch, line: Line, error: UpstreamError, *, version: int) -> Outcome:
    """What an error of the provider means for a line that was sent with the account of this version."""
    words = replace(_words(error), version=version)
    if isinstance(error, OverloadedError):
        return Overloaded(error.retry_after_s, _faulted(batch, line, error), words)
    if isinstance(error, UpstreamTimeoutError):
        result = refused(batch.public_id, line, code="request_timeout", message=error.message)
        words = Words("timeout", None, "request_timeout", _plain(error.message, MAX_WORDS))
        return Faulted(MAX_TIMEOUT_ATTEMPTS, result, cost_unknown=error.sent, words=words)
    if error.kind in ACCOUNT_KINDS:  # no token for the account, so that nothing was sent
        return Overloaded(error.retry_after_s, _faulted(batch, line, error), words)
    again = not isinstance(error, AnswerTooLargeError)
    return Faulted(
        max_attempts=MAX_FAULT_ATTEMPTS if again else 1,
        result=_faulted(batch, line, error),
        cost_unknown=error.sent,
        words=words,
    )


def _renamed(body: dict[str, Any], account: Account) -> dict[str, Any]:
    """`body` with the account's own name of its model."""
    model = body.get("model")
    native = account.native_model(model) if isinstance(model, str) else model
    return body if native == model else {**body, "model": native}


def refused(batch: str, line: Line, *, code: str, message: str) -> Result:
    """The result of a line that ends without an answer."""
    code, message = bounds.word(code, "code"), bounds.text(message, "message")
    data = failed_line(batch, line.number, line.custom_id, code=code, message=message)
    return Result(line=line, succeeded=False, data=data, error_code=code)


def untranslatable(batch: str, line: Line, error: TranslationError) -> Result:
    """The result of a line that its provider's dialect cannot express: a 400 as from a provider; it is never sent."""
    body = dialects.refusal(error)
    own_id = line_id(batch, line.number)
    data = answered_line(batch, line.number, line.custom_id, status_code=400, request_id=own_id, body=body)
    code = error_code(body)
    return Result(line, succeeded=False, data=data, status_code=400, error_code=code, refused_param=error.param)


def _answered(request: Request, answer: LineAnswer, *, latency_ms: int, now_s: int) -> tuple[Result, bytes]:
    """The result, and the answer in the dialect of the line; without one if it cannot be read."""
    batch, line, status_code = request.batch, request.line, answer.status_code
    own_id, body = line_id(batch.public_id, line.number), answer.body
    succeeded = 200 <= status_code < 300
    if succeeded and (answer.answer is not None or dialects.needs_reading(body, batch.endpoint, request.target)):
        translated = _translated(request, answer, own_id, now_s)
        if translated.status_code is None:
            code = translated.error_code or BAD_ANSWER
            ended = refused(batch.public_id, line, code=code, message=translated.message)
            return replace(ended, tokens=tokens(answer.usage)), b"{}"
        body = translated.body
    data = answered_line(
        batch.public_id,
        line.number,
        line.custom_id,
        status_code=status_code,
        # Some servers give their requests no id; this one at least identifies the line.
        request_id=bounds.word(answer.request_id, "request_id") or own_id,
        body=body,
    )
    result = Result(
        line=line,
        succeeded=succeeded,
        data=data,
        status_code=status_code,
        error_code=None if succeeded else error_code(answer.body),
        latency_ms=latency_ms,
        tokens=tokens(answer.usage),
        dropped=(*request.dropped, *answer.dropped),
    )
    return result, body


def _translated(request: Request, answer: LineAnswer, own_id: str, now_s: int) -> JobResult:
    return dialects.incoming(
        JobResult(request.line.custom_id, answer.status_code, body=answer.body, answer=answer.answer),
        endpoint=request.batch.endpoint,
        target=request.target,
        request=lambda: request.original,
        answer_id=own_id.removeprefix(ids.LINE),
        model=str(request.original.get("model") or ""),
        now_s=now_s,
    )


def _faulted(batch: OpenBatch, line: Line, error: UpstreamError) -> Result:
    if error.kind is Kind.CREDENTIAL:
        # The provider's words are about the operator's key, which is no tenant's business.
        return refused(batch.public_id, line, code=CREDENTIAL_CODE, message=CREDENTIAL_MESSAGE)
    if error.status is None or error.status < 400:
        return refused(batch.public_id, line, code=error.code, message=error.message)
    kind = error.error_type or "server_error"
    value = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    data = answered_line(
        batch.public_id,
        line.number,
        line.custom_id,
        status_code=error.status,
        request_id=error.request_id,
        body=json.dumps({"error": value}),
    )
    return Result(line=line, succeeded=False, data=data, status_code=error.status, error_code=error.code)


def _words(error: UpstreamError) -> Words:
    return Words(
        str(error.kind or "busy"), error.status, _plain(error.code, MAX_CODE), _plain(error.message, MAX_WORDS)
    )


def _plain(text: str, size: int) -> str:
    """`text` as every database takes it, and as short as its column."""
    return text[:size].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def error_code(body: bytes) -> str:
    """The code of an error response, else its type."""
    value = json.loads(body)
    error = value.get("error") if isinstance(value, dict) else None
    code = (error.get("code") or error.get("type")) if isinstance(error, dict) else None
    return bounds.word(code or "provider_error", "code")


def tokens(usage: Usage) -> Tokens:
    """`usage` as the engine counts it."""
    return Tokens(
        input=usage.input_tokens,
        cached=usage.cached_tokens,
        output=usage.output_tokens,
        reasoning=usage.reasoning_tokens,
        total=usage.total_tokens,
    )
