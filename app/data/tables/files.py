"""Bytes, and what clients make of them: blobs, files, uploads and their parts."""

from sqlalchemy import JSON, Column, Index, Integer, String, Table, Text

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

BLOB_STATES = ("pending", "live", "deleting")
FILE_STATUSES = ("uploaded", "processed", "processing", "error", "deleted")
UPLOAD_STATES = ("pending", "completed", "cancelled", "expired")

blobs = Table(
    "blobs",
    metadata,
    identity(),
    Column("key", String(255), nullable=False, unique=True),
    Column("store", String(255), nullable=False),
    Column("object", String(255)),
    Column("state", String(16), nullable=False),
    number("bytes", None),
    Column("sha256", String(64)),
    number("refs", 1),
    Column("input_facts", JSON(none_as_null=True)),
    instant("lease_until"),
    instant("created_at", required=True),
    one_of("state", BLOB_STATES),
    **IDS_NEVER_REUSED,
    comment="Bytes the gateway holds, in `store`, under the name `object` if they were moved, else under `key`. The "
    "row is committed before the first byte and goes after the last.",
)
# The sweeper reads only these few rows; live ones never enter its index.
partial_index(
    "ix_blobs_unsettled",
    blobs.c.state,
    blobs.c.lease_until,
    where="state <> 'live'",
)

files = Table(
    "files",
    metadata,
    identity(),
    public_id(),
    reference("project_id", "projects"),
    reference("key_id", "virtual_keys", required=False),
    Column("home", String(64), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("filename", String(512), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_details", Text),
    reference("blob_id", "blobs", required=False),
    number("bytes"),
    Column("sha256", String(64)),
    number("lines", None),
    instant("created_at", required=True),
    instant("expires_at"),
    instant("deleted_at"),
    instant("adopted_at"),
    instant("refreshed_at"),
    one_of("status", FILE_STATUSES),
    one_of("origin", ("upload", "inline", "batch")),
    **IDS_NEVER_REUSED,
    comment="Files as clients see them; deleted ones stay as tombstones so that cursors keep working.",
)

partial_index("ix_files_list", files.c.project_id, files.c.created_at, files.c.id, where=ALIVE)
partial_index("ix_files_list_purpose", files.c.project_id, files.c.purpose, files.c.created_at, files.c.id, where=ALIVE)
partial_index("ix_files_list_home", files.c.project_id, files.c.home, files.c.created_at, files.c.id, where=ALIVE)
partial_index(
    "ix_files_list_home_purpose",
    files.c.project_id,
    files.c.home,
    files.c.purpose,
    files.c.created_at,
    files.c.id,
    where=ALIVE,
)
partial_index(
    "ix_files_expiry",
    files.c.expires_at,
    where="deleted_at IS NULL AND expires_at IS NOT NULL",
)

uploads = Table(
    "uploads",
    metadata,
    identity(),
    public_id(),
    reference("project_id", "projects"),
    reference("key_id", "virtual_keys", required=False),
    Column("home", String(64), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("filename", String(512), nullable=False),
    Column("mime_type", String(255), nullable=False),
    number("bytes"),
    Column("state", String(16), nullable=False),
    number("expires_after_s", None),
    reference("file_id", "files", required=False),
    instant("created_at", required=True),
    instant("expires_at", required=True),
    one_of("state", UPLOAD_STATES),
    **IDS_NEVER_REUSED,
    comment="Uploads in parts; pending ones expire an hour after they were made.",
)
partial_index("ix_uploads_pending", uploads.c.project_id, where="state = 'pending'")
partial_index(
    "ix_uploads_expiry",
    uploads.c.expires_at,
    where="state = 'pending'",
)

upload_parts = Table(
    "upload_parts",
    metadata,
    identity(),
    public_id(),
    reference("upload_id", "uploads", index=True),
    reference("blob_id", "blobs", required=False),
    number("bytes"),
    instant("created_at", required=True),
    **IDS_NEVER_REUSED,
    comment="Parts of uploads; their bytes go when the upload is over.",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    identity(),
    reference("project_id", "projects"),
    Column("route", String(64), nullable=False),
    Column("key", String(255), nullable=False),
    Column("body_sha256", String(64)),
    Column("state", String(16), nullable=False),
    Column("status_code", Integer),
    Column("answer", JSON),
    instant("lease_until"),
    instant("expires_at", required=True),
    one_of("state", ("in_flight", "done")),
    **IDS_NEVER_REUSED,
    comment="Answers to requests that carried an Idempotency-Key, for 24 hours.",
)
Index(
    "uq_idempotency_keys_scope",
    idempotency_keys.c.project_id,
    idempotency_keys.c.route,
    idempotency_keys.c.key,
    unique=True,
)
Index("ix_idempotency_keys_expires_at", idempotency_keys.c.expires_at)
