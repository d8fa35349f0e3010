"""What providers say they do not have is looked for several times; an older process still takes the first answer."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("native_objects", "containers", "container_files"):
        op.add_column(table, sa.Column("missing_at", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("missing_looks", sa.BigInteger(), nullable=False, server_default="0"))
        op.add_column(table, sa.Column("missing_part", sa.String(16), nullable=True))
        op.add_column(table, sa.Column("look_at", sa.BigInteger(), nullable=True))
    due = sa.text("state = 'live' AND look_at IS NOT NULL")
    op.create_index("ix_native_objects_missing", "native_objects", ["look_at"], sqlite_where=due, postgresql_where=due)
