"""What cached input costs in a provider's own batches; NULL, as older processes write, is the same as other tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("prices", sa.Column("cached_batch_percent", sa.BigInteger(), nullable=True))
