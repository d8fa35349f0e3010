"""Files that lines of a batch name. Older processes write no rows, and run no lines that name files."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BIG_INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "batch_files",
        sa.Column("batch_id", BIG_INT, autoincrement=False, nullable=False),
        sa.Column("file_id", BIG_INT, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], name=op.f("fk_batch_files_file_id")),
        sa.PrimaryKeyConstraint("batch_id", "file_id", name=op.f("pk_batch_files")),
        comment="Files that lines of a batch name; while the batch is not over, they cannot be deleted.",
        sqlite_with_rowid=False,
    )
    op.create_index("ix_batch_files_file_id", "batch_files", ["file_id"])
