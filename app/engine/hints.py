"""Hints that there is work: messages through a broker, which may be lost, late or delivered twice without harm.

Whoever sends one never waits for the broker and never fails because of it: what a lost hint meant is found in SQL
within seconds, by the periodic look.
"""

import threading
from typing import TYPE_CHECKING, Any, Protocol

from app.engine.parts import JOBS, LINES, UPKEEP
from app.lib.threads.episodes import Episodes

if TYPE_CHECKING:
    from celery import Celery

NAMESPACE = "batchgate"
# A queue for each part, so that an operator can give each workers of its own.
QUEUES = {part: f"{NAMESPACE}.{part}" for part in (LINES, JOBS, UPKEEP)}
LOOK, SWEEP = f"{NAMESPACE}.look", f"{NAMESPACE}.sweep"
# Hints of one part that follow each other more closely say nothing new.
GAP_S = 0.02
# A hint that nobody took for so long is superseded by later ones.
EXPIRES_S = 60
CONNECT_S = 2.0
AWAY_S = 2.0


class Hints(Protocol):
    """Where hints go."""

    def send(self, part: str) -> None:
        """Say that there may be work of this part: `lines`, `jobs`, or `upkeep` for what is to be delivered."""
        ...


class NoHints:
    """Workers look for their work by themselves."""

    def send(self, part: str) -> None:
        """Nothing is to be said."""


class BrokerHints:
    """Sends hints on a thread of its own, which starts with the first one, so after a fork."""

    def __init__(self, broker_url: str, *, log: Any) -> None:
        self._broker_url = broker_url
        self._log = log
        self._changed = threading.Condition()
        self._waiting: set[str] = set()
        self._thread: threading.Thread | None = None
        self._episodes = Episodes()

    def send(self, part: str) -> None:
        with self._changed:
            self._waiting.add(part)
            if self._thread is None:
                self._thread = threading.Thread(target=self._publish, name="hints", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _publish(self) -> None:
        celery = make_celery(self._broker_url)
        pause = threading.Event()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                parts, self._waiting = self._waiting, set()
            try:
                for part in parts:
                    send(celery, part)
            except Exception as error:  # noqa: BLE001 - brokers' clients raise what they like
                if self._episodes.failed("broker"):
                    self._log.warning("broker.away", reason=f"{type(error).__name__}: {error}"[:512])
                pause.wait(AWAY_S)
                continue
            if self._episodes.worked("broker"):
                self._log.warning("broker.back")
            pause.wait(GAP_S)


def send(celery: "Celery", part: str) -> None:
    """Send one hint now. Raises whatever the client of the broker raises."""
    celery.send_task(QUEUES[part], queue=QUEUES[part], expires=EXPIRES_S, retry=False, ignore_result=True)


def make_celery(broker_url: str) -> "Celery":
    """A Celery application that knows the queues."""
    # Imported here: only who uses a broker needs it, and it takes 0.2 s and 20 MB.
    from celery import Celery
    from kombu.entity import Exchange, Queue

    celery = Celery(NAMESPACE, broker=broker_url, set_as_current=False)
    celery.conf.update(
        task_queues=[Queue(name, Exchange(NAMESPACE, type="direct"), routing_key=name) for name in QUEUES.values()],
        task_default_queue=QUEUES[UPKEEP],
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # Taken from the queue when it begins: a hint that dies with its process is made up for by the next look.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_timeout=CONNECT_S,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"socket_connect_timeout": CONNECT_S, "socket_timeout": 30.0, "max_retries": 0},
        worker_cancel_long_running_tasks_on_connection_loss=False,
        enable_utc=True,
    )
    return celery
