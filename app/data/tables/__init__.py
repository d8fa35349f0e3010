"""The tables, grouped as they are read: identity, files, batches, native, containers, operations."""

from app.data.tables.batches import batch_chunks, batch_lines, batch_segments, batches
from app.data.tables.containers import container_files, containers
from app.data.tables.files import blobs, files, idempotency_keys, upload_parts, uploads
from app.data.tables.identity import (
    account_capacity,
    accounts,
    capacity_permits,
    projects,
    sealed_secrets,
    virtual_keys,
)
from app.data.tables.meta import metadata
from app.data.tables.native import batch_jobs, file_copies, native_objects
from app.data.tables.operations import events, periodic_leases, workers

__all__ = [
    "account_capacity",
    "accounts",
    "batch_chunks",
    "batch_jobs",
    "batch_lines",
    "batch_segments",
    "batches",
    "blobs",
    "capacity_permits",
    "container_files",
    "containers",
    "events",
    "file_copies",
    "files",
    "idempotency_keys",
    "metadata",
    "native_objects",
    "periodic_leases",
    "projects",
    "sealed_secrets",
    "upload_parts",
    "uploads",
    "virtual_keys",
    "workers",
]
