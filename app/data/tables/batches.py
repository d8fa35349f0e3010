"""Batches and how the gateway runs them: segments, lines, chunks."""

from sqlalchemy import JSON, Column, ForeignKey, Index, String, Table, Text, text

from app.data.tables.meta import (
    ALIVE,
    IDS_NEVER_REUSED,
    BigInt,
    identity,
    instant,
    metadata,
    number,
    one_of,
    partial_index,
    public_id,
    reference,
)
from app.lib.states import BATCH_STATUSES, LINE_STATES

SEGMENT_STATES = ("open", "done")
WAIT_STATES = ("running", "retry")

batches = Table(
    "batches",
    metadata,
    identity(),
    public_id(),
    reference("project_id", "projects"),
    reference("key_id", "virtual_keys", required=False),
    reference("account_id", "accounts"),
    Column("provider", String(64), nullable=False),
    Column("execution", String(16), nullable=False),
    Column("endpoint", String(64), nullable=False),
    Column("model", String(256)),
    Column("model_override", String(256)),
    Column("completion_window", String(16), nullable=False),
    reference("input_file_id", "files"),
    reference("output_file_id", "files", required=False),
    reference("error_file_id", "files", required=False),
    reference("retry_of", "batches", required=False),
    Column("status", String(16), nullable=False),
    Column("ending", String(16)),
    Column("errors", JSON(none_as_null=True)),
    Column("metadata", JSON(none_as_null=True)),
    number("output_expires_after_s", None),
    number("lines_total"),
    number("lines_completed"),
    number("lines_failed"),
    number("lines_expired"),
    number("lines_cancelled"),
    number("input_tokens"),
    number("cached_tokens"),
    number("output_tokens"),
    number("reasoning_tokens"),
    number("total_tokens"),
    Column("worker", String(64)),
    number("epoch"),
    number("lost_epochs"),
    instant("lease_until"),
    instant("created_at", required=True),
    instant("in_progress_at"),
    instant("expires_at", required=True),
    instant("finalizing_at"),
    instant("completed_at"),
    instant("failed_at"),
    instant("expired_at"),
    instant("cancelling_at"),
    instant("cancelled_at"),
    reference("price_id", "prices", required=False),
    reference("webhook_endpoint_id", "webhook_endpoints", required=False),
    Column("lines_state", String(16), nullable=False, default="kept", server_default="kept"),
    number("priority"),
    number("concurrency", None),
    instant("finish_by"),
    instant("not_before"),
    instant("off_peak_until"),
    instant("paused_at"),
    instant("deleted_at"),
    one_of("status", BATCH_STATUSES),
    one_of("execution", ("provider", "gateway")),
    one_of("lines_state", ("kept", "dropping", "dropped")),
    **IDS_NEVER_REUSED,
    comment="Batches as clients see them, and the lease of the worker that plans or finalises one.",
)
RUNNING = "status IN ('validating', 'in_progress', 'finalizing', 'cancelling')"
# The condition as the partial indexes spell it: SQLite uses those for nothing else.
IS_RUNNING = text(f"batches.{RUNNING}")
partial_index("ix_batches_list", batches.c.project_id, batches.c.created_at, batches.c.id, where=ALIVE)
partial_index(
    "ix_batches_list_status", batches.c.project_id, batches.c.status, batches.c.created_at, batches.c.id, where=ALIVE
)
partial_index(
    "ix_batches_list_provider",
    batches.c.project_id,
    batches.c.provider,
    batches.c.created_at,
    batches.c.id,
    where=ALIVE,
)
partial_index("ix_batches_with_lines", batches.c.created_at, where="lines_state <> 'dropped'")
partial_index("ix_batches_running", batches.c.status, batches.c.expires_at, where=RUNNING)
# What workers look for, a project at a time.
partial_index("ix_batches_turns", batches.c.status, batches.c.project_id, batches.c.expires_at, where=RUNNING)
partial_index("ix_batches_open", batches.c.project_id, batches.c.key_id, where=RUNNING)
partial_index("ix_batches_open_account", batches.c.account_id, where=RUNNING)
# The few that wait for an account's next off-peak hours when these are over.
partial_index("ix_batches_off_peak", batches.c.off_peak_until, where=f"{RUNNING} AND off_peak_until IS NOT NULL")
Index("ix_batches_input_file_id", batches.c.input_file_id)
partial_index("ix_batches_running_input", batches.c.input_file_id, where=RUNNING)

batch_segments = Table(
    "batch_segments",
    metadata,
    identity(),
    reference("batch_id", "batches"),
    number("first_line"),
    number("last_line"),
    Column("state", String(16), nullable=False),
    Column("worker", String(64)),
    number("epoch"),
    number("lost_epochs"),
    number("probe_line", None),
    instant("lease_until"),
    one_of("state", SEGMENT_STATES),
    **IDS_NEVER_REUSED,
    comment="Runs of lines that one worker executes under one lease; every write carries the epoch.",
)
partial_index(
    "ix_batch_segments_open",
    batch_segments.c.batch_id,
    batch_segments.c.lease_until,
    where="state = 'open'",
)
# Leased segments are few, however many are open: fair shares count only them.
partial_index(
    "ix_batch_segments_leased",
    batch_segments.c.lease_until,
    where="state = 'open' AND lease_until IS NOT NULL",
)
Index("uq_batch_segments_first_line", batch_segments.c.batch_id, batch_segments.c.first_line, unique=True)

batch_chunks = Table(
    "batch_chunks",
    metadata,
    identity(),
    reference("batch_id", "batches"),
    reference("segment_id", "batch_segments"),
    reference("blob_id", "blobs"),
    number("epoch"),
    number("lines"),
    number("bytes"),
    instant("created_at", required=True),
    **IDS_NEVER_REUSED,
    comment="Immutable blobs with the answers of some lines.",
)
# How fast a batch runs is seen from its last chunks.
Index("ix_batch_chunks_batch_id_created_at", batch_chunks.c.batch_id, batch_chunks.c.created_at)

batch_lines = Table(
    "batch_lines",
    metadata,
    Column("batch_id", BigInt, primary_key=True, autoincrement=False),
    Column("line", BigInt, primary_key=True, autoincrement=False),
    Column("custom_id", Text, nullable=False),
    Column("wire_id", String(64)),
    Column("state", String(16), nullable=False),
    number("attempts"),
    number("unknown_attempts"),
    number("status_code", None),
    Column("error_code", String(128)),
    number("latency_ms", None),
    number("input_tokens", None),
    number("output_tokens", None),
    number("request_offset"),
    number("request_bytes"),
    Column("chunk_id", BigInt),
    number("response_offset", None),
    number("response_bytes", None),
    Column("dropped_fields", Text),
    Column("model", String(256)),
    one_of("state", LINE_STATES),
    comment="One row for each line of a batch: where its request and its answer lie, and how it went. No bodies.",
    sqlite_with_rowid=False,
)
Index("ix_batch_lines_custom_id", batch_lines.c.batch_id, batch_lines.c.custom_id)
# The few lines of a large batch that failed, or that still wait. Takes 1 us of CPU from each line.
Index("ix_batch_lines_state", batch_lines.c.batch_id, batch_lines.c.state, batch_lines.c.line)

batch_line_waits = Table(
    "batch_line_waits",
    metadata,
    Column("batch_id", BigInt, primary_key=True, autoincrement=False),
    Column("line", BigInt, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    number("epoch"),
    instant("since", required=True),
    instant("until"),
    number("refusals"),
    instant("refused_since"),
    Column("kind", String(16)),
    number("status_code", None),
    Column("code", String(128)),
    Column("message", String(512)),
    one_of("state", WAIT_STATES),
    comment="Lines that have run for a while, or wait to be sent again; the rows of others are gone within seconds.",
    sqlite_with_rowid=False,
)

batch_permits = Table(
    "batch_permits",
    metadata,
    Column("batch_id", BigInt, primary_key=True, autoincrement=False),
    Column("worker", String(64), primary_key=True),
    number("held"),
    number("wanted"),
    instant("lease_until", required=True),
    comment="How many lines of a batch with a `concurrency` each worker may have in flight; shares add up to it.",
    sqlite_with_rowid=False,
)

batch_files = Table(
    "batch_files",
    metadata,
    Column("batch_id", BigInt, primary_key=True, autoincrement=False),
    Column("file_id", BigInt, ForeignKey("files.id"), primary_key=True, autoincrement=False),
    comment="Files that lines of a batch name; while the batch is not over, they cannot be deleted.",
    sqlite_with_rowid=False,
)
Index("ix_batch_files_file_id", batch_files.c.file_id)
