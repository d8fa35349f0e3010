"""What was used and what it cost, by key, project, provider, model or day, from the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Connection

from app.data.money import usage as rows
from app.data.money.usage import DAY_MS, PART, Scope
from app.data.store.database import AnyRow
from app.errors import InvalidRequestError
from app.services.gateway import Gateway

GROUPS = rows.GROUPS
DEFAULT_DAYS = 30
MAX_DAYS = 366
NOBODY = "-"
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums of one group. `id` is the project's name, the key's public id, the provider, `provider/model` or the day.

    `cost` is picodollars of all entries whose cost is known; `unknown` is how many entries have none.
    """

    id: str
    name: str | None
    project: str | None
    lines: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: int
    unknown: int


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Groups in order, whether more follow, and the period that they are of (Unix ms, the end is not in it)."""

    items: Sequence[Usage]
    has_more: bool
    begins: int
    ends: int


def by(
    gateway: Gateway,
    group_by: str,
    *,
    begins: int | None = None,
    ends: int | None = None,
    project: str | None = None,
    key: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> UsagePage:
    """Sums for each group beyond `after` from `begins` to `ends`, by default the last 30 days and up to now.

    Raises InvalidRequestError on a period that is none or too long, and on a group, project or key that is unknown.
    """
    ends = gateway.clock.now_ms() + 1 if ends is None else ends
    begins = _day(ends - DEFAULT_DAYS * DAY_MS) if begins is None else begins
    if not 0 <= begins < ends:
        raise InvalidRequestError("from: must be before `to`.", param="from")
    if ends - begins > (MAX_DAYS + 1) * DAY_MS:
        raise InvalidRequestError(f"from: must be at most {MAX_DAYS} days before `to`.", param="from")
    with gateway.database.read() as connection:
        scope = Scope(begins, ends, _project_id(connection, project), _key_id(connection, key))
        cursor = None if after is None else _cursor(connection, group_by, after)
        found = rows.sums(connection, scope, group_by=group_by, after=cursor, limit=limit + 1)
        items = _named(connection, group_by, found[:limit])
    return UsagePage(items, has_more=len(found) > limit, begins=begins, ends=ends)


def of_key(gateway: Gateway, key_id: int, *, project_id: int) -> Usage:
    """What a key (its integer id) has used in the last 30 days."""
    ends = gateway.clock.now_ms() + 1
    scope = Scope(_day(ends - DEFAULT_DAYS * DAY_MS), ends, project_id, key_id)
    with gateway.database.read() as connection:
        return _usage(rows.total(connection, scope), NOBODY)


def _named(connection: Connection, group_by: str, found: Sequence[AnyRow]) -> list[Usage]:
    buckets = [row.bucket for row in found]
    if group_by == "key":
        keys = rows.names_of_keys(connection, buckets)
        return [_of_key(row, keys.get(row.bucket)) for row in found]
    if group_by == "project":
        names = rows.names_of_projects(connection, buckets)
        return [_usage(row, names[row.bucket], project=names[row.bucket]) for row in found]
    if group_by == "day":
        return [_usage(row, str(EPOCH + timedelta(days=row.bucket))) for row in found]
    return [_usage(row, row.bucket) for row in found]


def _of_key(row: AnyRow, key: AnyRow | None) -> Usage:
    if key is None:
        return _usage(row, NOBODY)
    return _usage(row, key.public_id, name=key.name, project=key.project)


def _usage(row: AnyRow, id_: str, *, name: str | None = None, project: str | None = None) -> Usage:
    return Usage(
        id=id_,
        name=name,
        project=project,
        lines=int(row.lines),
        input_tokens=int(row.input_tokens),
        cached_tokens=int(row.cached_tokens),
        output_tokens=int(row.output_tokens),
        reasoning_tokens=int(row.reasoning_tokens),
        cost=int(row.cost_whole) * PART + int(row.cost_part),
        unknown=int(row.unknown),
    )


def _cursor(connection: Connection, group_by: str, after: str) -> str | int:
    found: str | int | None = after
    if group_by == "key":
        found = 0 if after == NOBODY else rows.key_id(connection, after)
    elif group_by == "project":
        found = rows.project_id(connection, after)
    elif group_by == "day":
        try:
            found = (date.fromisoformat(after) - EPOCH).days
        except ValueError:
            found = None
    if found is None:
        raise InvalidRequestError(f"after: there is no {group_by} {after!r:.80}.", param="after")
    return found


def _project_id(connection: Connection, name: str | None) -> int | None:
    found = None if name is None else rows.project_id(connection, name)
    if name is not None and found is None:
        raise InvalidRequestError(f"project: there is no project {name!r:.80}.", param="project")
    return found


def _key_id(connection: Connection, public_id: str | None) -> int | None:
    found = None if public_id is None else rows.key_id(connection, public_id)
    if public_id is not None and found is None:
        raise InvalidRequestError(f"key: there is no key {public_id!r:.80}.", param="key")
    return found


def _day(instant: int) -> int:
    """The beginning (UTC) of the day that the instant is in."""
    return instant - instant % DAY_MS
