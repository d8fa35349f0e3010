"""Work on lease, for planning, jobs and finalising alike."""

from app.services.gateway import Gateway


class LeaseLostError(Exception):
    """Another worker has it, or it was cancelled: what was not committed is gone."""


def lease_ms(gateway: Gateway) -> int:
    """How long a worker that went silent keeps its work."""
    return int(gateway.settings.lease_s * 1000)
