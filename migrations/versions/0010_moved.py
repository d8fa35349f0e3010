"""Where bytes are after a move to another store; NULL, as older processes write, is under their key."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BLOBS = (
    "Bytes the gateway holds, in `store`, under the name `object` if they were moved, else under `key`. The row is "
    "committed before the first byte and goes after the last."
)


def upgrade() -> None:
    op.add_column("blobs", sa.Column("object", sa.String(255), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.create_table_comment("blobs", BLOBS)
