"""What a webhook says, and how it is sent: signed, once, to a URL that somebody else named."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.auth import signatures
from app.connectors.http.public import NotReachedError
from app.data.webhooks.endpoints import Secrets
from app.data.webhooks.outbox import Letter
from app.lib import json
from app.lib.states import TERMINAL
from app.services.gateway import Gateway

EVENT_TYPES = tuple(f"batch.{status}" for status in ("completed", "failed", "expired", "cancelled"))
THIN, FULL = "thin", "full"
# What a sample is about.
SAMPLE_BATCH = "batch_sample"
MAX_ERROR = 512

assert {f"batch.{status}" for status in TERMINAL} == set(EVENT_TYPES)  # noqa: S101 - read once, when imported


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt went: the status that the endpoint answered, or why there is none."""

    status_code: int | None
    error: str
    latency_ms: int

    @property
    def is_taken(self) -> bool:
        """True of a 2xx."""
        return self.status_code is not None and 200 <= self.status_code < 300


def send(gateway: Gateway, url: str, body: bytes, *, event_id: str, secrets: Sequence[str]) -> Outcome:
    """POST a message, signed with each of the secrets. No connection of the database may be held meanwhile."""
    now_s = gateway.clock.now_ms() // 1000
    headers = signatures.headers(secrets, message_id=event_id, at_s=now_s, body=body)
    began = gateway.clock.monotonic()
    status, error = None, ""
    try:
        status = gateway.outside.post(url, body, headers={"Content-Type": "application/json", **headers})
    except NotReachedError as failure:
        error = str(failure)[:MAX_ERROR]
    latency_ms = int((gateway.clock.monotonic() - began) * 1000)
    if status is not None and not 200 <= status < 300:
        error = f"The endpoint answered {status}" + ("; redirects are not followed." if 300 <= status < 400 else ".")
    return Outcome(status, error, latency_ms)


def opened(gateway: Gateway, sealed: Secrets) -> list[str]:
    """The secrets to sign with, the new one first. Raises SealError."""
    new = gateway.ring.open(sealed.sealed, purpose=purpose("sealed_secret", sealed.public_id))
    found = [new.decode()]
    if sealed.old is not None:
        found.append(gateway.ring.open(sealed.old, purpose=purpose("sealed_old_secret", sealed.public_id)).decode())
    return found


def purpose(column: str, public_id: str) -> str:
    """What a sealed secret is bound to."""
    return f"webhook_endpoints.{column}:{public_id}"


def event(event_id: str, event_type: str, *, created_at_s: int, data: dict[str, Any]) -> bytes:
    """A message, as OpenAI's SDKs read it."""
    shown = {"id": event_id, "object": "event", "type": event_type, "created_at": created_at_s, "data": data}
    return json.dumps(shown)


def body(letter: Letter) -> bytes:
    """The message of a delivery: the id of its batch, and with `full` how the batch went."""
    data: dict[str, Any] = {"id": letter.batch or SAMPLE_BATCH}
    if letter.payload == FULL and letter.batch is not None:
        data |= details(letter)
    return event(letter.event_id, letter.event_type, created_at_s=letter.event_at // 1000, data=data)


def details(letter: Letter) -> dict[str, Any]:
    """How a batch went, under the names that the batch object has."""
    total, completed = letter.lines_total or 0, letter.lines_completed or 0
    # As on the batch object: one that failed as a whole counts no lines.
    is_void = letter.event_type == "batch.failed" and not completed
    unsuccessful = (letter.lines_failed or 0) + (letter.lines_expired or 0) + (letter.lines_cancelled or 0)
    counts = {"total": total, "completed": completed, "failed": unsuccessful}
    return {
        "status": letter.event_type.removeprefix("batch."),
        "endpoint": letter.endpoint_path,
        "model": letter.model,
        "execution": letter.execution,
        "request_counts": dict.fromkeys(counts, 0) if is_void else counts,
        "usage": {
            "input_tokens": letter.input_tokens or 0,
            "output_tokens": letter.output_tokens or 0,
            "total_tokens": letter.total_tokens or 0,
        },
        "output_file_id": letter.output_file,
        "error_file_id": letter.error_file,
        "metadata": letter.metadata,
    }
