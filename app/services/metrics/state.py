"""The gauges: the state of the store, read in a few bounded queries and remembered for a few seconds."""

from collections.abc import Iterable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from app.blobs import BlobError
from app.data.batches import workers
from app.data.gauges import running, upkeep
from app.data.gauges.running import UsedCapacity
from app.lib.metrics import declared
from app.lib.metrics.declared import Metric
from app.lib.money import PICODOLLARS
from app.lib.threads.remembered import Remembered
from app.services import store_errors
from app.services.accounts.load import shown_name
from app.services.backups import fence
from app.services.gateway import Gateway
from app.services.upkeep import sweep
from app.version import VERSION

FRESH_S = 5.0
MAX_MODELS = 50
OTHER, WHOLE_ACCOUNT = "other", "all"
Values = dict[Metric, dict[tuple[str, ...], float]]


class StoreState:
    """The gauges of one process's gateway; many scrapes cost one reading."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._latest: Remembered[Values] = Remembered(FRESH_S)

    def values(self) -> Values:
        """All gauges, at most a few seconds old."""
        return self._latest.get(lambda: read(self._gateway))


def read(gateway: Gateway) -> Values:
    """All gauges. Without those of the store while it does not answer."""
    values: Values = {declared.INFO: {(VERSION,): 1.0}}
    _read_disks(gateway, values)
    found: Values = {}
    try:
        _read_work(gateway, found)
        _read_upkeep(gateway, found)
    except SQLAlchemyError as error:
        if gateway.episodes.failed("metrics"):
            gateway.log.warning("metrics.store_away", reason=store_errors.reason(error))
        return values | {declared.STORE_UP: {(): 0.0}}
    gateway.episodes.worked("metrics")
    return values | {declared.STORE_UP: {(): 1.0}} | found


def _read_work(gateway: Gateway, values: Values) -> None:
    with gateway.database.read() as connection:
        _add_batches(values, running.running_batches(connection))
        _add_capacities(values, running.used_capacities(connection))
        _add_pauses(values, running.paused(connection))
        _add_jobs(values, running.open_jobs(connection))


def _read_upkeep(gateway: Gateway, values: Values) -> None:
    with gateway.database.read() as connection:
        alive = upkeep.live_workers(connection)
        seen_ms = workers.newest_age_ms(connection)
        swept_ms = upkeep.ran_ms_ago(connection, name=sweep.NAME)
        webhooks, webhook_ms = upkeep.pending_webhooks(connection)
        reserved = upkeep.reserved_picodollars(connection)
        ages = {"file": upkeep.oldest_file_ms(connection), "container": upkeep.oldest_container_ms(connection)}
    values[declared.STORE_OPEN] = {(): float(fence.state(gateway).state == fence.OPEN)}
    values[declared.WORKERS] = {(): float(alive)}
    values[declared.WEBHOOKS_PENDING] = {(): float(webhooks)}
    values[declared.RESERVED] = {(): reserved / PICODOLLARS}
    ages_ms = {declared.WORKER_SECONDS: seen_ms, declared.SWEEP_SECONDS: swept_ms, declared.WEBHOOK_SECONDS: webhook_ms}
    for metric, age_ms in ages_ms.items():
        values[metric] = {} if age_ms is None else {(): age_ms / 1000}
    unknown = values.setdefault(declared.UNKNOWN_SECONDS, {})
    unknown |= {(of,): age_ms / 1000 for of, age_ms in ages.items() if age_ms is not None}


def _read_disks(gateway: Gateway, values: Values) -> None:
    free = values[declared.DISK_FREE] = {}
    values[declared.DISK_RESERVE] = {(): float(gateway.settings.disk_reserve_bytes)}
    for of, look in (("blobs", gateway.blobs.free_bytes), ("database", gateway.database.free_bytes)):
        try:
            left = look()
        except (BlobError, OSError):
            left = None  # readiness says why
        if left is not None:
            free[(of,)] = float(left)


def _add_batches(values: Values, found: Sequence[running.RunningBatches]) -> None:
    batches, lines, oldest = _of(values, declared.BATCHES, declared.QUEUE_LINES, declared.QUEUE_SECONDS)
    longest, margin = _of(values, declared.STATUS_SECONDS, declared.MARGIN)
    for row in found:
        work, kind = (row.status, row.execution, row.provider), (row.execution, row.provider)
        batches[work] = float(row.count)
        if row.longest_ms is not None:
            longest[work] = row.longest_ms / 1000
        margin[work] = row.least_margin_ms / 1000
        lines[kind] = lines.get(kind, 0.0) + row.lines_left
        if row.oldest_ms is not None:
            oldest[kind] = max(oldest.get(kind, 0.0), row.oldest_ms / 1000)


def _add_capacities(values: Values, found: Sequence[UsedCapacity]) -> None:
    in_flight, ready = _of(values, declared.IN_FLIGHT, declared.WAITING)
    ceiling, learned = _of(values, declared.CEILING, declared.LEARNED)
    names = _models(row.model for row in found)
    for row in found:
        key = (row.provider, shown_name(row.account, row.source), names[row.model])
        for into, value in (
            (in_flight, row.in_flight),
            (ready, row.wanted),
            (ceiling, row.ceiling),
            (learned, row.limit),
        ):
            into[key] = into.get(key, 0.0) + value


def _add_pauses(values: Values, found: Sequence[running.Paused]) -> None:
    pauses, ages = _of(values, declared.PAUSES, declared.PAUSE_SECONDS)
    names = {**_models(row.model for row in found), "": WHOLE_ACCOUNT}
    for row in found:
        key = (row.provider, shown_name(row.account, row.source), names[row.model])
        pauses[key] = pauses.get(key, 0.0) + 1
        of_kind = (*key, row.kind)
        ages[of_kind] = max(ages.get(of_kind, 0.0), row.age_ms / 1000)


def _add_jobs(values: Values, found: Sequence[running.OpenJobs]) -> None:
    jobs, lag, unknown = _of(values, declared.JOBS, declared.POLL_LAG, declared.UNKNOWN_SECONDS)
    for row in found:
        jobs[(row.state, row.provider)] = float(row.count)
        lag[(row.provider,)] = max(lag.get((row.provider,), 0.0), (row.lag_ms or 0) / 1000)
        if row.unconfirmed_ms is not None:
            unknown[("job",)] = max(unknown.get(("job",), 0.0), row.unconfirmed_ms / 1000)


def _of(values: Values, *metrics: Metric) -> list[dict[tuple[str, ...], float]]:
    return [values.setdefault(metric, {}) for metric in metrics]


def _models(found: Iterable[str]) -> dict[str, str]:
    """The label of each model: its name, or `other` for those beyond the first MAX_MODELS."""
    names: dict[str, str] = {}
    for model in found:
        if model not in names:
            names[model] = model if len(names) < MAX_MODELS else OTHER
    return names
