"""`batchgate webhooks listen`: brings webhooks to a developer's machine, which no server can reach."""

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import click
import requests

from app.auth import signatures
from app.auth.signatures import BadSecretError
from app.cli.client.http import AwayError, Gateway, StatusError, segment
from app.cli.client.options import Client
from app.cli.shared.refusal import Refused
from app.cli.shared.text import plain
from app.lib import json
from app.lib.states import TERMINAL

MAX_AWAY_S = 120.0
# A hook that answers later is told to be slow.
ANSWER_S = 15.0
PAGE = 100
NOT_FOUND = 404
RUNNING = ("validating", "in_progress", "finalizing", "cancelling")


@click.command(cls=Client)
@click.option("--forward-to", metavar="URL", help="Where to send each event, such as http://localhost:3000/hook.")
@click.option("--secret", envvar="BATCHGATE_WEBHOOK_SECRET", help="Sign with this secret.  [default: a new one]")
@click.option(
    "--every", default=1.0, show_default=True, type=click.FloatRange(0.05, 3600), help="Seconds between looks."
)
def listen(gateway: Gateway, forward_to: str | None, secret: str | None, every: float) -> None:
    """Print the events of the project's batches as they end, and send them to a URL of this machine.

    No endpoint is needed: the command looks for batches that end, and signs their events as the gateway would. Events
    from before it was started are not sent, and none is sent again. Ctrl-C ends it.

    \b
    Examples:
      batchgate webhooks listen
      batchgate webhooks listen --forward-to http://localhost:3000/hook
    """
    if forward_to is not None and not forward_to.startswith(("http://", "https://")):
        raise click.UsageError("--forward-to must begin with http:// or https://.")
    try:
        signatures.key(secret := secret or signatures.new_secret())
    except BadSecretError as error:
        raise click.UsageError(f"--secret: {error}") from error
    ends = Ends(gateway)
    try:
        ends.begin()
        click.echo(f"Waiting for batches to end. Signing secret: {secret}", err=True)
        for batch in _following(ends, every):
            _tell(batch, forward_to, secret)
    except AwayError as error:
        raise Refused(str(error)) from error
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


class Ends:
    """Batches that end from now on, each once."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._running: set[str] = set()
        self._newest: str | None = None

    def begin(self) -> None:
        """Remember what runs now; what has ended is of the past."""
        for status in RUNNING:
            for batch in self._pages(status=status):
                self._running.add(batch["id"])
        first = self._page()["data"]
        self._newest = first[0]["id"] if first else None
        self._running |= {batch["id"] for batch in first if batch["status"] not in TERMINAL}

    def look(self) -> list[dict[str, Any]]:
        """Batches that have ended since the last look, in the order of their ends."""
        seen: list[dict[str, Any]] = []
        newest = self._newest
        for batch in self._pages():
            if self._newest is not None and batch["id"] <= self._newest:  # ids are in the order of time
                break
            newest = batch["id"] if not seen else newest
            seen.append(batch)
        self._newest = newest
        known = {batch["id"] for batch in seen}
        others = [self._find(batch_id) for batch_id in sorted(self._running - known)]
        seen += [batch for batch in others if batch is not None]
        self._running = {batch["id"] for batch in seen if batch["status"] not in TERMINAL}
        return sorted((batch for batch in seen if batch["status"] in TERMINAL), key=ended_at)

    def _find(self, batch_id: str) -> dict[str, Any] | None:
        """The batch; None when it was deleted since the last look."""
        try:
            return self._gateway.call("GET", f"/batches/{segment(batch_id)}")
        except StatusError as error:
            if error.status != NOT_FOUND:
                raise
            return None

    def _pages(self, **query: str) -> Iterator[dict[str, Any]]:
        after: dict[str, str] = {}
        while True:
            page = self._page(**query, **after)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"after": page["last_id"]}

    def _page(self, **query: str) -> dict[str, Any]:
        return self._gateway.call("GET", "/batches", params={"limit": PAGE, **query})


def event_of(batch: dict[str, Any]) -> bytes:
    """The event of a batch that has ended, as an endpoint with the payload `full` gets it."""
    event_type = f"batch.{batch['status']}"
    names = ("id", "status", "endpoint", "model", "execution", "output_file_id", "error_file_id", "metadata")
    counts = {name: batch["request_counts"][name] for name in ("total", "completed", "failed")}
    digest = hashlib.sha256(f"{batch['id']} {event_type}".encode()).hexdigest()
    event = {
        "id": f"evt_{digest[:30]}",  # the same each time, as that of one event is
        "object": "event",
        "type": event_type,
        "created_at": ended_at(batch),
        "data": {**{name: batch.get(name) for name in names}, "request_counts": counts},
    }
    return json.dumps(event)


def ended_at(batch: dict[str, Any]) -> int:
    """When a batch ended, in seconds."""
    return int(batch[f"{batch['status']}_at"] or batch["created_at"])


def _following(ends: Ends, every: float) -> Iterator[dict[str, Any]]:
    """Batches as they end. Raises AwayError when the gateway is away for too long."""
    answered = time.monotonic()
    while True:
        try:
            ended = ends.look()
            answered = time.monotonic()
        except AwayError:
            if time.monotonic() - answered > MAX_AWAY_S:
                raise
            ended = []
        yield from ended
        time.sleep(every)


def _tell(batch: dict[str, Any], forward_to: str | None, secret: str) -> None:
    body = event_of(batch)
    event = json.loads(body)
    line = f"{event['type']} {batch['id']}"
    if forward_to is not None:
        headers = signatures.headers([secret], message_id=event["id"], at_s=int(time.time()), body=body)
        line = f"{line} -> {_forwarded(forward_to, body, headers)}"
    click.echo(plain(line))


def _forwarded(url: str, body: bytes, headers: dict[str, str]) -> str:
    try:
        # Nothing of the answer is needed, and no proxy or password of the environment.
        with requests.Session() as session:
            session.trust_env = False
            sent = {"Content-Type": "application/json", **headers}
            with session.post(
                url, data=body, headers=sent, timeout=ANSWER_S, allow_redirects=False, stream=True
            ) as answer:
                return str(answer.status_code)
    except requests.RequestException as error:
        return f"not delivered: {type(error).__name__}"
