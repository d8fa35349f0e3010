"""How batches are steered, and why they wait.

Workers of the release before neither know priorities and pauses of batches nor write why they cannot work: until they
are gone, they may run lines of a paused batch.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BIG_INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RUNNING = "status IN ('validating', 'in_progress', 'finalizing', 'cancelling')"


def upgrade() -> None:
    op.add_column("batches", sa.Column("priority", sa.BigInteger(), server_default="0", nullable=False))
    for name in ("concurrency", "finish_by", "not_before", "off_peak_until", "paused_at"):
        op.add_column("batches", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("capacity_permits", sa.Column("in_flight", sa.BigInteger(), nullable=True))
    op.add_column("workers", sa.Column("lease_until", sa.BigInteger(), nullable=True))
    op.add_column("workers", sa.Column("fault", sa.String(length=512), nullable=True))
    off_peak = sa.text(f"{RUNNING} AND off_peak_until IS NOT NULL")
    op.create_index(
        "ix_batches_off_peak", "batches", ["off_peak_until"], sqlite_where=off_peak, postgresql_where=off_peak
    )
    op.create_index("ix_batch_chunks_batch_id_created_at", "batch_chunks", ["batch_id", "created_at"])
    op.drop_index("ix_batch_chunks_batch_id", table_name="batch_chunks")
    op.create_table(
        "batch_permits",
        sa.Column("batch_id", BIG_INT, autoincrement=False, nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("wanted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "worker", name=op.f("pk_batch_permits")),
        comment="How many lines of a batch with a `concurrency` each worker may have in flight; shares add up to it.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "off_peak_windows",
        sa.Column("id", BIG_INT, autoincrement=True, nullable=False),
        sa.Column("account_id", BIG_INT, nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("days", sa.String(length=32), nullable=False),
        sa.Column("begins_minute", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("ends_minute", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("percent", sa.BigInteger(), server_default="100", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_off_peak_windows_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_off_peak_windows")),
        comment="Hours in which an account is cheaper, in a time zone. Model '' is all models, `percent` what is paid.",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_off_peak_windows_account_id"), "off_peak_windows", ["account_id"])
