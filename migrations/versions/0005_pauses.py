"""What providers refuse, and which lines wait for what."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "pauses",
        sa.Column("id", big, autoincrement=True, nullable=False),
        sa.Column("account_id", big, nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("project_id", big, nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("paused_until", sa.BigInteger(), nullable=False),
        sa.Column("pauses", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status_code", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(length=128), nullable=True),
        sa.Column("message", sa.String(length=512), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_pauses_account_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_pauses_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
        comment="What is refused: no lines but probes go there. Model '' is the whole account, no project is all of them.",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_pauses_project",
        "pauses",
        ["account_id", "model", "project_id"],
        unique=True,
        sqlite_where=sa.text("project_id IS NOT NULL"),
        postgresql_where=sa.text("project_id IS NOT NULL"),
    )
    op.create_index(
        "uq_pauses_all",
        "pauses",
        ["account_id", "model"],
        unique=True,
        sqlite_where=sa.text("project_id IS NULL"),
        postgresql_where=sa.text("project_id IS NULL"),
    )
    op.create_table(
        "batch_line_waits",
        sa.Column("batch_id", big, autoincrement=False, nullable=False),
        sa.Column("line", big, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("refusals", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refused_since", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("status_code", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(length=128), nullable=True),
        sa.Column("message", sa.String(length=512), nullable=True),
        sa.CheckConstraint("state IN ('running', 'retry')", name=op.f("ck_batch_line_waits_state")),
        sa.PrimaryKeyConstraint("batch_id", "line", name=op.f("pk_batch_line_waits")),
        comment="Lines that have run for a while, or wait to be sent again; the rows of others are gone within seconds.",
        sqlite_with_rowid=False,
    )
