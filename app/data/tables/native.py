"""What providers hold for the gateway: native objects, the copies that they represent, and native batches."""

from sqlalchemy import JSON, Column, Index, String, Table, Text, text

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
    reference,
)

OBJECT_STATES = ("pending", "live", "unknown", "deleting", "deleted")
JOB_STATES = ("pending", "creating", "running", "ended", "done", "unknown")
NOT_DONE = "state <> 'done'"

native_objects = Table(
    "native_objects",
    metadata,
    identity(),
    reference("account_id", "accounts"),
    Column("native_id", String(512)),
    Column("state", String(16), nullable=False),
    Column("variant", String(64), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("filename", String(512), nullable=False),
    Column("status", String(16), nullable=False, default="processed", server_default="processed"),
    number("bytes", None),
    Column("sha256", String(64)),
    Column("worker", String(64)),
    instant("lease_until"),
    number("attempts"),
    instant("next_at"),
    Column("last_error", Text),
    instant("created_at", required=True),
    instant("expires_at"),
    instant("deleted_at"),
    *absence(),
    one_of("state", OBJECT_STATES),
    **IDS_NEVER_REUSED,
    comment="Files at accounts, under native ids; the row is committed before the file is made there.",
)
# Two files with the same bytes may share an object, where the provider deduplicates.
partial_index(
    "uq_native_objects_native_id",
    native_objects.c.account_id,
    native_objects.c.native_id,
    where="native_id IS NOT NULL AND state <> 'deleted'",
    unique=True,
)
Index("ix_native_objects_native_id", native_objects.c.native_id)
partial_index(
    "ix_native_objects_unsettled",
    native_objects.c.next_at,
    where="state IN ('pending', 'deleting')",
)
partial_index(
    "ix_native_objects_expiry",
    native_objects.c.expires_at,
    where="state = 'live' AND expires_at IS NOT NULL",
)
partial_index(
    "ix_native_objects_missing",
    native_objects.c.look_at,
    where="state = 'live' AND look_at IS NOT NULL",
)
partial_index("ix_native_objects_held", native_objects.c.account_id, where="state <> 'deleted'")

file_copies = Table(
    "file_copies",
    metadata,
    identity(),
    reference("file_id", "files"),
    reference("native_object_id", "native_objects", index=True),
    Column("variant", String(64), nullable=False),
    instant("created_at", required=True),
    instant("deleted_at"),
    **IDS_NEVER_REUSED,
    comment="That a file is represented by a native object, in one variant; the object goes with its last copy.",
)
Index("ix_file_copies_file_id", file_copies.c.file_id, file_copies.c.variant)
SHOWN = "variant IN ('raw', 'results')"
# The condition as the partial index spells it: SQLite uses that for nothing else.
IS_SHOWN = text(f"file_copies.{SHOWN}")
# Of the copies whose native id is shown as the file's, the oldest that is not deleted is found first.
partial_index("ix_file_copies_shown", file_copies.c.file_id, file_copies.c.id, where=f"{ALIVE} AND {SHOWN}")

batch_jobs = Table(
    "batch_jobs",
    metadata,
    identity(),
    reference("batch_id", "batches"),
    reference("account_id", "accounts"),
    number("number"),
    number("first_line"),
    number("last_line"),
    number("lines"),
    number("rewritten"),
    Column("state", String(16), nullable=False),
    Column("marker", String(64), nullable=False, unique=True),
    number("attempt"),
    reference("input_object_id", "native_objects", required=False),
    Column("native_id", String(512)),
    Column("native_status", String(64)),
    Column("status", String(16)),
    Column("output_native_id", String(512)),
    Column("error_native_id", String(512)),
    number("native_total", None),
    number("native_completed", None),
    number("native_failed", None),
    Column("errors", JSON(none_as_null=True)),
    number("lines_completed"),
    number("lines_failed"),
    number("input_tokens"),
    number("cached_tokens"),
    number("output_tokens"),
    number("reasoning_tokens"),
    number("total_tokens"),
    Column("worker", String(64)),
    number("epoch"),
    instant("lease_until"),
    instant("next_at"),
    instant("refreshed_at"),
    number("faults"),
    Column("last_error", Text),
    instant("creating_at"),
    instant("submitted_at"),
    instant("cancel_sent_at"),
    instant("ended_at"),
    instant("native_expires_at"),
    instant("done_at"),
    one_of("state", JOB_STATES),
    **IDS_NEVER_REUSED,
    comment="Native batches: one row for each job of a batch, committed before the provider is asked to make it.",
)
Index("uq_batch_jobs_number", batch_jobs.c.batch_id, batch_jobs.c.number, unique=True)
partial_index("ix_batch_jobs_due", batch_jobs.c.next_at, where=NOT_DONE)
partial_index("ix_batch_jobs_held", batch_jobs.c.account_id, where=NOT_DONE)
Index("ix_batch_jobs_native_id", batch_jobs.c.native_id)
