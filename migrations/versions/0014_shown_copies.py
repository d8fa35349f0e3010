"""The native id that is shown of a file is found in the order of an index, however many copies the file has had."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    shown = sa.text("deleted_at IS NULL AND variant IN ('raw', 'results')")
    op.create_index(
        "ix_file_copies_shown", "file_copies", ["file_id", "id"], sqlite_where=shown, postgresql_where=shown
    )
