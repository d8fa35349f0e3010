"""Webhooks: where a project is told that a batch has ended, and what is to be told (the outbox)."""

from sqlalchemy import JSON, Column, Index, LargeBinary, String, Table

from app.data.tables.meta import (
    ALIVE,
    IDS_NEVER_REUSED,
    identity,
    instant,
    metadata,
    number,
    one_of,
    partial_index,
    public_id,
    reference,
)

ENDPOINT_SCOPES = ("project", "batch")
PAYLOADS = ("thin", "full")
ORIGINS = ("event", "replay", "test")
DELIVERY_STATES = ("pending", "delivered", "failed", "dropped")

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    identity(),
    public_id(),
    reference("project_id", "projects"),
    reference("key_id", "virtual_keys", required=False),
    Column("scope", String(16), nullable=False),
    Column("name", String(256), nullable=False),
    Column("url", String(2048), nullable=False),
    Column("event_types", JSON(none_as_null=True)),
    Column("payload", String(16), nullable=False),
    Column("sealed_secret", LargeBinary),
    Column("sealed_old_secret", LargeBinary),
    instant("old_secret_until"),
    Column("secret_hint", String(32)),
    Column("fingerprint", String(64)),
    number("failures"),
    instant("paused_until"),
    instant("next_at"),
    Column("worker", String(64)),
    number("epoch"),
    instant("lease_until"),
    instant("created_at", required=True),
    instant("updated_at", required=True),
    instant("deleted_at"),
    one_of("scope", ENDPOINT_SCOPES),
    one_of("payload", PAYLOADS),
    **IDS_NEVER_REUSED,
    comment="Where events are delivered: endpoints of projects, and those that single batches brought along. Secrets "
    "are sealed; `next_at` is when something may be due, and the lease is of the worker that delivers.",
)
partial_index(
    "ix_webhook_endpoints_list",
    webhook_endpoints.c.project_id,
    webhook_endpoints.c.created_at,
    webhook_endpoints.c.id,
    where=f"{ALIVE} AND scope = 'project'",
)
partial_index("ix_webhook_endpoints_due", webhook_endpoints.c.next_at, where="next_at IS NOT NULL")
partial_index(
    "uq_webhook_endpoints_fingerprint",
    webhook_endpoints.c.project_id,
    webhook_endpoints.c.fingerprint,
    where=f"{ALIVE} AND fingerprint IS NOT NULL",
    unique=True,
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    identity(),
    public_id(),
    reference("project_id", "projects"),
    reference("endpoint_id", "webhook_endpoints"),
    reference("batch_id", "batches", required=False),
    Column("event_id", String(48), nullable=False),
    Column("event_type", String(32), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    number("attempts"),
    number("status_code", None),
    Column("error", String(512)),
    number("latency_ms", None),
    instant("created_at", required=True),
    instant("event_at", required=True),
    instant("next_at"),
    instant("expires_at", required=True),
    instant("attempted_at"),
    instant("ended_at"),
    one_of("origin", ORIGINS),
    one_of("state", DELIVERY_STATES),
    **IDS_NEVER_REUSED,
    comment="What an endpoint is told, and how that went: written in the transaction that ends the batch, kept after "
    "the last attempt.",
)
Index(
    "ix_webhook_deliveries_list",
    webhook_deliveries.c.project_id,
    webhook_deliveries.c.created_at,
    webhook_deliveries.c.id,
)
Index(
    "ix_webhook_deliveries_endpoint",
    webhook_deliveries.c.endpoint_id,
    webhook_deliveries.c.created_at,
    webhook_deliveries.c.id,
)
Index("ix_webhook_deliveries_batch_id", webhook_deliveries.c.batch_id, webhook_deliveries.c.created_at)
partial_index(
    "ix_webhook_deliveries_pending",
    webhook_deliveries.c.endpoint_id,
    webhook_deliveries.c.next_at,
    where="state = 'pending'",
)
partial_index("ix_webhook_deliveries_expiry", webhook_deliveries.c.expires_at, where="state = 'pending'")
partial_index("ix_webhook_deliveries_ended", webhook_deliveries.c.ended_at, where="state <> 'pending'")
