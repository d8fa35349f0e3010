"""One line on its way to a provider and back: from the input file's bytes to a line of the output file."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from app.blobs import BlobReader
from app.connectors.contract.base import Connector, LineAnswer, LineCall
from app.connectors.contract.errors import OverloadedError, UpstreamError, UpstreamTimeoutError
from app.connectors.contract.objects import JobResult, Usage
from app.data.batches import work
from app.engine.outcomes import Faulted, Line, Outcome, Overloaded, Result, Tokens
from app.engine.run import Segment
from app.errors import UnavailableError
from app.lib import ids, json
from app.services.gateway import Gateway
from app.services.lines import dialects, rules
from app.services.lines.output import answered_line, failed_line, line_id
from app.translate.errors import TranslationError

# Twice the most segments that one worker holds: what is in use is never the oldest.
BATCHES_OPEN = 128
FAULT_ATTEMPTS = 5
TIMEOUT_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What all lines of a batch share."""

    id: int
    public_id: str
    endpoint: str
    model_override: str | None
    connector: Connector
    reader: BlobReader


@dataclass(frozen=True, slots=True)
class Request:
    """A line ready to be sent: `body` goes to the endpoint `target`; `asked` is what the caller wrote."""

    line: Line
    facts: BatchFacts
    body: dict[str, Any]
    target: str
    dropped: tuple[str, ...]
    asked: dict[str, Any]


class LineCalls:
    """Prepares and sends lines; keeps the input blobs of recent batches open."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self._batches: OrderedDict[int, BatchFacts] = OrderedDict()

    def prepare(self, segment: Segment, line: Line) -> Request | Result:
        """Read and parse the line. A Result when it may never be sent."""
        facts = self._facts(segment.batch_id)
        data = facts.reader.read(line.offset, line.length)
        if len(data) != line.length:
            raise UnavailableError("The input file is shorter than its index says.")
        body: dict[str, Any] = json.loads(data)["body"]
        owned = rules.owned_id(data, body)
        if owned is not None:
            text = f"{owned} names an object of a provider's account, which this provider cannot look up for you."
            return refused(facts.public_id, line, code="unsupported_id", message=text)
        if facts.model_override is not None:
            body["model"] = facts.model_override
        able = facts.connector.abilities
        target = dialects.spoken(facts.endpoint, able.lines)
        try:
            said = dialects.outgoing(facts.endpoint, target, body, output_limit=able.output_limit)
        except TranslationError as error:
            return untranslatable(facts.public_id, line, error)
        return Request(line, facts, said.body, target, tuple(said.dropped), asked=body)

    def send(self, request: Request, *, timeout_s: float) -> Outcome:
        """One attempt at the provider."""
        gateway, facts, line = self._gateway, request.facts, request.line
        started = gateway.clock.monotonic()
        call = LineCall(
            endpoint=request.target, body=request.body, timeout_s=min(timeout_s, gateway.settings.line_timeout_s)
        )
        try:
            answer = facts.connector.run_line(call)
        except OverloadedError as error:
            return Overloaded(retry_after_s=error.retry_after_s)
        except UpstreamTimeoutError as error:
            result = refused(facts.public_id, line, code="request_timeout", message=error.message)
            return Faulted(most_attempts=TIMEOUT_ATTEMPTS, result=result, cost_unknown=error.sent)
        except UpstreamError as error:
            return Faulted(most_attempts=FAULT_ATTEMPTS, result=_faulted(facts, line, error), cost_unknown=error.sent)
        latency_ms = int((gateway.clock.monotonic() - started) * 1000)
        return _answered(request, answer, latency_ms=latency_ms, now_s=gateway.clock.now_ms() // 1000)

    def broken(self, segment: Segment, line: Line, *, code: str, message: str) -> Result:
        """The end of a line that the gateway itself could not handle."""
        return refused(self._facts(segment.batch_id).public_id, line, code=code, message=message)

    def _facts(self, batch_id: int) -> BatchFacts:
        with self._lock:
            found = self._batches.get(batch_id)
            if found is not None:
                self._batches.move_to_end(batch_id)
                return found
            found = self._batches[batch_id] = self._load(batch_id)
            if len(self._batches) > BATCHES_OPEN:
                self._batches.popitem(last=False)[1].reader.close()
            return found

    def _load(self, batch_id: int) -> BatchFacts:
        with self._gateway.database.read() as connection:
            row = work.facts(connection, batch_id)
        account = self._gateway.accounts.by_id(row.account_id)
        if account is None or row.input_key is None:
            raise UnavailableError("The account or the input file of the batch is gone.")
        return BatchFacts(
            id=batch_id,
            public_id=row.public_id,
            endpoint=row.endpoint,
            model_override=row.model_override,
            connector=account.connector,
            reader=self._gateway.blobs.open_read(row.input_key),
        )


def refused(batch: str, line: Line, *, code: str, message: str) -> Result:
    """A line that ends without an answer."""
    data = failed_line(batch, line.number, line.custom_id, code=code, message=message)
    return Result(line=line, succeeded=False, data=data, error_code=code)


def untranslatable(batch: str, line: Line, error: TranslationError) -> Result:
    """A line that its provider's dialect cannot express: refused as a provider would, and never sent."""
    body = dialects.refusal(error)
    own_id = line_id(batch, line.number)
    data = answered_line(batch, line.number, line.custom_id, status_code=400, request_id=own_id, body=body)
    return Result(line=line, succeeded=False, data=data, status_code=400, error_code=error_code(body))


def _answered(request: Request, answer: LineAnswer, *, latency_ms: int, now_s: int) -> Result:
    facts, line = request.facts, request.line
    own_id = line_id(facts.public_id, line.number)
    said = dialects.incoming(
        JobResult(line.custom_id, answer.status_code, body=answer.body, answer=answer.answer),
        endpoint=facts.endpoint,
        target=request.target,
        request=lambda: request.asked,
        answer_id=own_id.removeprefix(ids.LINE),
        model=str(request.asked.get("model") or ""),
        now_s=now_s,
    )
    if said.status_code is None:
        ended = refused(facts.public_id, line, code=said.error_code or dialects.BAD_ANSWER, message=said.message)
        return replace(ended, tokens=tokens(answer.usage))
    data = answered_line(
        facts.public_id,
        line.number,
        line.custom_id,
        status_code=answer.status_code,
        # Servers that give their requests no id leave this one, which finds the line.
        request_id=answer.request_id or own_id,
        body=said.body,
    )
    succeeded = 200 <= answer.status_code < 300
    return Result(
        line=line,
        succeeded=succeeded,
        data=data,
        status_code=answer.status_code,
        error_code=None if succeeded else error_code(answer.body),
        latency_ms=latency_ms,
        tokens=tokens(answer.usage),
        dropped=(*request.dropped, *answer.dropped),
    )


def _faulted(facts: BatchFacts, line: Line, error: UpstreamError) -> Result:
    if error.status is None or error.status < 500:
        return refused(facts.public_id, line, code=error.code, message=error.message)
    told = {"message": error.message, "type": "server_error", "param": None, "code": error.code}
    data = answered_line(
        facts.public_id,
        line.number,
        line.custom_id,
        status_code=error.status,
        request_id=error.request_id,
        body=json.dumps({"error": told}),
    )
    return Result(line=line, succeeded=False, data=data, status_code=error.status, error_code=error.code)


def error_code(body: bytes) -> str:
    """The code that an error answer tells, or its type."""
    value = json.loads(body)
    error = value.get("error") if isinstance(value, dict) else None
    code = (error.get("code") or error.get("type")) if isinstance(error, dict) else None
    return str(code or "provider_error")[:128]


def tokens(usage: Usage) -> Tokens:
    """`usage` in the engine's words."""
    return Tokens(
        input=usage.input_tokens,
        cached=usage.cached_tokens,
        output=usage.output_tokens,
        reasoning=usage.reasoning_tokens,
        total=usage.total_tokens,
    )
