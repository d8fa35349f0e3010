"""A copy of a store is fenced, so that only one of the two sends lines and creates or deletes objects at providers."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "store_state",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=512), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'fenced', 'moved')", name=op.f("ck_store_state_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_state")),
        comment="One row at most: whether processes may use this store. A copy is fenced until an operator takes it over.",
        sqlite_autoincrement=True,
    )
