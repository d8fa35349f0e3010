"""The state of everything at one moment: what each account does for each model, workers, and the next deadlines."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.data import now as rows
from app.data.batches import pauses, waits
from app.data.now import RunningBatch
from app.data.now import Worker as Worker  # what callers of this module get
from app.services.gateway import Gateway

MAX_RUNNING = 10_000
MAX_PAUSES = 1000
MAX_WORKERS = 200


@dataclass(frozen=True, slots=True)
class Lane:
    """A model at an account. `waiting` are lines without a result that are not in flight; instants are Unix ms."""

    account: str
    model: str
    batches: int = 0
    waiting: int = 0
    in_flight: int = 0
    ceiling: int | None = None
    learned_limit: int | None = None
    oldest_at: int | None = None
    paused_until: int | None = None
    pause: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A batch that is not over."""

    batch: str
    project: str
    account: str
    model: str | None
    status: str
    lines_total: int
    lines_completed: int
    lines_failed: int
    lines_per_second: float | None
    eta_ms: int | None
    expires_at: int
    waits_for: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Now:
    """The state at the instant `at` (Unix ms). `running` counts all batches that are not over, up to MAX_RUNNING."""

    at: int
    running: int
    waiting: int
    in_flight: int
    oldest_at: int | None
    lanes: Sequence[Lane] = field(default_factory=list)
    workers: Sequence[Worker] = field(default_factory=list)
    batches: Sequence[Running] = field(default_factory=list)


def look(gateway: Gateway, *, batches: int = 20) -> Now:
    """Returns the state, with the `batches` whose deadlines come first."""
    with gateway.database.read() as connection:
        found = rows.running(connection, limit=MAX_RUNNING)
        lanes = _lanes(found)
        for held in rows.permits(connection, limit=MAX_RUNNING):
            key = (held.account_id, held.model)
            lane = lanes.get(key, Lane("", held.model))
            waiting = max(0, lane.waiting - held.in_flight)
            lanes[key] = replace(lane, waiting=waiting, in_flight=held.in_flight)
        for ceiling in rows.ceilings(connection, lanes) if lanes else ():
            key = (ceiling.account_id, ceiling.model)
            lanes[key] = replace(lanes[key], ceiling=ceiling.ceiling, learned_limit=int(ceiling.learned))
        names = rows.account_names(connection, {account_id for account_id, _ in lanes})
        named = {(names.get(account_id, "?"), model): lane for (account_id, model), lane in lanes.items()}
        for pause in pauses.list_all(connection, limit=MAX_PAUSES):
            _pause(named, pause)
        first = sorted(found, key=lambda batch: batch.expires_at)[:batches]
        shown = [batch.id for batch in first]
        reasons, speeds = waits.of_batches(connection, shown), waits.progress(connection, shown)
        seen = rows.workers_seen(connection, limit=MAX_WORKERS)
        at = rows.clock_ms(connection)
    listed = [replace(lane, account=account) for (account, _), lane in named.items()]
    return Now(
        at=at,
        running=len(found),
        waiting=sum(lane.waiting for lane in listed),
        in_flight=sum(lane.in_flight for lane in listed),
        oldest_at=min((lane.oldest_at for lane in listed if lane.oldest_at is not None), default=None),
        lanes=sorted(listed, key=lambda lane: (-lane.waiting - lane.in_flight, lane.account, lane.model)),
        workers=seen,
        batches=[_running(batch, names, reasons.get(batch.id), speeds.get(batch.id)) for batch in first],
    )


def _lanes(found: Sequence[RunningBatch]) -> dict[tuple[int, str], Lane]:
    """What waits, by account and model."""
    lanes: dict[tuple[int, str], Lane] = {}
    for batch in found:
        key = (batch.account_id, batch.model or "")
        lane = lanes.get(key, Lane("", batch.model or ""))
        oldest = lane.oldest_at
        if batch.waiting > 0 and not batch.is_held:
            oldest = min(batch.began, lane.oldest_at or batch.began)
        lanes[key] = replace(
            lane, batches=lane.batches + 1, waiting=lane.waiting + max(0, batch.waiting), oldest_at=oldest
        )
    return lanes


def _pause(lanes: dict[tuple[str, str], Lane], pause: pauses.ShownPause) -> None:
    """Adds a pause to its lane, or to all of its account; one that nothing waits for is a lane of its own."""
    account = f"{pause.provider}/{pause.account}"
    project = f"(project {pause.project})" if pause.project else None
    said = " ".join(word for word in (pause.kind, project, pause.message) if word)
    paused = {"paused_until": pause.paused_until, "pause": said}
    keys = [key for key in lanes if key[0] == account and pause.model in ("", key[1])]
    for key in keys or [(account, pause.model)]:
        lanes[key] = replace(lanes.get(key, Lane(account, pause.model)), **paused)  # type: ignore[arg-type]


def _running(
    batch: RunningBatch, names: dict[int, str], reason: waits.WaitingOn | None, speed: waits.Progress | None
) -> Running:
    return Running(
        batch=batch.batch,
        project=batch.project,
        account=names.get(batch.account_id, "?"),
        model=batch.model,
        status=batch.status,
        lines_total=batch.lines_total,
        lines_completed=batch.lines_completed,
        lines_failed=batch.lines_failed,
        lines_per_second=speed.lines_per_second if speed else None,
        eta_ms=speed.eta_ms if speed else None,
        expires_at=batch.expires_at,
        waits_for=reason.reason if reason else None,
        message=reason.message if reason else None,
    )
