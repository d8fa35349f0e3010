"""Files that lines of a batch name: which they are, so that they stay while the batch needs them.

They are forgotten when it ends, so that whether a file is in use costs the same however many batches have named it.
"""

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select

from app.data.tables import batch_files, files


def add(connection: Connection, batch_id: int, file_ids: Collection[int]) -> set[int]:
    """Record that lines of the batch name these files; returns those of them that are deleted and are not recorded."""
    wanted = sorted(set(file_ids))
    # Locked in one order, so that a file that is being deleted is either seen as deleted, or as in use.
    alive = select(files.c.id).where(files.c.id.in_(wanted), files.c.deleted_at.is_(None)).order_by(files.c.id)
    found = set(connection.execute(alive.with_for_update()).scalars())
    mine = select(batch_files.c.file_id).where(batch_files.c.batch_id == batch_id, batch_files.c.file_id.in_(wanted))
    known = set(connection.execute(mine).scalars())  # of a worker that died while it planned
    rows = [{"batch_id": batch_id, "file_id": file_id} for file_id in sorted(found - known)]
    if rows:
        connection.execute(insert(batch_files), rows)
    return set(wanted) - found


def any_of(connection: Connection, batch_id: int) -> bool:
    """True while a file is recorded that lines of the batch name."""
    mine = select(batch_files.c.file_id).where(batch_files.c.batch_id == batch_id)
    return connection.execute(mine.limit(1)).first() is not None


def drop(connection: Connection, batch_id: int, *, limit: int) -> int:
    """Forget up to `limit` files of the batch; returns how many."""
    some = select(batch_files.c.file_id).where(batch_files.c.batch_id == batch_id).limit(limit)
    where = (batch_files.c.batch_id == batch_id, batch_files.c.file_id.in_(some))
    return connection.execute(delete(batch_files).where(*where)).rowcount
