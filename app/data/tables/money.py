"""What work costs: prices, the ledger of what was used, budgets and what is reserved of them.

Money is whole picodollars: $1 for a million tokens is 1,000,000 picodollars a token. A cost that nobody knows is NULL.
"""

from sqlalchemy import Column, Index, String, Table, UniqueConstraint

from app.data.tables.meta import (
    IDS_NEVER_REUSED,
    identity,
    instant,
    metadata,
    number,
    one_of,
    partial_index,
    reference,
)

LEDGER_KINDS = ("line", "attempt", "job")
PERIODS = ("day", "month", "total")

prices = Table(
    "prices",
    metadata,
    identity(),
    Column("provider", String(64), nullable=False),
    Column("model", String(256), nullable=False),
    number("input_picodollars", None),
    number("cached_picodollars", None),
    number("output_picodollars", None),
    number("batch_percent", 100),
    number("cached_batch_percent", None),
    instant("valid_from", required=True),
    instant("valid_until"),
    Column("source", String(64), nullable=False),
    instant("created_at", required=True),
    **IDS_NEVER_REUSED,
    comment="Prices of a token, never edited: a new one is a new row, which ends the one before. `model` may end in *.",
)
Index("uq_prices_valid_from", prices.c.provider, prices.c.model, prices.c.valid_from, unique=True)

usage_ledger = Table(
    "usage_ledger",
    metadata,
    identity(),
    Column("charge_key", String(96), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    reference("project_id", "projects"),
    reference("key_id", "virtual_keys", required=False),
    reference("account_id", "accounts"),
    reference("batch_id", "batches"),
    number("line", None),
    Column("provider", String(64), nullable=False),
    Column("model", String(256), nullable=False),
    Column("execution", String(16), nullable=False),
    number("input_tokens", None),
    number("cached_tokens", None),
    number("output_tokens", None),
    number("reasoning_tokens", None),
    reference("price_id", "prices", required=False),
    number("cost_picodollars", None),
    instant("created_at", required=True),
    one_of("kind", LEDGER_KINDS),
    **IDS_NEVER_REUSED,
    comment="What was used and what it costs, once for each line; what nobody can know the cost of has none.",
)
Index("ix_usage_ledger_project_id_created_at", usage_ledger.c.project_id, usage_ledger.c.created_at)
Index("ix_usage_ledger_key_id_created_at", usage_ledger.c.key_id, usage_ledger.c.created_at)
Index("ix_usage_ledger_batch_id", usage_ledger.c.batch_id)
Index("ix_usage_ledger_created_at", usage_ledger.c.created_at)

budgets = Table(
    "budgets",
    metadata,
    identity(),
    reference("project_id", "projects"),
    reference("key_id", "virtual_keys", required=False),
    Column("period", String(16), nullable=False),
    number("limit_picodollars"),
    number("spent_picodollars"),
    number("reserved_picodollars"),
    instant("period_start", required=True),
    instant("created_at", required=True),
    instant("changed_at"),
    one_of("period", PERIODS),
    **IDS_NEVER_REUSED,
    comment="How much a project, or one key of it, may cost in a period (UTC): spent, and reserved by running batches.",
)
partial_index("uq_budgets_project", budgets.c.project_id, budgets.c.period, where="key_id IS NULL", unique=True)
partial_index("uq_budgets_key", budgets.c.key_id, budgets.c.period, where="key_id IS NOT NULL", unique=True)

budget_reservations = Table(
    "budget_reservations",
    metadata,
    identity(),
    reference("budget_id", "budgets"),
    reference("batch_id", "batches"),
    number("reserved_picodollars"),
    number("left_picodollars"),
    instant("created_at", required=True),
    instant("settled_at"),
    UniqueConstraint("batch_id", "budget_id"),
    **IDS_NEVER_REUSED,
    comment="What a batch may still cost a budget: taken when it is made, the rest given back at its end.",
)
Index("ix_budget_reservations_budget_id", budget_reservations.c.budget_id)
partial_index(
    "ix_budget_reservations_open",
    budget_reservations.c.batch_id,
    where="settled_at IS NULL",
)
