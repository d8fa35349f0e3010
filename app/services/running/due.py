"""Which parts of a worker have something to do at this moment: what a hint would say."""

from app.data.batches import job_facts, segments, work
from app.services.gateway import Gateway


def has_lines(gateway: Gateway) -> bool:
    """True when a segment can be claimed."""
    accounts = gateway.accounts.sending_ids()
    with gateway.database.read() as connection:
        return bool(segments.projects_with_work(connection, accounts=accounts, skip=()))


def has_jobs(gateway: Gateway) -> bool:
    """True when a batch is to be planned, indexed, ended or finalised, or a job has a step to take."""
    with gateway.database.read() as connection:
        return bool(
            work.projects_to_plan(connection)
            or work.projects_to_index(connection)
            or work.projects_to_finalise(connection)
            or work.any_due(connection)
            or job_facts.next_due(connection, skip=())
        )
