"""Writing one object: small ones by one request that overwrites nothing, others in parts, few of them in memory."""

import threading
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError

from app.blobs.base import BlobError
from app.lib import failpoints

if TYPE_CHECKING:
    from app.blobs.objects import ObjectBlobs

# The least that S3 takes as a part. It takes 10,000 of them, so a blob can have 48 GiB.
PART_BYTES = 5 * 2**20
# So many parts may be on their way besides the one that each upload has: eight uploads at once hold 45 MiB.
EXTRA_PARTS = 1


class Parts:
    """The parts of all uploads of a process that may be in memory besides the first one of each."""

    def __init__(self, extra: int = EXTRA_PARTS) -> None:
        self._lock = threading.Lock()
        self._free = extra

    def take(self) -> int:
        """All that are free."""
        with self._lock:
            taken, self._free = self._free, 0
            return taken

    def give_back(self, count: int) -> None:
        with self._lock:
            self._free += count


class ObjectWriter:
    """Holds one part at most, and those that the store is being sent."""

    def __init__(self, blobs: "ObjectBlobs", name: str) -> None:
        self._blobs = blobs
        self._name = name
        self._part = bytearray()
        self._sent_bytes = 0
        self._extra = 0
        self._upload: Any = None
        self._is_over = False

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            room = PART_BYTES - len(self._part)
            self._part += rest[:room]
            rest = rest[room:]
            if len(self._part) == PART_BYTES:
                self._send()

    def commit(self) -> None:
        failpoints.hit("blob.before_rename")
        if self._upload is None:
            self._put()
        else:
            self._complete()
        self._is_over = True
        self._release()

    def abort(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        upload, self._upload = self._upload, None
        self._release()
        if upload is not None:
            with self._blobs.errors(self._name):
                upload.__exit__(BlobError, None, None)  # how the library is asked to abort

    def _send(self) -> None:
        part, self._part = self._part, bytearray()  # the library has the very buffer until it is stored
        if self._upload is None:
            self._extra = self._blobs.parts.take()
            with self._blobs.errors(self._name):
                self._upload = obstore.open_writer(
                    self._blobs.client, self._name, buffer_size=PART_BYTES, max_concurrency=1 + self._extra
                )
        self._sent_bytes += len(part)
        with self._blobs.errors(self._name):
            self._upload.write(part)
            del part
            self._upload.write(b"")  # waits until another part may be in memory

    def _put(self) -> None:
        data = bytes(self._part)
        with self._blobs.errors(self._name):
            try:
                obstore.put(self._blobs.client, self._name, data, mode="create")
            except AlreadyExistsError:
                # Nobody else has this name: it was this request, repeated because its answer was lost.
                if obstore.get(self._blobs.client, self._name).bytes() != data:
                    raise

    def _complete(self) -> None:
        if self._part:
            self._send()
        upload, self._upload = self._upload, None
        with self._blobs.errors(self._name):
            upload.close()  # which aborts when it fails
            stored = obstore.head(self._blobs.client, self._name)["size"]
        if stored != self._sent_bytes:
            raise BlobError(f"{self._name}: the store has {stored} bytes of {self._sent_bytes}.")

    def _release(self) -> None:
        self._part = bytearray()
        extra, self._extra = self._extra, 0
        self._blobs.parts.give_back(extra)
