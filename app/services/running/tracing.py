"""Spans of what a worker does with batches: segments, and the lines in them by OpenTelemetry's conventions for AI."""

import threading
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from app.connectors.catalogue import registry
from app.connectors.catalogue.declarations import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES
from app.data.batches import job_facts
from app.data.batches.jobs import JobLease
from app.engine.outcomes import NotReady, Outcome, Result
from app.engine.run import Segment
from app.lib.traces.spans import CLIENT, Attribute, Span
from app.services.gateway import Gateway
from app.services.lines.send import Request

# `gen_ai.operation.name` of endpoints; of others it is the last part of the path.
OPERATIONS = {
    CHAT: "chat",
    RESPONSES: "chat",
    MESSAGES: "chat",
    EMBEDDINGS: "embeddings",
    COMPLETIONS: "text_completion",
}


class WorkerSpans:
    """The segments that this worker holds, and spans of them and of their lines. Used only where traces are on."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self._held: dict[int, tuple[Segment, float]] = {}

    def claimed(self, segment: Segment) -> None:
        """A segment begins."""
        with self._lock:
            self._held[segment.id] = (segment, self._gateway.clock.monotonic())

    def released(self, segment: Segment) -> None:
        """It ends: all of its lines, or what this worker could do."""
        with self._lock:
            _, began = self._held.pop(segment.id, (segment, self._gateway.clock.monotonic()))
        attributes: dict[str, Attribute] = {"batchgate.lines": len(segment.lines), "batchgate.account": segment.account}
        elapsed_s = self._gateway.clock.monotonic() - began
        self._gateway.traces.add(Span(segment.batch, "segment", elapsed_s, own=_name(segment), attributes=attributes))

    def lost(self, segment_ids: set[int]) -> None:
        """Another worker has these."""
        with self._lock:
            for segment_id in segment_ids:
                self._held.pop(segment_id, None)

    def sent(self, request: Request, outcome: Outcome, *, elapsed_s: float) -> None:
        """One attempt at a line."""
        batch, line = request.batch, request.line
        account = self._gateway.accounts.by_id(batch.account_id)
        operation = OPERATIONS.get(batch.endpoint) or batch.endpoint.rpartition("/")[2]
        model = str(request.body.get("model", ""))
        attributes: dict[str, Attribute] = {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": model,
            "batchgate.line": line.number,
            "batchgate.attempt": line.attempts + 1,
        }
        if account is not None:
            attributes["gen_ai.provider.name"] = registry.traced_as(account.provider)
            attributes["batchgate.account"] = account.label
        attributes |= _of_outcome(outcome)
        name, error = f"{operation} {model}".strip(), str(attributes.get("error.type", ""))
        span = Span(batch.public_id, name, elapsed_s, kind=CLIENT, attributes=attributes, error=error)
        self._gateway.traces.add(self._placed(span, batch.id, line.number))

    def stepped(self, lease: JobLease, step: str, *, elapsed_s: float) -> None:
        """One step of a job that a provider runs."""
        try:
            with self._gateway.database.read() as connection:
                facts = job_facts.find(connection, lease.id)
        except SQLAlchemyError:
            return  # the step itself has met it, or the next one will
        attributes: dict[str, Attribute] = {
            "gen_ai.provider.name": registry.traced_as(facts.provider),
            "batchgate.job": facts.number,
        }
        span = Span(facts.public_id, f"job {step}", elapsed_s, kind=CLIENT, attributes=attributes)
        self._gateway.traces.add(span)

    def _placed(self, span: Span, batch_id: int, number: int) -> Span:
        with self._lock:
            held = [segment for segment, _ in self._held.values() if segment.batch_id == batch_id]
        for segment in held:
            if segment.lines and segment.lines[0].number <= number <= segment.lines[-1].number:
                return replace(span, parent=_name(segment))
        return span


def _name(segment: Segment) -> str:
    return f"segment {segment.id} {segment.epoch}"


def _of_outcome(outcome: Outcome) -> dict[str, Attribute]:
    if isinstance(outcome, NotReady):
        return {"error.type": "not_ready"}
    if not isinstance(outcome, Result):
        words = outcome.words
        status: dict[str, Attribute] = (
            {} if words.status_code is None else {"http.response.status_code": words.status_code}
        )
        return {**status, "error.type": words.code or str(words.kind)}
    found: dict[str, Attribute] = {}
    if outcome.status_code is not None:
        found["http.response.status_code"] = outcome.status_code
    if not outcome.succeeded:
        found["error.type"] = outcome.error_code or str(outcome.status_code or "failed")
    tokens = outcome.tokens
    if tokens.input or tokens.output:
        found["gen_ai.usage.input_tokens"] = tokens.input
        found["gen_ai.usage.output_tokens"] = tokens.output
    if tokens.cached:
        found["gen_ai.usage.cache_read.input_tokens"] = tokens.cached
    if tokens.reasoning:
        found["gen_ai.usage.reasoning.output_tokens"] = tokens.reasoning
    return found
