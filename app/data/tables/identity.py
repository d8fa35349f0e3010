"""Who calls and where work goes: projects, virtual keys, accounts, sealed secrets."""

from sqlalchemy import JSON, Column, Float, Index, LargeBinary, String, Table, UniqueConstraint

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

ROLES = ("admin", "member", "viewer")
KEY_KINDS = ("virtual", "jwt", "provider")

projects = Table(
    "projects",
    metadata,
    identity(),
    Column("name", String(64), nullable=False, unique=True),
    Column("default_provider", String(64)),
    instant("created_at", required=True),
    Column("description", String(256)),
    Column("limits", JSON(none_as_null=True)),
    instant("archived_at"),
    **IDS_NEVER_REUSED,
    comment="Tenants: each owns its files, batches and containers.",
)

virtual_keys = Table(
    "virtual_keys",
    metadata,
    identity(),
    Column("public_id", String(48), nullable=False, unique=True),
    reference("project_id", "projects", index=True),
    Column("name", String(128), nullable=False),
    Column("secret_hmac", String(64), nullable=False),
    instant("created_at", required=True),
    instant("expires_at"),
    instant("revoked_at"),
    Column("accounts", JSON(none_as_null=True)),
    Column("kind", String(16), nullable=False, default="virtual", server_default="virtual"),
    Column("role", String(16), nullable=False, default="member", server_default="member"),
    Column("description", String(256)),
    Column("providers", JSON(none_as_null=True)),
    Column("models", JSON(none_as_null=True)),
    Column("endpoints", JSON(none_as_null=True)),
    Column("networks", JSON(none_as_null=True)),
    Column("limits", JSON(none_as_null=True)),
    Column("issuer", String(256)),
    Column("subject", String(256)),
    instant("stopped_at"),
    Column("previous_hmac", String(64)),
    instant("previous_until"),
    one_of("kind", KEY_KINDS),
    one_of("role", ROLES),
    **IDS_NEVER_REUSED,
    comment="Who calls: keys that the gateway issued (public id and HMAC), and subjects of JWTs. NULL lists allow all.",
)
partial_index(
    "uq_virtual_keys_subject",
    virtual_keys.c.issuer,
    virtual_keys.c.subject,
    virtual_keys.c.project_id,
    where="issuer IS NOT NULL",
    unique=True,
)
# Keys whose running work is to be stopped: few, whatever the number of keys.
partial_index("ix_virtual_keys_stopped", virtual_keys.c.stopped_at, where="stopped_at IS NOT NULL")

ui_sessions = Table(
    "ui_sessions",
    metadata,
    identity(),
    Column("token_sha256", String(64), nullable=False, unique=True),
    reference("key_id", "virtual_keys", index=True),
    reference("project_id", "projects", required=False),
    Column("key_hmac", String(64)),
    Column("role", String(16)),
    instant("created_at", required=True),
    instant("seen_at", required=True),
    instant("expires_at", required=True),
    one_of("role", ROLES),
    **IDS_NEVER_REUSED,
    comment="Who is signed in to the dashboard, by a hash of the cookie; `project_id` is what an admin chose.",
)
Index("ix_ui_sessions_expires_at", ui_sessions.c.expires_at)

sealed_secrets = Table(
    "sealed_secrets",
    metadata,
    identity(),
    Column("name", String(64), nullable=False, unique=True),
    Column("sealed", LargeBinary, nullable=False),
    instant("created_at", required=True),
    **IDS_NEVER_REUSED,
    comment="Secrets of the gateway's own (the pepper of virtual keys), sealed with BATCHGATE_SECRET_KEY.",
)

accounts = Table(
    "accounts",
    metadata,
    identity(),
    Column("provider", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("source", String(16), nullable=False),
    Column("base_url", String(1024), nullable=False),
    instant("created_at", required=True),
    instant("retired_at"),
    Column("sealed_credential", LargeBinary),
    Column("fingerprint", String(64)),
    Column("options", JSON(none_as_null=True)),
    Column("models", JSON(none_as_null=True)),
    Column("abilities", JSON(none_as_null=True)),
    Column("limits", JSON(none_as_null=True)),
    number("weight", 1),
    number("max_concurrency", None),
    instant("disabled_at"),
    instant("verified_at"),
    instant("changed_at"),
    Column("sealed_webhook_secret", LargeBinary),
    UniqueConstraint("provider", "name"),
    **IDS_NEVER_REUSED,
    comment="Configured credentials (sealed) and base URLs at providers. A retired one stays until its work is over.",
)

account_capacity = Table(
    "account_capacity",
    metadata,
    identity(),
    reference("account_id", "accounts"),
    Column("model", String(256), nullable=False),
    number("ceiling"),
    Column("adapted_limit", Float, nullable=False),
    instant("pause_until"),  # read by workers of the release before; now pauses are rows of `pauses`
    instant("lowered_at"),
    UniqueConstraint("account_id", "model"),
    **IDS_NEVER_REUSED,
    comment="How many lines may be in flight at an account for a model: the ceiling, and the limit overload taught.",
)

capacity_permits = Table(
    "capacity_permits",
    metadata,
    identity(),
    reference("capacity_id", "account_capacity"),
    Column("worker", String(64), nullable=False),
    number("held"),
    number("wanted"),
    number("in_flight", None),
    instant("lease_until", required=True),
    UniqueConstraint("capacity_id", "worker"),
    **IDS_NEVER_REUSED,
    comment="The share of a capacity that each worker process holds, on lease.",
)

off_peak_windows = Table(
    "off_peak_windows",
    metadata,
    identity(),
    reference("account_id", "accounts", index=True),
    Column("model", String(256), nullable=False),
    Column("days", String(32), nullable=False),
    number("begins_minute"),
    number("ends_minute"),
    Column("zone", String(64), nullable=False),
    number("percent", 100),
    instant("created_at", required=True),
    **IDS_NEVER_REUSED,
    comment="Hours in which an account is cheaper, in a time zone. Model '' is all models, `percent` what is paid.",
)

pauses = Table(
    "pauses",
    metadata,
    identity(),
    reference("account_id", "accounts"),
    Column("model", String(256), nullable=False),
    reference("project_id", "projects", required=False),
    Column("kind", String(16), nullable=False),
    instant("since", required=True),
    instant("paused_until", required=True),
    number("pauses"),
    number("status_code", None),
    Column("code", String(128)),
    Column("message", String(512)),
    **IDS_NEVER_REUSED,
    comment="What is refused: no lines but probes go there. Model '' is the whole account, no project is all of them.",
)
partial_index(
    "uq_pauses_project",
    pauses.c.account_id,
    pauses.c.model,
    pauses.c.project_id,
    where="project_id IS NOT NULL",
    unique=True,
)
partial_index("uq_pauses_all", pauses.c.account_id, pauses.c.model, where="project_id IS NULL", unique=True)
