"""Who may do what, and what it costs: roles and lists of keys, limits, prices, the ledger, budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEYS = "Who calls: keys that the gateway issued (public id and HMAC), and subjects of JWTs. NULL lists allow all."


def upgrade() -> None:
    op.create_table(
        "limit_counters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("owner_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("windows", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint("owner IN ('project', 'key', 'account')", name=op.f("ck_limit_counters_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limit_counters")),
        sa.UniqueConstraint("owner", "owner_id", "name", name=op.f("uq_limit_counters_owner_owner_id_name")),
        comment="What limits count: a sum (`value`), or how much in each slice of a sliding window (`windows`).",
        sqlite_autoincrement=True,
    )
    op.create_table(
        "prices",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("input_picodollars", sa.BigInteger(), nullable=True),
        sa.Column("cached_picodollars", sa.BigInteger(), nullable=True),
        sa.Column("output_picodollars", sa.BigInteger(), nullable=True),
        sa.Column("batch_percent", sa.BigInteger(), server_default="100", nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
        comment="Prices of a token, never edited: a new one is a new row, which ends the one before. `model` may end in *.",
        sqlite_autoincrement=True,
    )
    op.create_index("uq_prices_valid_from", "prices", ["provider", "model", "valid_from"], unique=True)
    op.create_table(
        "budgets",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("limit_picodollars", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spent_picodollars", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reserved_picodollars", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("period IN ('day', 'month', 'total')", name=op.f("ck_budgets_period")),
        sa.ForeignKeyConstraint(["key_id"], ["virtual_keys.id"], name=op.f("fk_budgets_key_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_budgets_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        comment="How much a project, or one key of it, may cost in a period (UTC): spent, and reserved by running batches.",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_budgets_key",
        "budgets",
        ["key_id", "period"],
        unique=True,
        sqlite_where=sa.text("key_id IS NOT NULL"),
        postgresql_where=sa.text("key_id IS NOT NULL"),
    )
    op.create_index(
        "uq_budgets_project",
        "budgets",
        ["project_id", "period"],
        unique=True,
        sqlite_where=sa.text("key_id IS NULL"),
        postgresql_where=sa.text("key_id IS NULL"),
    )
    op.create_table(
        "budget_reservations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("budget_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reserved_picodollars", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("left_picodollars", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_budget_reservations_batch_id")),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name=op.f("fk_budget_reservations_budget_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_reservations")),
        sa.UniqueConstraint("batch_id", "budget_id", name=op.f("uq_budget_reservations_batch_id_budget_id")),
        comment="What a batch may still cost a budget: taken when it is made, the rest given back at its end.",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_budget_reservations_budget_id", "budget_reservations", ["budget_id"], unique=False)
    op.create_index(
        "ix_budget_reservations_open",
        "budget_reservations",
        ["batch_id"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "usage_ledger",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("charge_key", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=True),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("execution", sa.String(length=16), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=True),
        sa.Column("price_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("cost_picodollars", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('line', 'attempt', 'job')", name=op.f("ck_usage_ledger_kind")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_usage_ledger_account_id")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_usage_ledger_batch_id")),
        sa.ForeignKeyConstraint(["key_id"], ["virtual_keys.id"], name=op.f("fk_usage_ledger_key_id")),
        sa.ForeignKeyConstraint(["price_id"], ["prices.id"], name=op.f("fk_usage_ledger_price_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_usage_ledger_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_ledger")),
        sa.UniqueConstraint("charge_key", name=op.f("uq_usage_ledger_charge_key")),
        comment="What was used and what it costs, once for each line; what nobody can know the cost of has none.",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_usage_ledger_batch_id", "usage_ledger", ["batch_id"], unique=False)
    op.create_index("ix_usage_ledger_created_at", "usage_ledger", ["created_at"], unique=False)
    op.create_index("ix_usage_ledger_key_id_created_at", "usage_ledger", ["key_id", "created_at"], unique=False)
    op.create_index("ix_usage_ledger_project_id_created_at", "usage_ledger", ["project_id", "created_at"], unique=False)
    op.add_column("accounts", sa.Column("limits", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("batch_lines", sa.Column("model", sa.String(length=256), nullable=True))
    op.create_index(
        "ix_batches_open",
        "batches",
        ["project_id", "key_id"],
        unique=False,
        sqlite_where=sa.text("status IN ('validating', 'in_progress', 'finalizing', 'cancelling')"),
        postgresql_where=sa.text("status IN ('validating', 'in_progress', 'finalizing', 'cancelling')"),
    )
    op.create_index(
        "ix_batches_open_account",
        "batches",
        ["account_id"],
        unique=False,
        sqlite_where=sa.text("status IN ('validating', 'in_progress', 'finalizing', 'cancelling')"),
        postgresql_where=sa.text("status IN ('validating', 'in_progress', 'finalizing', 'cancelling')"),
    )
    op.add_column("events", sa.Column("actor", sa.String(length=128), nullable=True))
    op.add_column("events", sa.Column("address", sa.String(length=64), nullable=True))
    op.drop_index("ix_events_project_id_created_at", table_name="events")
    op.create_index("ix_events_project_id_id", "events", ["project_id", "id"], unique=False)
    op.create_index("ix_events_operation_id", "events", ["operation", "id"], unique=False)
    op.create_index("ix_events_outcome_id", "events", ["outcome", "id"], unique=False)
    op.add_column("projects", sa.Column("description", sa.String(length=256), nullable=True))
    op.add_column("projects", sa.Column("limits", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("projects", sa.Column("archived_at", sa.BigInteger(), nullable=True))
    op.add_column("virtual_keys", sa.Column("description", sa.String(length=256), nullable=True))
    op.add_column("virtual_keys", sa.Column("providers", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("virtual_keys", sa.Column("models", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("virtual_keys", sa.Column("endpoints", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("virtual_keys", sa.Column("networks", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("virtual_keys", sa.Column("limits", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("virtual_keys", sa.Column("issuer", sa.String(length=256), nullable=True))
    op.add_column("virtual_keys", sa.Column("subject", sa.String(length=256), nullable=True))
    op.add_column("virtual_keys", sa.Column("stopped_at", sa.BigInteger(), nullable=True))
    op.add_column("virtual_keys", sa.Column("previous_hmac", sa.String(length=64), nullable=True))
    op.add_column("virtual_keys", sa.Column("previous_until", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_virtual_keys_stopped",
        "virtual_keys",
        ["stopped_at"],
        unique=False,
        sqlite_where=sa.text("stopped_at IS NOT NULL"),
        postgresql_where=sa.text("stopped_at IS NOT NULL"),
    )
    op.create_index(
        "uq_virtual_keys_subject",
        "virtual_keys",
        ["issuer", "subject", "project_id"],
        unique=True,
        sqlite_where=sa.text("issuer IS NOT NULL"),
        postgresql_where=sa.text("issuer IS NOT NULL"),
    )
    # In words, as SQLite takes constraints only together with their column.
    kind = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(f"ALTER TABLE batches ADD COLUMN price_id {kind} CONSTRAINT fk_batches_price_id REFERENCES prices (id)")
    op.execute(
        "ALTER TABLE virtual_keys ADD COLUMN kind VARCHAR(16) DEFAULT 'virtual' NOT NULL "
        "CONSTRAINT ck_virtual_keys_kind CHECK (kind IN ('virtual', 'jwt', 'provider'))"
    )
    op.execute(
        "ALTER TABLE virtual_keys ADD COLUMN role VARCHAR(16) DEFAULT 'member' NOT NULL "
        "CONSTRAINT ck_virtual_keys_role CHECK (role IN ('admin', 'member', 'viewer'))"
    )
    for owner in ("project", "key"):
        # What is stored already counts, whenever a limit is set.
        op.execute(
            "INSERT INTO limit_counters (owner, owner_id, name, value) "  # noqa: S608 - words of this file
            f"SELECT '{owner}', {owner}_id, 'stored_bytes', SUM(bytes) FROM files "
            f"WHERE deleted_at IS NULL AND blob_id IS NOT NULL AND {owner}_id IS NOT NULL GROUP BY {owner}_id"
        )
    if kind == "BIGINT":
        op.create_table_comment("virtual_keys", KEYS)
