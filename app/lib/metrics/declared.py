"""Every metric of the gateway; docs/metrics.md is made from this module.

Labels have few values, whoever calls: operations, states, kinds, and names that the operator gave. What callers choose
(projects, keys, files, models without end) is never one.
"""

from dataclasses import dataclass
from typing import Final

PREFIX = "batchgate_"
COUNTER, HISTOGRAM, GAUGE = "counter", "histogram", "gauge"
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
STEP_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric. Counters and histograms are counted by processes; gauges are read from the store at a scrape."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


ALL: Final[dict[str, Metric]] = {}


def _declare(kind: str, name: str, text: str, labels: tuple[str, ...] = (), buckets: tuple[float, ...] = ()) -> Metric:
    metric = ALL[PREFIX + name] = Metric(PREFIX + name, kind, text, labels, buckets)
    return metric


_CAPACITY = ("provider", "account", "model")
_WORK = ("status", "execution", "provider")

REQUESTS = _declare(COUNTER, "requests_total", "HTTP requests that were answered.", ("operation", "status"))
REQUEST_SECONDS = _declare(
    HISTOGRAM,
    "request_seconds",
    "Seconds from the arrival of a request's head to its answer; streamed bodies come after that.",
    ("operation",),
    REQUEST_BUCKETS,
)
LINES = _declare(COUNTER, "lines_total", "Lines that ended with an answer or an error.", ("execution", "outcome"))
BATCHES_ENDED = _declare(COUNTER, "batches_ended_total", "Batches that ended.", ("status",))
RETRIES = _declare(
    COUNTER,
    "retries_total",
    "Attempts at lines without a result, by why: the kind of a refusal, `again` for a fault, `timeout`, `not_ready`.",
    ("provider", "account", "kind"),
)
REFUSED_FIELDS = _declare(
    COUNTER,
    "translation_refusals_total",
    "Lines refused because their provider's dialect cannot express a field, by the field at the top of the request.",
    ("field",),
)
LEASES_LOST = _declare(COUNTER, "leases_lost_total", "Leases that a worker lost while it held them.", ("of",))
STEP_SECONDS = _declare(
    HISTOGRAM,
    "step_seconds",
    "Seconds of the steps of workers: `claim` a segment, `flush` results, a turn of `plan`, `index` or `finalise`, a "
    "step of a job (`submit`, `reconcile`, `poll`, `harvest`, `give_up`), a `sweep`.",
    ("step",),
    STEP_BUCKETS,
)
COST = _declare(COUNTER, "cost_dollars_total", "What lines cost, as written to the ledger.", ("provider",))
UNKNOWN_COSTS = _declare(
    COUNTER, "unknown_costs_total", "Entries of the ledger whose cost nobody can know.", ("provider", "kind")
)
WEBHOOKS = _declare(
    COUNTER,
    "webhook_attempts_total",
    "Attempts to deliver a webhook: `delivered`, `retried` later, `failed` for good, or `lease_lost`.",
    ("outcome",),
)
SWEPT = _declare(COUNTER, "swept_total", "Rows that sweeps expired or deleted.", ("kind",))

INFO = _declare(GAUGE, "info", "1; the label is the version that answers.", ("version",))
STORE_UP = _declare(
    GAUGE, "store_up", "1 if the store could be read. If 0, the gauges below are missing, and counters go on."
)
STORE_OPEN = _declare(GAUGE, "store_open", "1 if the store may be used; 0 while it is fenced or moved.")
BATCHES = _declare(
    GAUGE, "batches", "Batches that are not over; those of the latest deadlines are not counted beyond 2,500.", _WORK
)
STATUS_SECONDS = _declare(
    GAUGE,
    "batch_status_seconds",
    "Longest time that one of them has had its status; none that is put off (paused by somebody, or for later) counts.",
    _WORK,
)
MARGIN = _declare(
    GAUGE, "deadline_margin_seconds", "Least time that one of them has left of its window; below 0, it is over.", _WORK
)
QUEUE_LINES = _declare(
    GAUGE,
    "queue_lines",
    "Lines of these batches that have not ended, but for those that are put off.",
    ("execution", "provider"),
)
QUEUE_SECONDS = _declare(
    GAUGE, "queue_oldest_seconds", "Age of the oldest batch with such lines.", ("execution", "provider")
)
IN_FLIGHT = _declare(
    GAUGE, "lines_in_flight", "Lines that are being sent, as workers reported about a second ago.", _CAPACITY
)
WAITING = _declare(GAUGE, "lines_ready", "Lines that workers have in hand, those in flight included.", _CAPACITY)
CEILING = _declare(GAUGE, "ceiling", "Most lines in flight that the account allows.", _CAPACITY)
LEARNED = _declare(GAUGE, "learned_limit", "Most lines in flight that the gateway allows after overload.", _CAPACITY)
PAUSES = _declare(GAUGE, "pauses", "Pauses, of projects or of all; model `all` is the whole account.", _CAPACITY)
PAUSE_SECONDS = _declare(
    GAUGE, "pause_seconds", "How long nothing has been answered, of the oldest of these pauses.", (*_CAPACITY, "kind")
)
JOBS = _declare(GAUGE, "jobs", "Native jobs that are not done.", ("state", "provider"))
POLL_LAG = _declare(
    GAUGE, "job_lag_seconds", "How long the most overdue of them waits for its next step.", ("provider",)
)
UNKNOWN_SECONDS = _declare(
    GAUGE, "unknown_intent_seconds", "Age of the oldest creation at a provider that was never confirmed.", ("of",)
)
WEBHOOKS_PENDING = _declare(GAUGE, "webhooks_pending", "Webhooks that are not delivered yet, up to 5,000.")
WEBHOOK_SECONDS = _declare(GAUGE, "webhook_oldest_seconds", "Age of the oldest of those that end first.")
RESERVED = _declare(GAUGE, "reserved_dollars", "What running batches may still cost their budgets.")
WORKERS = _declare(GAUGE, "workers", "Worker processes that are alive.")
WORKER_SECONDS = _declare(GAUGE, "worker_seen_seconds", "Time since any worker process was last seen.")
SWEEP_SECONDS = _declare(GAUGE, "sweep_age_seconds", "Time since the last sweep began.")
DISK_FREE = _declare(GAUGE, "disk_free_bytes", "Free bytes on the disk, where the gateway can know them.", ("of",))
DISK_RESERVE = _declare(GAUGE, "disk_reserve_bytes", "`BATCHGATE_DISK_RESERVE_BYTES`.")
