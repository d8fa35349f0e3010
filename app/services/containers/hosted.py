"""What lies in a container: paths under /mnt/data/, and files of the project that are put there."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.data.containers import files
from app.data.files import blobs
from app.data.store.database import AnyRow
from app.errors import InvalidRequestError
from app.lib import ids
from app.services.gateway import Caller, Gateway

ROOT = "/mnt/data/"
PATH_LENGTH = 1024
NAME_LENGTH = 512
HASH_LENGTH = 12
USER = "user"


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the project whose bytes the gateway holds."""

    public_id: str
    filename: str
    bytes: int
    blob_id: int


def find_sources(gateway: Gateway, caller: Caller, file_ids: Sequence[str], *, param: str) -> list[Source]:
    """The files with these ids, in their order. Raises InvalidRequestError naming `param` and the id it fails at."""
    with gateway.database.read() as connection:
        rows = [
            (file_id, files.find_source(connection, project_id=caller.project_id, public_id=file_id))
            for file_id in file_ids
        ]
    return [_source(file_id, row, param) for file_id, row in rows]


def put(connection: Connection, source: Source, *, container_id: int, path: str | None, param: str) -> AnyRow:
    """Share the bytes of `source` with a new file of the container, in the caller's transaction."""
    if not blobs.acquire(connection, source.blob_id):
        raise _no_such_file(source.public_id, param)
    return insert(
        connection,
        container_id=container_id,
        path=path,
        filename=source.filename,
        blob_id=source.blob_id,
        size_bytes=source.bytes,
    )


def insert(
    connection: Connection, *, container_id: int, path: str | None, filename: str, blob_id: int, size_bytes: int
) -> AnyRow:
    """A new file of the container, at `path` or at one made of its `filename`."""
    public_id = ids.new(ids.CONTAINER_FILE)
    return files.insert_file(
        connection,
        public_id=public_id,
        container_id=container_id,
        path=path or _default_path(public_id, filename),
        source=USER,
        blob_id=blob_id,
        bytes=size_bytes,
    )


def checked_path(given: str | None) -> str | None:
    """`given` as an absolute path under /mnt/data/, None when there is none.

    Raises InvalidRequestError when it leads elsewhere or names no file.
    """
    if given is None:
        return None
    if any(_is_control(char) for char in given):
        raise _bad_path("must not hold control characters")
    if "\\" in given:
        raise _bad_path("must use / between folders")
    if given.startswith("/") and not given.startswith(ROOT):
        raise _bad_path(f"must be relative or start with {ROOT}")
    relative = given.removeprefix(ROOT)
    if ".." in relative.split("/"):
        raise _bad_path("must not hold ..")
    path = posixpath.normpath(ROOT + relative)
    if relative.endswith(("/", "/.")) or not path.startswith(ROOT):
        raise _bad_path("must name a file, not a folder")
    if len(path) > PATH_LENGTH:
        raise _bad_path(f"must be at most {PATH_LENGTH} characters long")
    return path


def _default_path(public_id: str, filename: str) -> str:
    # As OpenAI names them. The hash keeps two files of one name apart, so it is the id's random part.
    name = filename.replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in name if not _is_control(char))[-NAME_LENGTH:]
    return f"{ROOT}{public_id[-HASH_LENGTH:]}-{name or 'file'}"


def _is_control(char: str) -> bool:
    # Lone surrogates too: no database takes them.
    return ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000


def _source(file_id: str, row: AnyRow | None, param: str) -> Source:
    if row is None:
        raise _no_such_file(file_id, param)
    if row.blob_id is None:
        raise InvalidRequestError(f"{param}: the gateway does not hold the bytes of {file_id}.", param=param)
    return Source(public_id=row.public_id, filename=row.filename, bytes=row.bytes, blob_id=row.blob_id)


def _no_such_file(file_id: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param}: No such File object: {file_id}", param=param)


def _bad_path(rule: str) -> InvalidRequestError:
    return InvalidRequestError(f"file_path {rule}.", param="file_path")
