"""Delivering what is due: an endpoint is one worker's at a time, so it gets one message at a time.

At least once: a delivery is counted as tried before it is sent, and ends when the answer is written. Whoever dies
between leaves it due, and the next worker sends it again under the same event id.
"""

import random
import threading
from collections import Counter

from app.auth.secrets import SealError
from app.data.store.leases import Lease
from app.data.webhooks import endpoints, outbox
from app.data.webhooks.endpoints import Secrets
from app.data.webhooks.outbox import DueEndpoint, Letter
from app.lib import failpoints
from app.lib.metrics import declared
from app.services.gateway import Gateway
from app.services.leases import lease_ms
from app.services.webhooks import messages

# What one endpoint gets before others have their turn.
TURN_LETTERS, TURN_S = 20, 5.0
THREADS = 4
# One project's endpoints take half of the threads at most: they may all be slow.
PER_PROJECT = THREADS // 2
FIRST_DELAY_S, DELAY_GROWTH, MAX_DELAY_S = 5.0, 3.0, 12 * 3600.0
FIRST_PAUSE_S, PAUSE_GROWTH, MAX_PAUSE_S = 30.0, 2.0, 3600.0
# Further growth has no effect, and would overflow a float one day.
MAX_STEPS = 30
# What metrics call the state of a delivery after an attempt.
OUTCOMES = {outbox.DELIVERED: "delivered", outbox.PENDING: "retried", outbox.FAILED: "failed", None: "lease_lost"}


class Postman:
    """Delivers for one process, on as many threads as call `deliver`."""

    def __init__(self, gateway: Gateway, *, worker: str) -> None:
        self._gateway = gateway
        self._worker = worker
        self._lock = threading.Lock()
        self._busy: Counter[int] = Counter()

    def deliver(self) -> bool:
        """Deliver to one endpoint for a while; False when nothing is due that this process may take."""
        found = self._claim()
        if found is None:
            return False
        due, lease = found
        try:
            _take_turn(self._gateway, lease)
        finally:
            with self._lock:
                self._busy[due.project_id] -= 1
        return True

    def _claim(self) -> tuple[DueEndpoint, Lease] | None:
        with self._lock:
            full = [project_id for project_id, count in self._busy.items() if count >= PER_PROJECT]
            with self._gateway.database.read() as connection:
                found = outbox.due(connection, skip=full, limit=THREADS)
            for due in found:
                lease = Lease(due.id, due.epoch + 1, self._worker)
                with self._gateway.database.write() as connection:
                    if outbox.claim(connection, lease, lease_ms=_lease_ms(self._gateway)):
                        self._busy[due.project_id] += 1
                        return due, lease
        return None


def _lease_ms(gateway: Gateway) -> int:
    """Nobody renews it during an attempt, which takes half of the default at most."""
    return 2 * lease_ms(gateway.settings)


def _take_turn(gateway: Gateway, lease: Lease) -> None:
    ends = gateway.clock.monotonic() + TURN_S
    try:
        for _ in range(TURN_LETTERS):
            if not _deliver_one(gateway, lease) or gateway.clock.monotonic() >= ends:
                return
    finally:
        with gateway.database.write() as connection:
            outbox.give_back(connection, lease)


def _deliver_one(gateway: Gateway, lease: Lease) -> bool:
    """Send what is due first. False when nothing is, or the endpoint takes nothing more now."""
    with gateway.database.write() as connection:
        letter = outbox.begin(connection, lease, lease_ms=_lease_ms(gateway))
        sealed = None if letter is None else endpoints.secrets(connection, lease.id)
    if letter is None or sealed is None:
        return False
    failpoints.hit("webhook.before_send")
    outcome = _sent(gateway, letter, sealed)
    failpoints.hit("webhook.after_send")
    with gateway.database.write() as connection:
        if outcome.is_taken:
            status, latency_ms = int(outcome.status_code or 0), outcome.latency_ms
            outbox.delivered(connection, lease, letter.id, status_code=status, latency_ms=latency_ms)
            state: str | None = outbox.DELIVERED
        else:
            state = outbox.failed(
                connection,
                lease,
                letter.id,
                status_code=outcome.status_code,
                error=outcome.error,
                latency_ms=outcome.latency_ms,
                again_in_ms=delay_ms(letter.attempts + 1),
                pause_ms=pause_ms(outbox.failures(connection, lease.id) + 1),
            )
        goes_on = outcome.is_taken or not outbox.is_paused(connection, lease.id)
    failpoints.hit("webhook.after_commit")
    _log(gateway, letter, outcome, state)
    return goes_on


def _sent(gateway: Gateway, letter: Letter, sealed: Secrets) -> messages.Outcome:
    try:
        secrets = messages.opened(gateway, sealed)
    except SealError as error:
        gateway.log.error("webhook.not_opened", endpoint=letter.endpoint, reason=str(error))
        return messages.Outcome(None, "The gateway cannot read the endpoint's secret: rotate it.", 0)
    return messages.send(gateway, letter.url, messages.body(letter), event_id=letter.event_id, secrets=secrets)


def delay_ms(attempts: int, *, spread: float | None = None) -> int:
    """How long a delivery waits after so many attempts; `spread` is from -1 to 1, by default random."""
    seconds = min(MAX_DELAY_S, FIRST_DELAY_S * DELAY_GROWTH ** min(MAX_STEPS, attempts - 1))
    return _spread_ms(seconds, spread)


def pause_ms(failures: int, *, spread: float | None = None) -> int:
    """As `delay_ms`, of an endpoint that has failed so often in a row."""
    steps = min(MAX_STEPS, max(0, failures - outbox.BREAKS_AT))
    return _spread_ms(min(MAX_PAUSE_S, FIRST_PAUSE_S * PAUSE_GROWTH**steps), spread)


def _spread_ms(seconds: float, spread: float | None) -> int:
    # Jitter needs no secure randomness: it only keeps what failed together from coming back together.
    factor = 1 + 0.2 * (random.uniform(-1, 1) if spread is None else spread)  # noqa: S311
    return int(seconds * 1000 * factor)


def _log(gateway: Gateway, letter: Letter, outcome: messages.Outcome, state: str | None) -> None:
    gateway.metrics.count(declared.WEBHOOKS, OUTCOMES[state])
    log = gateway.log.info if state == outbox.DELIVERED else gateway.log.warning
    log(
        f"webhook.{state or 'lease_lost'}",
        project=letter.project,
        endpoint=letter.endpoint,
        delivery=letter.public_id,
        event_type=letter.event_type,
        batch=letter.batch,
        attempt=letter.attempts + 1,
        status=outcome.status_code,
        ms=outcome.latency_ms,
        reason=outcome.error or None,
    )
