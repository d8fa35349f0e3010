"""Sums up the ledger by key, project, provider, model or day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Connection

from app.data.money import usage as rows
from app.data.money.usage import DAY_MS, PART, KeyName, Scope, Sums
from app.errors import InvalidRequestError
from app.services.gateway import Gateway

GROUPS = rows.GROUPS
DEFAULT_DAYS = 30
MAX_DAYS = 366
NOBODY = "-"
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums of one group. `id` is a project's name, a key's public id, a provider, `provider/model` or a day.

    `cost` is the picodollars of all entries with a known cost; `unknown` counts the entries without one.
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
    """One page of groups in order, whether more follow, and the period (Unix ms, its end excluded)."""

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
    """Returns the sums of groups after the group `after`, from `begins` to `ends` (by default the last 30 days).

    Raises InvalidRequestError when the period is empty or too long, or a group, project or key is unknown.
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
        sums = rows.sums(connection, scope, group_by=group_by, after=cursor, limit=limit + 1)
        items = _named(connection, group_by, sums[:limit])
    return UsagePage(items, has_more=len(sums) > limit, begins=begins, ends=ends)


def of_key(gateway: Gateway, key_id: int, *, project_id: int) -> Usage:
    """Returns what a key (by its integer id) has used in the last 30 days."""
    ends = gateway.clock.now_ms() + 1
    scope = Scope(_day(ends - DEFAULT_DAYS * DAY_MS), ends, project_id, key_id)
    with gateway.database.read() as connection:
        return _usage(rows.total(connection, scope), NOBODY)


def _named(connection: Connection, group_by: str, groups: Sequence[Sums]) -> list[Usage]:
    if group_by in ("provider", "model"):
        return [_usage(group, str(group.bucket)) for group in groups]
    numbered = [(group, int(group.bucket or 0)) for group in groups]
    if group_by == "day":
        return [_usage(group, str(EPOCH + timedelta(days=days))) for group, days in numbered]
    ids = [row_id for _, row_id in numbered]
    if group_by == "key":
        keys = rows.names_of_keys(connection, ids)
        return [_of_key(group, keys.get(key_id)) for group, key_id in numbered]
    names = rows.names_of_projects(connection, ids)
    return [_usage(group, names[project_id], project=names[project_id]) for group, project_id in numbered]


def _of_key(sums: Sums, key: KeyName | None) -> Usage:
    if key is None:
        return _usage(sums, NOBODY)
    return _usage(sums, key.public_id, name=key.name, project=key.project)


def _usage(sums: Sums, id_: str, *, name: str | None = None, project: str | None = None) -> Usage:
    return Usage(
        id=id_,
        name=name,
        project=project,
        lines=sums.lines,
        input_tokens=sums.input_tokens,
        cached_tokens=sums.cached_tokens,
        output_tokens=sums.output_tokens,
        reasoning_tokens=sums.reasoning_tokens,
        cost=sums.cost_whole * PART + sums.cost_part,
        unknown=sums.unknown,
    )


def _cursor(connection: Connection, group_by: str, after: str) -> str | int:
    cursor: str | int | None = after
    if group_by == "key":
        cursor = 0 if after == NOBODY else rows.key_id(connection, after)
    elif group_by == "project":
        cursor = rows.project_id(connection, after)
    elif group_by == "day":
        try:
            cursor = (date.fromisoformat(after) - EPOCH).days
        except ValueError:
            cursor = None
    if cursor is None:
        raise InvalidRequestError(f"after: there is no {group_by} {after!r:.80}.", param="after")
    return cursor


def _project_id(connection: Connection, name: str | None) -> int | None:
    row_id = None if name is None else rows.project_id(connection, name)
    if name is not None and row_id is None:
        raise InvalidRequestError(f"project: there is no project {name!r:.80}.", param="project")
    return row_id


def _key_id(connection: Connection, public_id: str | None) -> int | None:
    row_id = None if public_id is None else rows.key_id(connection, public_id)
    if public_id is not None and row_id is None:
        raise InvalidRequestError(f"key: there is no key {public_id!r:.80}.", param="key")
    return row_id


def _day(instant: int) -> int:
    """Returns the beginning (UTC) of the day that contains the instant."""
    return instant - instant % DAY_MS
