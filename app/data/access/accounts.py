"""Rows of accounts. A row whose credential is kept can be called; `changed_at` grows with every change of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, exists, func, or_, select, update

from app.data.store.database import AnyRow, insert_absent, now_ms
from app.data.tables import accounts, batch_jobs, batches, containers, native_objects
from app.lib.states import TERMINAL

ENVIRONMENT = "environment"
COMMAND_LINE = "command line"
# Made of a key that a caller brought: used for that caller only.
CALLER = "caller"

_KEPT = accounts.c.sealed_credential.is_not(None)
_version = func.coalesce(accounts.c.changed_at, 0)
# Never the same twice for one row, also when it changes twice within a millisecond.
_NEXT_CHANGE = case((_version >= now_ms(), _version + 1), else_=now_ms())
# Built once: web processes ask every two seconds.
_VERSIONS = select(accounts.c.id, _version.label("changed_at")).where(_KEPT)


def versions(connection: Connection) -> dict[int, int]:
    """`changed_at` of each account whose credential is kept, by id."""
    return {row.id: row.changed_at for row in connection.execute(_VERSIONS)}


def kept(connection: Connection) -> Sequence[AnyRow]:
    """All accounts whose credential is kept, oldest first."""
    return connection.execute(select(accounts).where(_KEPT).order_by(accounts.c.id)).all()


def list_all(connection: Connection) -> Sequence[AnyRow]:
    """The accounts that are not over, by provider and name; `held` tells whether a retired one has work left."""
    statement = select(accounts, _has_work().label("held")).where(or_(_KEPT, accounts.c.retired_at.is_(None)))
    return connection.execute(statement.order_by(accounts.c.provider, accounts.c.name)).all()


def find(connection: Connection, *, provider: str, name: str) -> AnyRow | None:
    """The account of this name that is not retired."""
    where = (accounts.c.provider == provider, accounts.c.name == name, accounts.c.retired_at.is_(None))
    return connection.execute(select(accounts).where(*where)).first()


def ensure(connection: Connection, *, provider: str, name: str, base_url: str, source: str = ENVIRONMENT) -> int:
    """The id of the row with this name, made if there is none. Its credential is to be filled in."""
    get = select(accounts.c.id).where(accounts.c.provider == provider, accounts.c.name == name)
    found = connection.execute(get).scalar()
    if found is None:
        values = {"provider": provider, "name": name, "source": source, "base_url": base_url}
        insert_absent(connection, accounts, created_at=now_ms(), **values)
        found = connection.execute(get).scalar_one()
    return int(found)


def fill(connection: Connection, account_id: int, **values: Any) -> bool:
    """The first credential of a row, and what else it has. False when another process was first."""
    statement = update(accounts).where(accounts.c.id == account_id, ~_KEPT, accounts.c.retired_at.is_(None))
    return connection.execute(statement.values(changed_at=_NEXT_CHANGE, **_stamped(values))).rowcount == 1


def change(connection: Connection, account_id: int, *, seen: int | None = None, **values: Any) -> bool:
    """Change an account that is not retired. False when it is, or when it is no longer as of `changed_at` = `seen`."""
    where = [accounts.c.id == account_id, accounts.c.retired_at.is_(None)]
    if seen is not None:
        where.append(_version == seen)
    statement = update(accounts).where(*where).values(changed_at=_NEXT_CHANGE, **_stamped(values))
    return connection.execute(statement).rowcount == 1


def retire(connection: Connection, account_id: int, *, name: str, seen: int | None = None) -> bool:
    """Take an account out of use, under another name; its credential stays while it has work."""
    return change(connection, account_id, seen=seen, name=name, retired_at=True)


def revive(connection: Connection, *, provider: str, name: str, fingerprint: str, base_url: str) -> bool:
    """Use a retired account of the environment again, if one has this credential, base URL and work left."""
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
    """Note that a process has these accounts in its environment, unless one said so less than `older_ms` ago."""
    stale = or_(accounts.c.verified_at.is_(None), accounts.c.verified_at < now_ms() - older_ms)
    where = (accounts.c.id.in_(list(account_ids)), stale)
    if connection.execute(select(accounts.c.id).where(*where).limit(1)).first():
        connection.execute(update(accounts).where(*where).values(verified_at=now_ms()))


def unseen(connection: Connection, *, older_ms: int) -> Sequence[AnyRow]:
    """(id, name) of accounts of the environment that no process has had for `older_ms`."""
    where = (
        accounts.c.source == ENVIRONMENT,
        accounts.c.retired_at.is_(None),
        accounts.c.verified_at < now_ms() - older_ms,
    )
    return connection.execute(select(accounts.c.id, accounts.c.provider, accounts.c.name).where(*where)).all()


def is_recent(connection: Connection, account_id: int, *, within_ms: int) -> bool:
    """True when the account was verified so recently."""
    where = (accounts.c.id == account_id, accounts.c.verified_at > now_ms() - within_ms)
    return connection.execute(select(accounts.c.id).where(*where)).first() is not None


def idle_callers(connection: Connection, *, older_ms: int) -> Sequence[AnyRow]:
    """(id, provider, name) of accounts of callers whom nobody has seen for `older_ms`, and that have no work."""
    where = (
        accounts.c.source == CALLER,
        accounts.c.retired_at.is_(None),
        accounts.c.verified_at < now_ms() - older_ms,
        ~_has_work(),
    )
    return connection.execute(select(accounts.c.id, accounts.c.provider, accounts.c.name).where(*where)).all()


def held(connection: Connection, account_id: int, *, limit: int) -> list[tuple[str, str]]:
    """(job, file or container; native id) of a few things that the account should hold, jobs first, newest first."""
    found: list[tuple[str, str]] = []
    for kind, table, states in (
        ("job", batch_jobs, batch_jobs.c.state.in_(("running", "ended"))),
        ("file", native_objects, native_objects.c.state == "live"),
        ("container", containers, containers.c.status == "running"),
    ):
        where = (table.c.account_id == account_id, table.c.native_id.is_not(None), states)
        newest = select(table.c.native_id).where(*where).order_by(table.c.id.desc()).limit(limit)
        found += [(kind, native_id) for native_id in connection.execute(newest).scalars()]
    return found


def has_work(connection: Connection, account_id: int) -> bool:
    """True while a batch is not over, or the provider holds a job, a file or a container for the gateway."""
    return connection.execute(select(accounts.c.id).where(accounts.c.id == account_id, _has_work())).first() is not None


def idle_retired(connection: Connection, *, older_ms: int) -> Sequence[AnyRow]:
    """(id, provider, name) of accounts that were retired so long ago, keep a credential and have no work left."""
    statement = select(accounts.c.id, accounts.c.provider, accounts.c.name)
    return connection.execute(statement.where(*_idle(older_ms))).all()


def wipe(connection: Connection, account_id: int, *, older_ms: int) -> bool:
    """Forget the credential of an account that is as `idle_retired` tells. False when it no longer is."""
    values: Mapping[str, Any] = {"sealed_credential": None, "fingerprint": None, "options": None}
    where = (accounts.c.id == account_id, *_idle(older_ms))
    return connection.execute(update(accounts).where(*where).values(values)).rowcount == 1


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
    """Instants that are True happen now, by the database's clock."""
    return {name: now_ms() if value is True else value for name, value in values.items()}
