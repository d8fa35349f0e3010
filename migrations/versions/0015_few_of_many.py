"""A file's users are found among the batches that run, not all that ever named it, and lines by their state."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    running = sa.text("status IN ('validating', 'in_progress', 'finalizing', 'cancelling')")
    op.create_index(
        "ix_batches_running_input", "batches", ["input_file_id"], sqlite_where=running, postgresql_where=running
    )
    op.create_index("ix_batch_lines_state", "batch_lines", ["batch_id", "state", "line"])
    op.execute(
        "DELETE FROM batch_files WHERE batch_id IN "
        "(SELECT id FROM batches WHERE status IN ('failed', 'completed', 'expired', 'cancelled'))"
    )
