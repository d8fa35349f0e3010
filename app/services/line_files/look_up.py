"""The files of a project that lines name, looked up by their own or their native ids."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from app.data.files import files
from app.data.files.files import FileRow
from app.services.gateway import Gateway
from app.translate import media

MAX_REMEMBERED = 1000
NOT_FOUND = "file_not_found"


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that a line names; `key` is that of its bytes in the blob store, None when only a provider has them."""

    row: FileRow
    key: str | None
    media_type: str


class Files:
    """The files of one project, remembered: many lines name the same. Safe to share between threads."""

    def __init__(self, gateway: Gateway, project_id: int) -> None:
        self._gateway = gateway
        self._project_id = project_id
        self._lock = threading.Lock()
        self._known: OrderedDict[str, NamedFile] = OrderedDict()

    def find(self, given: str) -> NamedFile | None:
        """The project's file with this id; None for one of another project, as for one that never was."""
        with self._lock:
            known = self._known.get(given)
            if known is not None:
                self._known.move_to_end(given)
                return known
        found = self._load(given)
        if found is not None and found.key is not None:
            with self._lock:
                self._known[given] = found
                if len(self._known) > MAX_REMEMBERED:
                    self._known.popitem(last=False)
        return found

    def _load(self, given: str) -> NamedFile | None:
        with self._gateway.database.read() as connection:
            row = files.resolve(connection, self._project_id, given)
            key = None if row is None else files.blob_key(connection, row.blob_id)
        if row is None:
            return None
        beginning = b""
        if key is not None:
            beginning = next(self._gateway.blobs.stream(key, offset=0, length=media.BEGINNING_BYTES), b"")
        return NamedFile(row, key, media.type_of(row.filename, beginning))


def missing(given: str) -> str:
    """What is said of a file that the project does not have."""
    return f"No such File object: {given:.100}"
