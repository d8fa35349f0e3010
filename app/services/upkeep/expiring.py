"""What of a project expires soon, whatever it is."""

from dataclasses import dataclass

from app.data.access import expiries
from app.services.gateway import Caller, Gateway

WITHIN_DAYS = 7
DAY_MS = 86_400_000
MAX_EACH = 50


@dataclass(frozen=True, slots=True)
class Expiring:
    """Something that expires at an instant (Unix ms). `kind` is file, batch, container or key."""

    kind: str
    id: str
    name: str
    expires_at: int


def soon(gateway: Gateway, caller: Caller) -> list[Expiring]:
    """At most MAX_EACH of each kind that expire within WITHIN_DAYS, the next first."""
    with gateway.database.read() as connection:
        found = expiries.of_project(connection, caller.project_id, within_ms=WITHIN_DAYS * DAY_MS, limit=MAX_EACH)
    return sorted((Expiring(*row) for row in found), key=lambda each: each.expires_at)
