"""What an upload found out about a batch input; NULL, as older processes write, has batches read the whole input."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("blobs", sa.Column("input_facts", sa.JSON(none_as_null=True), nullable=True))
