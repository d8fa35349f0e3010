"""Containers and the files in them."""

from sqlalchemy import JSON, Column, String, Table

from app.data.tables.meta import (
    ALIVE,
    IDS_NEVER_REUSED,
    absence,
    identity,
    instant,
    metadata,
    number,
    one_of,
    partial_index,
    public_id,
    reference,
)

CONTAINER_STATUSES = ("running", "expired", "deleted")

containers = Table(
    "containers",
    metadata,
    identity(),
    public_id(),
    reference("project_id", "projects"),
    reference("key_id", "virtual_keys", required=False),
    Column("provider", String(64), nullable=False),
    Column("name", String(512), nullable=False),
    Column("status", String(16), nullable=False),
    number("expires_after_minutes", 20),
    Column("memory_limit", String(8), nullable=False),
    Column("network_policy", JSON(none_as_null=True)),
    Column("metadata", JSON(none_as_null=True)),
    instant("created_at", required=True),
    instant("last_active_at", required=True),
    instant("expires_at", required=True),
    instant("deleted_at"),
    reference("account_id", "accounts", required=False),
    Column("native_id", String(512)),
    instant("refreshed_at"),
    *absence(),
    one_of("status", CONTAINER_STATUSES),
    **IDS_NEVER_REUSED,
    comment="Containers; expired ones stay readable as metadata.",
)
RUNNING = "status = 'running'"
partial_index("ix_containers_list", containers.c.project_id, containers.c.created_at, containers.c.id, where=ALIVE)
partial_index(
    "ix_containers_list_name",
    containers.c.project_id,
    containers.c.name,
    containers.c.created_at,
    containers.c.id,
    where=ALIVE,
)
partial_index(
    "ix_containers_list_provider",
    containers.c.project_id,
    containers.c.provider,
    containers.c.created_at,
    containers.c.id,
    where=ALIVE,
)
partial_index("ix_containers_native", containers.c.native_id, containers.c.account_id, where="native_id IS NOT NULL")
partial_index("ix_containers_expiry", containers.c.expires_at, where=RUNNING)

container_files = Table(
    "container_files",
    metadata,
    identity(),
    public_id(),
    reference("container_id", "containers"),
    reference("key_id", "virtual_keys", required=False),
    Column("path", String(1024), nullable=False),
    Column("source", String(16), nullable=False),
    reference("blob_id", "blobs", required=False),
    number("bytes"),
    instant("created_at", required=True),
    instant("deleted_at"),
    Column("native_id", String(512)),
    *absence(),
    one_of("source", ("user", "assistant")),
    **IDS_NEVER_REUSED,
    comment="Files in containers, under /mnt/data/. `key_id` is the key whose stored bytes they count towards.",
)
partial_index(
    "ix_container_files_list",
    container_files.c.container_id,
    container_files.c.created_at,
    container_files.c.id,
    where=ALIVE,
)
partial_index(
    "uq_container_files_native",
    container_files.c.container_id,
    container_files.c.native_id,
    where="native_id IS NOT NULL AND deleted_at IS NULL",
    unique=True,
)
