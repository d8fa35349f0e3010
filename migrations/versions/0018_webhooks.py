"""Webhooks: endpoints of projects, the outbox of what they are told, and secrets of providers' own webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BIG_INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", BIG_INT, autoincrement=True, nullable=False),
        sa.Column("public_id", sa.String(length=48), nullable=False),
        sa.Column("project_id", BIG_INT, nullable=False),
        sa.Column("key_id", BIG_INT, nullable=True),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("event_types", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("payload", sa.String(length=16), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_old_secret", sa.LargeBinary(), nullable=True),
        sa.Column("old_secret_until", sa.BigInteger(), nullable=True),
        sa.Column("secret_hint", sa.String(length=32), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("failures", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("paused_until", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("worker", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("payload IN ('thin', 'full')", name=op.f("ck_webhook_endpoints_payload")),
        sa.CheckConstraint("scope IN ('project', 'batch')", name=op.f("ck_webhook_endpoints_scope")),
        sa.ForeignKeyConstraint(["key_id"], ["virtual_keys.id"], name=op.f("fk_webhook_endpoints_key_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_webhook_endpoints_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
        sa.UniqueConstraint("public_id", name=op.f("uq_webhook_endpoints_public_id")),
        comment="Where events are delivered: endpoints of projects, and those that single batches brought along. Secrets "
        "are sealed; `next_at` is when something may be due, and the lease is of the worker that delivers.",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_webhook_endpoints_due",
        "webhook_endpoints",
        ["next_at"],
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_index(
        "ix_webhook_endpoints_list",
        "webhook_endpoints",
        ["project_id", "created_at", "id"],
        sqlite_where=sa.text("deleted_at IS NULL AND scope = 'project'"),
        postgresql_where=sa.text("deleted_at IS NULL AND scope = 'project'"),
    )
    op.create_index(
        "uq_webhook_endpoints_fingerprint",
        "webhook_endpoints",
        ["project_id", "fingerprint"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL AND fingerprint IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NULL AND fingerprint IS NOT NULL"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", BIG_INT, autoincrement=True, nullable=False),
        sa.Column("public_id", sa.String(length=48), nullable=False),
        sa.Column("project_id", BIG_INT, nullable=False),
        sa.Column("endpoint_id", BIG_INT, nullable=False),
        sa.Column("batch_id", BIG_INT, nullable=True),
        sa.Column("event_id", sa.String(length=48), nullable=False),
        sa.Column("event_type", sa.String(length=32), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status_code", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(length=512), nullable=True),
        sa.Column("latency_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("event_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("attempted_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("origin IN ('event', 'replay', 'test')", name=op.f("ck_webhook_deliveries_origin")),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'failed', 'dropped')", name=op.f("ck_webhook_deliveries_state")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_webhook_deliveries_batch_id")),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoints.id"], name=op.f("fk_webhook_deliveries_endpoint_id")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_webhook_deliveries_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("public_id", name=op.f("uq_webhook_deliveries_public_id")),
        comment="What an endpoint is told, and how that went: written in the transaction that ends the batch, kept after "
        "the last attempt.",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_deliveries_batch_id", "webhook_deliveries", ["batch_id", "created_at"])
    op.create_index(
        "ix_webhook_deliveries_expiry",
        "webhook_deliveries",
        ["expires_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_webhook_deliveries_ended",
        "webhook_deliveries",
        ["ended_at"],
        sqlite_where=sa.text("state <> 'pending'"),
        postgresql_where=sa.text("state <> 'pending'"),
    )
    op.create_index("ix_webhook_deliveries_endpoint", "webhook_deliveries", ["endpoint_id", "created_at", "id"])
    op.create_index("ix_webhook_deliveries_list", "webhook_deliveries", ["project_id", "created_at", "id"])
    op.create_index(
        "ix_webhook_deliveries_pending",
        "webhook_deliveries",
        ["endpoint_id", "next_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.add_column("accounts", sa.Column("sealed_webhook_secret", sa.LargeBinary(), nullable=True))
    # In words, as SQLite takes constraints only together with their column.
    kind = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(
        f"ALTER TABLE batches ADD COLUMN webhook_endpoint_id {kind} "
        "CONSTRAINT fk_batches_webhook_endpoint_id REFERENCES webhook_endpoints (id)"
    )
