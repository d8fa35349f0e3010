"""What the tests of OpenAI's family share: an account at a fake, files and jobs there."""

from collections.abc import Iterable
from typing import Any

from app.connectors.catalogue import registry
from app.connectors.contract.base import Connector, Target
from app.connectors.contract.objects import JobLine, JobResult, NativeJob, NewFile, NewJob, Payload
from tests.fakes.openai_quirks import CHAT, RESPONSES

KEY = "sk-very-secret"
MARKER = "bg-marker-1"


def connect(provider: str, base_url: str, *, credential: str = KEY, **options: str) -> Connector:
    """An account as the gateway makes one."""
    entry = registry.find(provider)
    assert entry is not None
    return registry.load(
        Target(
            provider=provider,
            base_url=base_url,
            credential=credential,
            abilities=entry.abilities,
            options={**entry.options, **options},
            call_timeout_s=5.0,
            silence_timeout_s=5.0,
            retry_pause_s=0.001,
        )
    )


def payload(data: bytes) -> Payload:
    """`data` in pieces of a few bytes."""
    return Payload(len(data), lambda: (data[n : n + 1000] for n in range(0, len(data), 1000)))


def new_file(data: bytes, **more: Any) -> NewFile:
    """A batch input."""
    return NewFile(**{"filename": "in.jsonl", "purpose": "batch", "payload": payload(data), **more})


def lines(connector: Connector, texts: Iterable[str], *, endpoint: str = CHAT, model: str = "m-1") -> bytes:
    """The input of a job, in the connector's dialect."""
    return b"".join(
        connector.encode_line(JobLine(f"r-{number}", endpoint, model, _body(endpoint, text))).data
        for number, text in enumerate(texts)
    )


def started(connector: Connector, data: bytes, *, endpoint: str = CHAT, **more: Any) -> NativeJob:
    """A job of an input that is processed."""
    file = connector.upload_file(new_file(data))
    while connector.retrieve_file(file.id).status == "processing":
        pass
    asked = {"endpoint": endpoint, "model": "m-1", "window": "24h", "marker": MARKER, "lines": 1, **more}
    return connector.create_job(NewJob(input_id=file.id, **asked))


def ended(connector: Connector, job: NativeJob) -> NativeJob:
    """The job when it is over."""
    while job.status not in ("completed", "failed", "cancelled", "expired"):
        job = connector.retrieve_job(job.id)
    return job


def by_id(results: Iterable[JobResult]) -> dict[str, JobResult]:
    """Results by the custom_id of their lines."""
    return {result.custom_id: result for result in results}


def _body(endpoint: str, text: str) -> dict[str, Any]:
    return {"input": text} if endpoint == RESPONSES else {"messages": [{"role": "user", "content": text}]}
