"""Which parts of a worker have something to do at this moment: what a hint would say."""

from collections.abc import Callable, Collection, Mapping

from sqlalchemy import Connection

from app.data.batches import job_facts, segments, work
from app.data.batches.segments import Wanted
from app.data.webhooks import outbox
from app.engine.parts import DELIVER, FINALISE, JOB, LINES, PLAN
from app.engine.work import Due
from app.services.gateway import Gateway


def find(gateway: Gateway, kinds: Collection[str]) -> Due:
    """Which of `kinds` have something to do: one short query while nothing runs."""
    with gateway.database.read() as connection:
        if not work.may_be_due(connection):
            return Due(is_quiet=True)
        found = {kind for kind, is_due in _STEPS.items() if kind in kinds and is_due(connection)}
    if LINES in kinds and has_lines(gateway):
        found.add(LINES)
    return Due(frozenset(found))


def has_lines(gateway: Gateway) -> bool:
    """True when a segment can be claimed."""
    wanted = Wanted("", gateway.accounts.sending_ids())
    with gateway.database.read() as connection:
        return bool(segments.projects_with_work(connection, wanted))


def _has_plans(connection: Connection) -> bool:
    return bool(work.projects_to_plan(connection) or work.projects_to_index(connection))


def _has_ends(connection: Connection) -> bool:
    return bool(work.projects_to_finalise(connection) or work.any_due(connection))


def _has_jobs(connection: Connection) -> bool:
    return job_facts.next_due(connection, skip=()) is not None


def _has_letters(connection: Connection) -> bool:
    return bool(outbox.due(connection, skip=(), limit=1))


_STEPS: Mapping[str, Callable[[Connection], bool]] = {
    PLAN: _has_plans,
    FINALISE: _has_ends,
    JOB: _has_jobs,
    DELIVER: _has_letters,
}
