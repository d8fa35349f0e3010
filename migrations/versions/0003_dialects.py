"""Lines that were translated: what they are called at the provider, and the fields that its dialect cannot express."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batch_lines", sa.Column("wire_id", sa.String(length=64), nullable=True))
    op.add_column("batch_lines", sa.Column("dropped_fields", sa.Text(), nullable=True))
