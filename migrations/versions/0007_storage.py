"""Stored bytes count pending uploads and the files of hosted containers, for the key that put them there."""

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FILES = "Files in containers, under /mnt/data/. `key_id` is the key whose stored bytes they count towards."
ALIVE = "f.deleted_at IS NULL AND f.blob_id IS NOT NULL AND f.key_id IS NOT NULL"
FROM = "FROM container_files f JOIN containers c ON c.id = f.container_id"


def upgrade() -> None:
    # In words, as SQLite takes constraints only together with their column.
    kind = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(
        f"ALTER TABLE container_files ADD COLUMN key_id {kind} "
        "CONSTRAINT fk_container_files_key_id REFERENCES virtual_keys (id)"
    )
    # Nobody knows which key put them there: they count towards the one that made the container.
    op.execute(
        "UPDATE container_files SET key_id = (SELECT c.key_id FROM containers c WHERE c.id = container_id) "
        "WHERE deleted_at IS NULL AND blob_id IS NOT NULL"
    )
    for owner, column in (("project", "c.project_id"), ("key", "f.key_id")):
        counted = f"SELECT SUM(f.bytes) {FROM} WHERE {ALIVE} AND {column} = limit_counters.owner_id"
        op.execute(
            f"UPDATE limit_counters SET value = value + COALESCE(({counted}), 0) "  # noqa: S608 - words of this file
            f"WHERE owner = '{owner}' AND name = 'stored_bytes'"
        )
        op.execute(
            "INSERT INTO limit_counters (owner, owner_id, name, value) "  # noqa: S608 - words of this file
            f"SELECT '{owner}', {column}, 'stored_bytes', SUM(f.bytes) {FROM} WHERE {ALIVE} AND {column} NOT IN "
            f"(SELECT owner_id FROM limit_counters WHERE owner = '{owner}' AND name = 'stored_bytes') GROUP BY {column}"
        )
    pending = text("state = 'pending'")
    op.create_index("ix_uploads_pending", "uploads", ["project_id"], sqlite_where=pending, postgresql_where=pending)
    if kind == "BIGINT":
        op.create_table_comment("container_files", FILES)
