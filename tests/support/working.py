"""A worker's turns without its threads."""

from app.services.running.work import BatchWork


def step(work: BatchWork) -> bool:
    """One turn of planning and one of finalising; False when there was nothing to do."""
    planned = work.plan()
    return work.finalise() or planned
