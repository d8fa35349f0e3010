"""What providers hold for the gateway: native objects, copies, native batches; credentials of accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ACCOUNTS = "Configured credentials (sealed) and base URLs at providers. A retired one stays until its work is over."


def upgrade() -> None:
    # In words, as SQLite takes a foreign key only together with its column.
    kind = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(
        f"ALTER TABLE containers ADD COLUMN account_id {kind} CONSTRAINT fk_containers_account_id REFERENCES accounts (id)"
    )
    op.create_table(
        "native_objects",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("native_id", sa.String(length=512), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("variant", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("filename", sa.String(length=512), nullable=False),
        sa.Column("status", sa.String(length=16), server_default="processed", nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("worker", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'live', 'unknown', 'deleting', 'deleted')", name=op.f("ck_native_objects_state")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_native_objects_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_native_objects")),
        comment="Files at accounts, under native ids; the row is committed before the file is made there.",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_native_objects_expiry",
        "native_objects",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'live' AND expires_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'live' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_native_objects_held",
        "native_objects",
        ["account_id"],
        unique=False,
        sqlite_where=sa.text("state <> 'deleted'"),
        postgresql_where=sa.text("state <> 'deleted'"),
    )
    op.create_index("ix_native_objects_native_id", "native_objects", ["native_id"], unique=False)
    op.create_index(
        "ix_native_objects_unsettled",
        "native_objects",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending', 'deleting')"),
        postgresql_where=sa.text("state IN ('pending', 'deleting')"),
    )
    op.create_index(
        "uq_native_objects_native_id",
        "native_objects",
        ["account_id", "native_id"],
        unique=True,
        sqlite_where=sa.text("native_id IS NOT NULL AND state <> 'deleted'"),
        postgresql_where=sa.text("native_id IS NOT NULL AND state <> 'deleted'"),
    )
    op.create_table(
        "file_copies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("file_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("native_object_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("variant", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], name=op.f("fk_file_copies_file_id")),
        sa.ForeignKeyConstraint(
            ["native_object_id"], ["native_objects.id"], name=op.f("fk_file_copies_native_object_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_copies")),
        comment="That a file is represented by a native object, in one variant; the object goes with its last copy.",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_file_copies_file_id", "file_copies", ["file_id", "variant"], unique=False)
    op.create_index(op.f("ix_file_copies_native_object_id"), "file_copies", ["native_object_id"], unique=False)
    op.create_table(
        "batch_jobs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_line", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_line", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lines", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rewritten", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("marker", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_object_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("native_id", sa.String(length=512), nullable=True),
        sa.Column("native_status", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=True),
        sa.Column("output_native_id", sa.String(length=512), nullable=True),
        sa.Column("error_native_id", sa.String(length=512), nullable=True),
        sa.Column("native_total", sa.BigInteger(), nullable=True),
        sa.Column("native_completed", sa.BigInteger(), nullable=True),
        sa.Column("native_failed", sa.BigInteger(), nullable=True),
        sa.Column("errors", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("lines_completed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lines_failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("refreshed_at", sa.BigInteger(), nullable=True),
        sa.Column("faults", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("creating_at", sa.BigInteger(), nullable=True),
        sa.Column("submitted_at", sa.BigInteger(), nullable=True),
        sa.Column("cancel_sent_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("native_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'creating', 'running', 'ended', 'done', 'unknown')", name=op.f("ck_batch_jobs_state")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_batch_jobs_account_id")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_jobs_batch_id")),
        sa.ForeignKeyConstraint(["input_object_id"], ["native_objects.id"], name=op.f("fk_batch_jobs_input_object_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_jobs")),
        sa.UniqueConstraint("marker", name=op.f("uq_batch_jobs_marker")),
        comment="Native batches: one row for each job of a batch, committed before the provider is asked to make it.",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_batch_jobs_due",
        "batch_jobs",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("state <> 'done'"),
        postgresql_where=sa.text("state <> 'done'"),
    )
    op.create_index(
        "ix_batch_jobs_held",
        "batch_jobs",
        ["account_id"],
        unique=False,
        sqlite_where=sa.text("state <> 'done'"),
        postgresql_where=sa.text("state <> 'done'"),
    )
    op.create_index("ix_batch_jobs_native_id", "batch_jobs", ["native_id"], unique=False)
    op.create_index("uq_batch_jobs_number", "batch_jobs", ["batch_id", "number"], unique=True)
    op.add_column("accounts", sa.Column("sealed_credential", sa.LargeBinary(), nullable=True))
    op.add_column("accounts", sa.Column("fingerprint", sa.String(length=64), nullable=True))
    op.add_column("accounts", sa.Column("options", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("accounts", sa.Column("models", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("accounts", sa.Column("abilities", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("accounts", sa.Column("weight", sa.BigInteger(), server_default="1", nullable=False))
    op.add_column("accounts", sa.Column("max_concurrency", sa.BigInteger(), nullable=True))
    op.add_column("accounts", sa.Column("disabled_at", sa.BigInteger(), nullable=True))
    op.add_column("accounts", sa.Column("verified_at", sa.BigInteger(), nullable=True))
    op.add_column("accounts", sa.Column("changed_at", sa.BigInteger(), nullable=True))
    op.add_column("container_files", sa.Column("native_id", sa.String(length=512), nullable=True))
    op.create_index(
        "uq_container_files_native",
        "container_files",
        ["container_id", "native_id"],
        unique=True,
        sqlite_where=sa.text("native_id IS NOT NULL AND deleted_at IS NULL"),
        postgresql_where=sa.text("native_id IS NOT NULL AND deleted_at IS NULL"),
    )
    op.add_column("containers", sa.Column("native_id", sa.String(length=512), nullable=True))
    op.add_column("containers", sa.Column("refreshed_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_containers_native",
        "containers",
        ["native_id", "account_id"],
        unique=False,
        sqlite_where=sa.text("native_id IS NOT NULL"),
        postgresql_where=sa.text("native_id IS NOT NULL"),
    )
    op.add_column("files", sa.Column("adopted_at", sa.BigInteger(), nullable=True))
    op.add_column("files", sa.Column("refreshed_at", sa.BigInteger(), nullable=True))
    op.add_column("virtual_keys", sa.Column("accounts", sa.JSON(none_as_null=True), nullable=True))
    if kind == "BIGINT":
        op.create_table_comment("accounts", ACCOUNTS)


def downgrade() -> None:
    raise NotImplementedError("This revision holds credentials and native ids; restore a backup instead.")
