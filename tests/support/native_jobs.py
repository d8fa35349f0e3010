"""What tests of connectors share: a target, one input for every provider, and what has to come of it."""

import re

import orjson

from app.connectors.catalogue import registry
from app.connectors.contract.base import Target
from app.connectors.contract.objects import JobLine, NewFile, NewJob, Payload
from tests.fakes.openai_app import OpenAIApp, Refusal

CHAT = "/v1/chat/completions"
LINES = 40
EVERY = 17
REFUSAL = {
    "error": {"message": "The prompt was refused.", "type": "invalid_request_error", "param": None, "code": None}
}


def target(provider, url, *, key="sk-canary-secret", **fields):
    """An account of `provider` at a fake."""
    return Target(
        provider,
        url,
        credential=key,
        abilities=registry.abilities(provider),
        call_timeout_s=5.0,
        retry_pause_s=0.001,
        **fields,
    )


def payload(data):
    """`data` in chunks, as a store gives it."""
    return Payload(len(data), lambda: (data[at : at + 1000] for at in range(0, len(data), 1000)))


def new_file(data, *, filename="input.jsonl", purpose="batch", **fields):
    """A file to be made."""
    return NewFile(filename, purpose, payload(data), **fields)


def job_lines(model, *, count=LINES, endpoint=CHAT):
    """Lines of which every 17th is refused."""
    for number in range(1, count + 1):
        text = "please refuse-this" if number % EVERY == 0 else f"Question {number}?"
        body = {"model": "asked-for", "messages": [{"role": "user", "content": text}], "max_tokens": 50}
        yield JobLine(f"line-{number}", endpoint, model, body)


def encoded(connector, lines):
    """The lines in the dialect of the connector's jobs."""
    return b"".join(connector.encode_line(line).data for line in lines)


def new_job(model, *, lines, marker="bg-marker-1", endpoint=CHAT, **fields):
    """A job to be made."""
    return NewJob(endpoint=endpoint, model=model, window="24h", marker=marker, lines=lines, **fields)


def plain(results):
    """Results by custom_id without what differs between providers: ids, models, times."""
    found = {}
    for result in results:
        assert result.custom_id not in found
        body = orjson.loads(result.body) if result.body else None
        for name in ("id", "model", "created"):
            if body:
                body.pop(name, None)
        found[result.custom_id] = (result.status_code, body, result.error_code)
    return found


def wanted(*, count=LINES):
    """What has to come of `job_lines`, by the model that all fakes share."""
    model, found = OpenAIApp(models=()), {}
    for line in job_lines("any", count=count):
        try:
            body = model.routes[CHAT](dict(line.body))
        except Refusal as refusal:
            found[line.custom_id] = (refusal.status, refusal.body, None)
        else:
            found[line.custom_id] = (
                200,
                {name: body[name] for name in body if name not in ("id", "model", "created")},
                None,
            )
    assert sum(1 for status, _, _ in found.values() if status == 400) == count // EVERY
    assert all(body == REFUSAL for status, body, _ in found.values() if status == 400)
    return found


def until_over(connector, job, *, looks=10):
    """The job as it is when it is over."""
    for _ in range(looks):
        if job.status in ("completed", "failed", "expired", "cancelled"):
            return job
        job = connector.retrieve_job(job.id)
    raise AssertionError(f"{job} is not over")


def secrets_in(error, key="sk-canary-secret"):
    """Where a credential shows in an error."""
    return re.findall(re.escape(key), f"{error!r} {error} {error.body!r} {error.__cause__!r}")
