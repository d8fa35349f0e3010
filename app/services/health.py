"""Checks whether this process can serve requests, and when a worker was last seen."""

from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from app.auth.secrets import SealError
from app.blobs import BlobError
from app.data.batches import workers
from app.services.access import pepper
from app.services.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Report:
    """The state of `database`, `secrets` (the key ring) and `blobs`: "ok", or a reason that is safe to publish."""

    status: str
    database: str
    secrets: str
    blobs: str
    worker_seen_seconds_ago: float | None

    @property
    def ready(self) -> bool:
        return self.status == "ok"


def check(gateway: Gateway) -> Report:
    """Uses the database, the key ring and the blob store once each, and reports which of them work."""
    seen: float | None = None
    database = secrets = blobs = "ok"
    try:
        with gateway.database.read() as connection:
            age_ms = workers.newest_age_ms(connection)
        seen = None if age_ms is None else round(age_ms / 1000, 1)
        pepper.check(gateway.database, gateway.ring)
    except SQLAlchemyError as error:
        gateway.log.error("ready.database_failed", error=str(error))
        database = "not available"
    except SealError as error:
        gateway.log.error("ready.secrets_failed", error=str(error))
        secrets = "not available"
    try:
        gateway.blobs.check()
    except BlobError as error:
        gateway.log.error("ready.blobs_failed", error=str(error))
        blobs = "not available"
    status = "ok" if database == secrets == blobs == "ok" else "unavailable"
    return Report(status=status, database=database, secrets=secrets, blobs=blobs, worker_seen_seconds_ago=seen)
