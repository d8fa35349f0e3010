"""The input file of a batch: looked up before the batch is created, locked in the transaction that creates it."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from app.data.files import files
from app.data.files.files import FileRow
from app.data.tables import blobs
from app.data.tables import files as file_rows


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the project; `key` is the key of its bytes in the blob store, None while only a provider has them."""

    file: FileRow
    key: str | None


def find(connection: Connection, *, project_id: int, given: str) -> InputFile | None:
    """A file of the project that is not deleted, by its own id or by its native id."""
    file = files.resolve(connection, project_id, given)
    return None if file is None else InputFile(file, files.blob_key(connection, file.blob_id))


def lock(connection: Connection, file_id: int) -> bool:
    """Keep a file from being deleted until the transaction ends. False when it, or its bytes, are deleted already."""
    statement = (
        select(file_rows.c.id)
        .join_from(file_rows, blobs, and_(blobs.c.id == file_rows.c.blob_id, blobs.c.state == "live"))
        .where(file_rows.c.id == file_id, file_rows.c.deleted_at.is_(None))
    )
    # SQLite has one writer at a time, which is lock enough; it leaves FOR SHARE out.
    return connection.execute(statement.with_for_update(read=True, of=file_rows)).first() is not None
