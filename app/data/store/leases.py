"""The lease idiom: how a row becomes one worker's for a while, and how a worker that lost it cannot write any more.

A table whose rows are leased has three columns:

- `worker`: who has the row; NULL while nobody does.
- `lease_until`: when the lease runs out. The database's clock decides, so the clocks of hosts do not matter.
- an epoch (`epoch`, elsewhere `attempts`): the number of claims so far.

A claim succeeds only on a row that is free (never leased, released, or its lease has expired) and whose epoch is still
the one that the claimer read; it raises the epoch by one. The pair of epoch and worker then identifies this claim.
Every write under the lease repeats that pair in its WHERE clause, and its row count says whether the lease still held:
a worker that stood still for longer than its lease, and was overtaken, changes nothing. A worker that writes several
rows holds the lease first, in the same transaction: that locks the leased row until the commit, and renews the lease.

`app.services.leases` has the part that services share.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, Connection, Table, and_, or_, select, tuple_, update
from sqlalchemy.sql import ColumnElement

from app.data.store.database import now_ms

# What a write sets to release the row with it.
RELEASED: Final[dict[str, Any]] = {"worker": None, "lease_until": None}


@dataclass(frozen=True, slots=True)
class Lease:
    """A row in one worker's hands: its key, the epoch of the claim, and the name of the worker."""

    id: int
    epoch: int
    worker: str


@dataclass(frozen=True, slots=True)
class LeasedTable:
    """Leases on the rows of `table`, whose claims `epoch_column` counts.

    The conditions in `where` narrow a write further, such as to a state that the row must be in; `values` are other
    columns that it sets.
    """

    table: Table
    epoch_column: str = "epoch"
    free: ColumnElement[bool] = field(init=False)
    """True of a row that may be claimed."""

    def __post_init__(self) -> None:
        until = self.table.c.lease_until
        object.__setattr__(self, "free", or_(until.is_(None), until < now_ms()))

    @property
    def epoch(self) -> Column[int]:
        """The column that counts the claims of a row."""
        return self.table.c[self.epoch_column]

    def held(self, lease: Lease) -> ColumnElement[bool]:
        """True of the row while the lease is held; an expired lease that nobody has taken over still counts."""
        return and_(self.table.c.id == lease.id, self.epoch == lease.epoch, self.table.c.worker == lease.worker)

    def claim(
        self, connection: Connection, lease: Lease, *where: ColumnElement[bool], lease_ms: int, **values: Any
    ) -> bool:
        """Take a free row. `lease.epoch` is one more than the row's. False when another worker was faster."""
        values |= {"worker": lease.worker, self.epoch_column: lease.epoch, "lease_until": now_ms() + lease_ms}
        seen = (self.table.c.id == lease.id, self.epoch == lease.epoch - 1, self.free)
        return connection.execute(update(self.table).where(*seen, *where).values(**values)).rowcount == 1

    def hold(
        self, connection: Connection, lease: Lease, *where: ColumnElement[bool], lease_ms: int, **values: Any
    ) -> bool:
        """Renew the lease, so that what else this transaction writes is fenced by it. False when it is lost."""
        return self.write(connection, lease, *where, lease_until=now_ms() + lease_ms, **values)

    def write(self, connection: Connection, lease: Lease, *where: ColumnElement[bool], **values: Any) -> bool:
        """Set `values` under the lease. False when it is lost."""
        return connection.execute(update(self.table).where(self.held(lease), *where).values(**values)).rowcount == 1

    def release(self, connection: Connection, lease: Lease, *where: ColumnElement[bool], **values: Any) -> bool:
        """Set `values` and give the row back. False when the lease is lost."""
        return self.write(connection, lease, *where, **(RELEASED | values))

    def renew(
        self, connection: Connection, leases: Collection[Lease], *where: ColumnElement[bool], worker: str, lease_ms: int
    ) -> set[int]:
        """Renew many leases of `worker` at once; returns the ids of the rows whose lease still held."""
        pairs = [(lease.id, lease.epoch) for lease in leases]
        mine = and_(tuple_(self.table.c.id, self.epoch).in_(pairs), self.table.c.worker == worker, *where)
        connection.execute(update(self.table).where(mine).values(lease_until=now_ms() + lease_ms))
        return set(connection.execute(select(self.table.c.id).where(mine)).scalars())
