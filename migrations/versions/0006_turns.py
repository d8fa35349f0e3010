"""Workers look for batches a project at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

RUNNING = sa.text("status IN ('validating', 'in_progress', 'finalizing', 'cancelling')")


def upgrade() -> None:
    op.create_index(
        "ix_batches_turns",
        "batches",
        ["status", "project_id", "expires_at"],
        sqlite_where=RUNNING,
        postgresql_where=RUNNING,
    )
