"""The files of a project that lines name, looked up by their own or their native ids."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from app.data.files import files
from app.data.files.files import FileRow
from app.services.gateway import Gateway
from app.services.lines import line_tokens
from app.services.lines.file_refs import Reference
from app.translate import media

MAX_REMEMBERED = 1000
# Reading so much text takes a fraction of a second; of more, each byte counts as a token.
MAX_READ_BYTES = 32 * 2**20
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
        self._tokens: dict[int, int] = {}

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

    def tokens(self, references: Sequence[Reference]) -> int:
        """The most tokens of the files that a line names; those that are not there have none."""
        return sum(self._tokens_of(file) for reference in references if (file := self.find(reference.file_id)))

    def _tokens_of(self, file: NamedFile) -> int:
        if not media.is_text(file.media_type):
            return line_tokens.of_file(file.media_type, file.row.bytes)
        known = self._tokens.get(file.row.id)
        if known is not None:
            return known
        if file.key is None or file.row.bytes > MAX_READ_BYTES:
            return file.row.bytes
        tokens = sum(line_tokens.text_tokens(piece) for piece in self._gateway.blobs.stream(file.key))
        if len(self._tokens) >= MAX_REMEMBERED:
            self._tokens.clear()
        self._tokens[file.row.id] = tokens
        return tokens

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
