"""What all tables share: one MetaData, naming of constraints, and short forms for columns."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, MetaData, String, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite makes only an INTEGER primary key an alias of its rowid.
BigInt = BigInteger().with_variant(Integer(), "sqlite")

# SQLite would reuse the id of the newest row once it is deleted, and a late writer could then hit the wrong row.
IDS_NEVER_REUSED: dict[str, Any] = {"sqlite_autoincrement": True}


def identity() -> Column[int]:
    """The integer primary key; it never leaves the gateway."""
    return Column("id", BigInt, primary_key=True, autoincrement=True)


def public_id() -> Column[str]:
    """The gateway id that clients see."""
    return Column("public_id", String(48), nullable=False, unique=True)


def instant(name: str, *, required: bool = False) -> Column[int]:
    """An instant as Unix milliseconds in UTC."""
    return Column(name, BigInteger, nullable=not required)


def reference(name: str, target: str, *, required: bool = True, **options: Any) -> Column[int]:
    """A foreign key to the integer key of `target`."""
    return Column(name, BigInt, ForeignKey(f"{target}.id"), nullable=not required, **options)


def number(name: str, default: int | None = 0) -> Column[int]:
    """A count or size; NULL is allowed only when there is no default."""
    server_default = None if default is None else str(default)
    return Column(name, BigInteger, nullable=default is None, default=default, server_default=server_default)


def absence() -> tuple[Column[Any], ...]:
    """What is known of an object that its provider says it does not have (`app.data.store.absence`)."""
    return instant("missing_at"), number("missing_looks"), Column("missing_part", String(16)), instant("look_at")


def one_of(column: str, values: Sequence[str]) -> CheckConstraint:
    """CHECK that `column` holds one of `values`."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


ALIVE = "deleted_at IS NULL"


def partial_index(name: str, *columns: Column[Any], where: str, unique: bool = False) -> Index:
    """An index of the rows for which `where` (SQL, the same on both databases) is true."""
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
