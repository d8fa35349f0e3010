"""A provider in memory: a connector whose files are a dict, with switches for what goes wrong."""

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from app.connectors.contract.abilities import Abilities, FileLimits, JobLimits, operations
from app.connectors.contract.base import Connector, Target
from app.connectors.contract.errors import MissingError
from app.connectors.contract.objects import Download, NativeFile, NewFile, Page

ABILITIES = Abilities(
    operations(native="files batches"),
    files=FileLimits(bytes=100_000, direct=frozenset({"user_data", "fine-tune"})),
    jobs=JobLimits(endpoints=frozenset({"/v1/chat/completions"})),
)


class MemoryProvider(Connector):
    """`calls` counts what was asked; `before` and `after` of an operation may raise or wait.

    `by_content` deduplicates as Together does: the same bytes are the same file.
    """

    def __init__(self, abilities: Abilities = ABILITIES, *, by_content: bool = False, **options: str) -> None:
        target = Target(provider="openai", base_url="http://127.0.0.1:9", abilities=abilities, options=options)
        super().__init__(target)
        self.by_content = by_content
        self.files: dict[str, tuple[NativeFile, bytes]] = {}
        self.folders: list[str | None] = []
        self.calls: list[str] = []
        self.before: dict[str, Callable[[], Any]] = {}
        self.after: dict[str, Callable[[], Any]] = {}
        self.status = "processed"
        self.expires_in_ms: int | None = None
        self.page_size = 2
        self.prefix = "file-"
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def count(self, name: str) -> int:
        return self.calls.count(name)

    def become(self, status: str) -> None:
        """The provider has processed its files."""
        self.files = {name: (replace(file, status=status), data) for name, (file, data) in self.files.items()}

    @contextmanager
    def _call(self, name: str) -> Iterator[None]:
        self.calls.append(name)
        self.before.get(name, lambda: None)()
        yield
        self.after.get(name, lambda: None)()

    def upload_file(self, new: NewFile) -> NativeFile:
        with self._call("upload"):
            data = b"".join(new.payload.open())
            assert len(data) == new.payload.length
            with self._lock:
                return self._added(new, data)

    def _added(self, new: NewFile, data: bytes) -> NativeFile:
        native_id = f"{self.prefix}{hashlib.sha256(data).hexdigest()[:12]}" if self.by_content else ""
        if native_id not in self.files:
            now = int(time.time()) * 1000
            expires_at = None if self.expires_in_ms is None else now + self.expires_in_ms
            native_id = native_id or f"{self.prefix}{new.folder or ''}native{next(self._numbers)}"
            self.folders.append(new.folder)
            file = NativeFile(native_id, new.filename, new.purpose, len(data), self.status, now, expires_at)
            self.files[native_id] = (file, data)
        return self.files[native_id][0]

    def retrieve_file(self, native_id: str) -> NativeFile:
        with self._call("retrieve"):
            return self._file(native_id)[0]

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        with self._call("list"):
            ids = list(reversed(self.files))
            start = 0 if after is None else ids.index(after) + 1
            page = ids[start : start + self.page_size]
            more = start + self.page_size < len(ids)
            return Page([self.files[name][0] for name in page], page[-1] if more else None)

    def delete_file(self, native_id: str) -> None:
        with self._call("delete"):
            self.files.pop(native_id, None)

    @contextmanager
    def read_file(self, native_id: str) -> Iterator[Download]:
        with self._call("read"):
            data = self._file(native_id)[1]
            half = len(data) // 2
            yield Download(len(data), "application/octet-stream", iter([data[:half], data[half:]]))

    def _file(self, native_id: str) -> tuple[NativeFile, bytes]:
        if native_id not in self.files:
            raise MissingError(f"No such File object: {native_id}", status=404, param="id")
        return self.files[native_id]
