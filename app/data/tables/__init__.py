"""The tables, grouped by what they are about: identity, files, batches, webhooks, native, containers, and so on."""

from app.data.tables.batches import (
    batch_chunks,
    batch_files,
    batch_line_waits,
    batch_lines,
    batch_permits,
    batch_segments,
    batches,
)
from app.data.tables.containers import container_files, containers
from app.data.tables.files import blobs, files, idempotency_keys, upload_parts, uploads
from app.data.tables.identity import (
    account_capacity,
    accounts,
    capacity_permits,
    off_peak_windows,
    pauses,
    projects,
    sealed_secrets,
    ui_sessions,
    virtual_keys,
)
from app.data.tables.meta import metadata
from app.data.tables.money import budget_reservations, budgets, prices, usage_ledger
from app.data.tables.native import batch_jobs, file_copies, native_objects
from app.data.tables.operations import events, limit_counters, periodic_leases, store_state, workers
from app.data.tables.webhooks import webhook_deliveries, webhook_endpoints

__all__ = [
    "account_capacity",
    "accounts",
    "batch_chunks",
    "batch_files",
    "batch_jobs",
    "batch_line_waits",
    "batch_lines",
    "batch_permits",
    "batch_segments",
    "batches",
    "blobs",
    "budget_reservations",
    "budgets",
    "capacity_permits",
    "container_files",
    "containers",
    "events",
    "file_copies",
    "files",
    "idempotency_keys",
    "limit_counters",
    "metadata",
    "native_objects",
    "off_peak_windows",
    "pauses",
    "periodic_leases",
    "prices",
    "projects",
    "sealed_secrets",
    "store_state",
    "ui_sessions",
    "upload_parts",
    "uploads",
    "usage_ledger",
    "virtual_keys",
    "webhook_deliveries",
    "webhook_endpoints",
    "workers",
]
