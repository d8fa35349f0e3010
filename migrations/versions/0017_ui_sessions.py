"""Sessions of the dashboard."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

BIG_INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "ui_sessions",
        sa.Column("id", BIG_INT, primary_key=True, autoincrement=True),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("key_id", BIG_INT, sa.ForeignKey("virtual_keys.id", name="fk_ui_sessions_key_id"), nullable=False),
        sa.Column("project_id", BIG_INT, sa.ForeignKey("projects.id", name="fk_ui_sessions_project_id")),
        sa.Column("key_hmac", sa.String(64)),
        sa.Column("role", sa.String(16)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("token_sha256", name="uq_ui_sessions_token_sha256"),
        sa.CheckConstraint("role IN ('admin', 'member', 'viewer')", name="ck_ui_sessions_role"),
        comment="Who is signed in to the dashboard, by a hash of the cookie; `project_id` is what an admin chose.",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ui_sessions_key_id", "ui_sessions", ["key_id"])
    op.create_index("ix_ui_sessions_expires_at", "ui_sessions", ["expires_at"])
