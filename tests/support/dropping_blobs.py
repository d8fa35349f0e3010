"""A blob store whose bytes reach the disk only with `commit`, as after a power cut without fsync."""

from dataclasses import dataclass, field
from pathlib import Path

from app.blobs.base import BlobWriter
from app.blobs.local import LocalBlobs


class DroppingBlobs(LocalBlobs):
    """A process that dies loses all it has written and not committed."""

    def open_write(self, key: str) -> BlobWriter:  # type: ignore[override]
        return _HeldWriter(self, key)

    def open_durable(self, key: str) -> BlobWriter:
        return super().open_write(key)


@dataclass
class _HeldWriter:
    store: DroppingBlobs
    key: str
    held: list[bytes] = field(default_factory=list)

    def write(self, data: bytes | memoryview) -> None:
        self.held.append(bytes(data))

    def commit(self) -> None:
        writer = self.store.open_durable(self.key)
        for data in self.held:
            writer.write(data)
        writer.commit()

    def abort(self) -> None:
        self.held.clear()


def over(root: Path) -> DroppingBlobs:
    """The dropping store on a folder."""
    return DroppingBlobs(root)
