"""Finding batches by what people call them: an id, the name of the input file, a value or name in the metadata."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.data.batches import batches as rows
from app.data.batches.batches import Batch, BatchLabels
from app.errors import InvalidRequestError, NotFoundError
from app.services.batches import batches
from app.services.gateway import Caller, Gateway

MAX_TEXT = 200
# Labels are read, not searched by an index: so many at a time, the newest first.
SLICE_BATCHES = 5000


@dataclass(frozen=True, slots=True)
class Found:
    """Batches that match. `further` is where to look next, None when all of the project's have been looked at."""

    items: Sequence[Batch]
    further: str | None


def search(
    gateway: Gateway,
    caller: Caller,
    text: str,
    *,
    limit: int,
    after: str | None = None,
    provider: str | None = None,
    statuses: Sequence[str] | None = None,
) -> Found:
    """At most `limit` batches that match, newest first, of the next SLICE_BATCHES after the batch `after`.

    Raises InvalidRequestError for an unknown `after`.
    """
    if after is None:
        try:
            return Found([batches.retrieve(gateway, caller, text)], None)
        except NotFoundError:
            pass
    with gateway.database.read() as connection:
        cursor = None
        if after is not None:
            cursor = rows.position(connection, project_id=caller.project_id, public_id=after)
            if cursor is None:
                raise InvalidRequestError(f"after: there is no batch {after!r:.80} in this project.", param="after")
        labels = rows.labels(connection, project_id=caller.project_id, after=cursor, limit=SLICE_BATCHES)
        wanted = text[:MAX_TEXT].casefold()
        matching = [label for label in labels if _matches(label, wanted)]
        found: list[Batch] = []
        for begin in range(0, len(matching), limit):
            part = rows.by_ids(connection, [label.id for label in matching[begin : begin + limit]])
            found += [batch for batch in part if _passes(batch, provider, statuses)]
            if len(found) > limit:
                break
    if len(found) > limit:
        return Found(found[:limit], found[limit - 1].public_id)
    return Found(found, labels[-1].public_id if len(labels) == SLICE_BATCHES else None)


def _passes(batch: Batch, provider: str | None, statuses: Sequence[str] | None) -> bool:
    return provider in (None, batch.provider) and (statuses is None or batch.status in statuses)


def _matches(label: BatchLabels, wanted: str) -> bool:
    texts = (label.public_id, label.filename or "", *(text for pair in (label.metadata or {}).items() for text in pair))
    return any(wanted in text.casefold() for text in texts)
