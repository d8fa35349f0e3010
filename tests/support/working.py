"""A worker's turns without its threads."""

from app.services.running.work import BatchWork
from tests.support.waiting import until


def step(work: BatchWork) -> bool:
    """One turn of planning and one of finalising; False when there was nothing to do."""
    planned = work.plan()
    return work.finalise() or planned


def settle(work: BatchWork) -> None:
    """Turns from the first that finds something to do to the last: one may be cut short when its time is over."""
    until(lambda: step(work))
    while step(work):
        pass
