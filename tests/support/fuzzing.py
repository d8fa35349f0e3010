"""Runs batches on answers and lines that were mutated, step by step in the test's own thread."""

from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

import orjson
from sqlalchemy import select, update

from app.connectors.contract.base import always_room
from app.data.tables import batch_jobs, batch_lines, batches
from app.engine.outcomes import Faulted, Result
from app.services.gateway import Gateway
from app.services.lines import rules
from app.services.lines.rules import Finding
from app.services.running.work import BatchWork
from tests.support.batches import CHAT, chat_line
from tests.support.messages import MESSAGES, WEATHER, message_line
from tests.support.mutations import mutant, mutated
from tests.support.working import step

EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Mutant:
    """A WSGI app whose good answers are mutated with a probability; `on` says of which requests."""

    def __init__(self, app: Any, random: Random, *, share: float, on: Callable[[dict[str, Any]], bool]) -> None:
        self.app = app
        self.random = random
        self.share = share
        self.on = on
        self.count = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        head: list[Any] = []
        body = b"".join(self.app(environ, lambda *words: head.append(words)))
        status, headers = head[0][:2]
        if self.on(environ) and self.random.random() < self.share:
            self.count += 1
            body = mutant(self.random, body)
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
            headers.append(("Content-Length", str(len(body))))
            status = self.random.choice((status, status, status, "400 Bad", "422 Bad", "500 Bad"))
        start_response(status, headers)
        return [body]


class Sturdy:
    """A WSGI app that answers 400 where `app`, a fake that knows sane clients, raises."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        head: list[Any] = []
        try:
            body = b"".join(self.app(environ, lambda *words: head.append(words)))
        except Exception as error:  # noqa: BLE001
            body = orjson.dumps({"error": {"message": f"What is that? {type(error).__name__}", "type": "odd"}})
            head = [("400 Bad", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])]
        start_response(*head[0][:2])
        return [body]


def samples(endpoint: str) -> list[dict[str, Any]]:
    """Good lines of an endpoint, which use much of it."""
    if endpoint == MESSAGES:
        full = message_line("m", "how are you", system="Be brief.", tools=[WEATHER], metadata={"user_id": "u"})
        return [message_line("m"), full]
    if endpoint == EMBEDDINGS:
        return [line(endpoint, {"model": "m", "input": value}) for value in ("text", ["one", "two"])]
    if endpoint == RESPONSES:
        asked = [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
        return [line(endpoint, {"model": "m", "input": value, "max_output_tokens": 5}) for value in ("hello", asked)]
    image = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    full = chat_line("c", n=1, stop=["."], tools=[tool], response_format={"type": "json_object"}, temperature=0.5)
    called = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": image},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ]
    return [chat_line("c"), full, chat_line("c", messages=turns, max_tokens=5)]


def line(endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    """A line of any endpoint."""
    return {"custom_id": "x", "method": "POST", "url": endpoint, "body": body}


def good_lines(endpoint: str, count: int) -> bytes:
    """A batch input of good lines."""
    lines = samples(endpoint)
    return b"".join(orjson.dumps({**lines[n % len(lines)], "custom_id": f"c{n}"}) + b"\n" for n in range(count))


def mutated_lines(random: Random, endpoint: str, count: int) -> tuple[bytes, list[Finding]]:
    """A batch input of `count` mutated lines that are valid each by itself, and what is wrong with others."""
    kept: list[bytes] = []
    findings: list[Finding] = []
    seen: set[str] = set()
    while len(kept) < count:
        sample = random.choice(samples(endpoint))
        data = orjson.dumps(mutated(random, sample)) if random.random() < 0.8 else mutant(random, orjson.dumps(sample))
        data = data.replace(b"\n", b" ").replace(b"\r", b" ")
        facts = rules.read(data, number=len(kept) + 1, max_line_bytes=10**6)
        if not isinstance(facts, Finding):
            facts = rules.fits(facts, number=1, endpoint=endpoint, model="m", override=None) or facts
        if isinstance(facts, Finding):
            findings.append(facts)
            continue
        custom_id = facts.custom_id if facts.custom_id not in seen else f"c{len(kept)}"
        if custom_id != facts.custom_id:
            data = orjson.dumps({**orjson.loads(data), "custom_id": custom_id})
        seen.add(custom_id)
        kept.append(data)
    return b"\n".join(kept), findings


def run_all(gateway: Gateway, *, flush_lines: int = 16) -> Iterator[Result]:
    """Plan and run what waits for the gateway, one line after another, each attempted once; yields the results."""
    work = BatchWork(gateway, worker="fuzz")
    while step(work):
        pass
    while found := work.claim(skip=()):
        segment, held = found[1], []
        for each in segment.lines:
            request = work.prepare(segment, each)
            outcome = request if isinstance(request, Result) else work.send(request, timeout_s=20, room=always_room)
            # An overload would wait: what it says is not part of a result.
            held.append(outcome.result if isinstance(outcome, Faulted) else outcome)
            if len(held) == flush_lines or each is segment.lines[-1]:
                results = [result for result in held if isinstance(result, Result)]
                assert work.flush(segment, results, (), last=each is segment.lines[-1])
                yield from results
                held = []
        work.release(segment)


def run_jobs(gateway: Gateway, *, most_steps: int = 400) -> None:
    """Plan what waits for providers and take each step of its jobs as soon as the one before it is done."""
    work = BatchWork(gateway, worker="fuzz")
    while step(work):
        pass
    for _ in range(most_steps):
        with gateway.database.write() as connection:
            connection.execute(update(batch_jobs).where(batch_jobs.c.state != "done").values(next_at=1))
        if not work.job():
            break
    while step(work):
        pass


def pending(gateway: Gateway) -> list[tuple[Any, ...]]:
    """Lines of batches that are not over, and jobs that are not done."""
    over = ("completed", "failed", "expired", "cancelled")
    with gateway.database.read() as connection:
        open_batches = select(batches.c.id).where(batches.c.status.not_in(over))
        columns = (batch_lines.c.batch_id, batch_lines.c.line, batch_lines.c.state)
        lines = connection.execute(select(*columns).where(batch_lines.c.batch_id.in_(open_batches)).limit(5)).all()
        states = (batch_jobs.c.state, batch_jobs.c.status, batch_jobs.c.last_error)
        jobs = connection.execute(select(*states).where(batch_jobs.c.state != "done").limit(5)).all()
    return [tuple(row) for row in (*lines, *jobs)]


__all__ = ["CHAT", "EMBEDDINGS", "MESSAGES", "RESPONSES", "Mutant", "good_lines", "mutated_lines", "pending", "run_all"]
