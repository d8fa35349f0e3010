"""A worker's turns without its threads."""

from app.services.running.work import BatchWork
from tests.support.waiting import until


def step(work: BatchWork) -> bool:
    """Plan and finalise what there is, however many slices of time it takes; False when there was nothing to do."""
    turns = 0
    while work.plan():
        turns += 1
    while work.finalise():
        turns += 1
    return turns > 0


def settle(work: BatchWork) -> None:
    """As `step`, from when there is something to do."""
    until(lambda: step(work))
