"""Queries on accounts. An account can be called while its credential is kept; each change increases `changed_at`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, case, exists, func, or_, select, update

from app.data.store.database import insert_absent, now_ms
from app.data.tables import accounts, batch_jobs, batches, containers, native_objects
from app.lib.states import TERMINAL

ENVIRONMENT = "environment"
COMMAND_LINE = "command line"
# Created from a provider key that a caller sent; only that caller uses the account.
CALLER = "caller"


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as stored. Instants are Unix milliseconds; `options` may hold values that must not be shown."""

    id: int
    provider: str
    name: str
    source: str
    base_url: str
    weight: int
    max_concurrency: int | None
    models: Mapping[str, str] | None
    options: Mapping[str, str] | None = field(repr=False)
    abilities: Mapping[str, str] | None
    limits: Mapping[str, int] | None
    sealed_credential: bytes | None = field(repr=False)
    fingerprint: str | None
    retired_at: int | None
    disabled_at: int | None
    changed_at: int | None


@dataclass(frozen=True, slots=True)
class AccountName:
    """An account, named but without its settings."""

    id: int
    provider: str
    name: str


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """The sealed secret with which an account's provider signs its own webhooks."""

    account_id: int
    sealed: bytes = field(repr=False)


class AccountValues(TypedDict, total=False):
    """Columns to write. An instant that is True becomes the current time of the database's clock."""

    name: str
    sealed_credential: bytes
    fingerprint: str
    base_url: str
    weight: int
    max_concurrency: int | None
    models: Mapping[str, str] | None
    options: Mapping[str, str] | None
    abilities: Mapping[str, str] | None
    limits: Mapping[str, int] | None
    retired_at: bool
    disabled_at: bool | int | None
    verified_at: bool


_KEPT = accounts.c.sealed_credential.is_not(None)
_version = func.coalesce(accounts.c.changed_at, 0)
# Strictly increasing for each row, even when it changes twice within a millisecond.
_NEXT_CHANGE = case((_version >= now_ms(), _version + 1), else_=now_ms())
# Built once: every web process runs it every two seconds.
_VERSIONS = select(accounts.c.id, _version.label("changed_at")).where(_KEPT)
_ROWS = select(*(accounts.c[column.name] for column in fields(AccountRow)))
_NAMES = select(accounts.c.id, accounts.c.provider, accounts.c.name)


def version(connection: Connection, account_id: int) -> int:
    """Returns `changed_at` of an account, 0 when it was never changed."""
    return int(connection.execute(select(_version).where(accounts.c.id == account_id)).scalar() or 0)


def versions(connection: Connection) -> dict[int, int]:
    """Returns `changed_at` of each account whose credential is kept, by account id."""
    return {row.id: row.changed_at for row in connection.execute(_VERSIONS)}


def kept(connection: Connection) -> Sequence[AccountRow]:
    """Returns all accounts whose credential is kept, oldest first."""
    return [AccountRow(**row._mapping) for row in connection.execute(_ROWS.where(_KEPT).order_by(accounts.c.id))]


def list_all(connection: Connection) -> Sequence[AccountRow]:
    """Returns accounts by provider and name: those in use, and retired ones whose credential is still kept."""
    statement = _ROWS.where(or_(_KEPT, accounts.c.retired_at.is_(None)))
    rows = connection.execute(statement.order_by(accounts.c.provider, accounts.c.name))
    return [AccountRow(**row._mapping) for row in rows]


def find(connection: Connection, *, provider: str, name: str) -> AccountRow | None:
    """Returns the account of this name that is not retired."""
    where = (accounts.c.provider == provider, accounts.c.name == name, accounts.c.retired_at.is_(None))
    row = connection.execute(_ROWS.where(*where)).first()
    return None if row is None else AccountRow(**row._mapping)


def webhook_secret(connection: Connection, *, provider: str, name: str) -> WebhookSecret | None:
    """Returns the secret of an account that is not retired; None when it has none."""
    where = (accounts.c.provider == provider, accounts.c.name == name, accounts.c.retired_at.is_(None))
    statement = select(accounts.c.id, accounts.c.sealed_webhook_secret).where(*where)
    row = connection.execute(statement).first()
    return None if row is None or row.sealed_webhook_secret is None else WebhookSecret(*row)


def set_webhook_secret(connection: Connection, account_id: int, sealed: bytes | None) -> None:
    """Writes the secret of an account's webhooks, which its calls do not depend on."""
    statement = update(accounts).where(accounts.c.id == account_id)
    connection.execute(statement.values(sealed_webhook_secret=sealed))


def ensure(connection: Connection, *, provider: str, name: str, base_url: str, source: str = ENVIRONMENT) -> int:
    """Returns the id of the row with this name, inserting it if absent. `fill` must then set its credential."""
    get = select(accounts.c.id).where(accounts.c.provider == provider, accounts.c.name == name)
    account_id = connection.execute(get).scalar()
    if account_id is None:
        values = {"provider": provider, "name": name, "source": source, "base_url": base_url}
        insert_absent(connection, accounts, created_at=now_ms(), **values)
        account_id = connection.execute(get).scalar_one()
    return int(account_id)


def fill(connection: Connection, account_id: int, **values: Unpack[AccountValues]) -> bool:
    """Writes a new row's credential and other columns. Returns False when another process has written them first."""
    statement = update(accounts).where(accounts.c.id == account_id, ~_KEPT, accounts.c.retired_at.is_(None))
    return connection.execute(statement.values(changed_at=_NEXT_CHANGE, **_stamped(values))).rowcount == 1


def change(
    connection: Connection, account_id: int, *, seen: int | None = None, **values: Unpack[AccountValues]
) -> bool:
    """Writes columns of an account. Returns False when it is retired, or when `changed_at` is no longer `seen`."""
    where = [accounts.c.id == account_id, accounts.c.retired_at.is_(None)]
    if seen is not None:
        where.append(_version == seen)
    statement = update(accounts).where(*where).values(changed_at=_NEXT_CHANGE, **_stamped(values))
    return connection.execute(statement).rowcount == 1


def retire(connection: Connection, account_id: int, *, name: str, seen: int | None = None) -> bool:
    """Retires an account and renames it, which frees its name. Its credential is kept until its work is done."""
    return change(connection, account_id, seen=seen, name=name, retired_at=True)


def revive(connection: Connection, *, provider: str, name: str, fingerprint: str, base_url: str) -> bool:
    """Takes a retired account of the environment back into use, if one with this credential and base URL is kept."""
    where = (
        accounts.c.provider == provider,
        accounts.c.fingerprint == fingerprint,
        accounts.c.base_url == base_url,
        accounts.c.source == ENVIRONMENT,
        accounts.c.retired_at.is_not(None),
        _KEPT,
    )
    newest = select(func.max(accounts.c.id)).where(*where).scalar_subquery()
    values = {"name": name, "retired_at": None, "verified_at": now_ms(), "changed_at": _NEXT_CHANGE}
    return connection.execute(update(accounts).where(accounts.c.id == newest, *where).values(values)).rowcount == 1


def verified(connection: Connection, account_ids: Sequence[int], *, older_ms: int) -> None:
    """Records that a process has these accounts in its environment, at most once every `older_ms`."""
    stale = or_(accounts.c.verified_at.is_(None), accounts.c.verified_at < now_ms() - older_ms)
    where = (accounts.c.id.in_(list(account_ids)), stale)
    if connection.execute(select(accounts.c.id).where(*where).limit(1)).first():
        connection.execute(update(accounts).where(*where).values(verified_at=now_ms()))


def unseen(connection: Connection, *, older_ms: int) -> Sequence[AccountName]:
    """Returns the accounts of the environment that no process has had for `older_ms`."""
    where = (
        accounts.c.source == ENVIRONMENT,
        accounts.c.retired_at.is_(None),
        accounts.c.verified_at < now_ms() - older_ms,
    )
    return _names(connection, *where)


def is_recent(connection: Connection, account_id: int, *, within_ms: int) -> bool:
    """Returns True when the account was verified within the last `within_ms`."""
    where = (accounts.c.id == account_id, accounts.c.verified_at > now_ms() - within_ms)
    return connection.execute(select(accounts.c.id).where(*where)).first() is not None


def idle_callers(connection: Connection, *, older_ms: int) -> Sequence[AccountName]:
    """Returns callers' own accounts that have not been used for `older_ms` and have no work left."""
    where = (
        accounts.c.source == CALLER,
        accounts.c.retired_at.is_(None),
        accounts.c.verified_at < now_ms() - older_ms,
        ~_has_work(),
    )
    return _names(connection, *where)


def held(connection: Connection, account_id: int, *, limit: int) -> list[tuple[str, str]]:
    """Returns (kind, native id) of up to `limit` jobs, files and containers each that the account should have.

    Jobs come first, and the newest of each kind.
    """
    objects: list[tuple[str, str]] = []
    for kind, table, states in (
        ("job", batch_jobs, batch_jobs.c.state.in_(("running", "ended"))),
        ("file", native_objects, native_objects.c.state == "live"),
        ("container", containers, containers.c.status == "running"),
    ):
        where = (table.c.account_id == account_id, table.c.native_id.is_not(None), states)
        newest = select(table.c.native_id).where(*where).order_by(table.c.id.desc()).limit(limit)
        objects += [(kind, native_id) for native_id in connection.execute(newest).scalars()]
    return objects


def has_work(connection: Connection, account_id: int) -> bool:
    """Returns True while the account has an unfinished batch, or a job, file or container at the provider."""
    return connection.execute(select(accounts.c.id).where(accounts.c.id == account_id, _has_work())).first() is not None


def idle_retired(connection: Connection, *, older_ms: int) -> Sequence[AccountName]:
    """Returns accounts that were retired at least `older_ms` ago, still keep a credential and have no work left."""
    return _names(connection, *_idle(older_ms))


def wipe(connection: Connection, account_id: int, *, older_ms: int) -> bool:
    """Deletes the credential of an account. Returns False when `idle_retired` would no longer list the account."""
    gone = ("sealed_credential", "sealed_webhook_secret", "fingerprint", "options")
    values: Mapping[str, Any] = dict.fromkeys(gone)
    where = (accounts.c.id == account_id, *_idle(older_ms))
    return connection.execute(update(accounts).where(*where).values(values)).rowcount == 1


def _names(connection: Connection, *where: ColumnElement[bool]) -> Sequence[AccountName]:
    return [AccountName(**row._mapping) for row in connection.execute(_NAMES.where(*where))]


def _idle(older_ms: int) -> tuple[ColumnElement[bool], ...]:
    return accounts.c.retired_at < now_ms() - older_ms, _KEPT, ~_has_work()


def _has_work() -> ColumnElement[bool]:
    return or_(
        exists().where(batches.c.account_id == accounts.c.id, batches.c.status.not_in(TERMINAL)),
        exists().where(batch_jobs.c.account_id == accounts.c.id, batch_jobs.c.state != "done"),
        exists().where(native_objects.c.account_id == accounts.c.id, native_objects.c.state != "deleted"),
        exists().where(containers.c.account_id == accounts.c.id, containers.c.status == "running"),
    )


def _stamped(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces instants that are True by the current time of the database's clock."""
    return {name: now_ms() if value is True else value for name, value in values.items()}
