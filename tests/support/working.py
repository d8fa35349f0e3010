"""A worker's turns without its threads."""

from app.services.running.work import BatchWork


def step(work: BatchWork) -> bool:
    """Plan and finalise what there is, however many slices of time it takes; False when there was nothing to do."""
    turns = 0
    while work.plan():
        turns += 1
    while work.finalise():
        turns += 1
    return turns > 0
