"""The events of one object are found by an index."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_object_id_id", "events", ["object_id", "id"])
