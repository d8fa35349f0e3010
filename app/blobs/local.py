"""Blobs as local files: written under a temporary name, synced, renamed, then the folder is synced."""

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from app.blobs.base import BUFFER_BYTES, BlobError, BlobFullError, BlobMissingError
from app.lib import failpoints, private

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# With fewer inodes, a disk is full whatever its bytes: each blob takes one, and sometimes another for its folder.
MIN_INODES = 64


class LocalBlobs:
    """A folder. Blob `a1b2...` is stored at `a1/a1b2...`; a partial write has the suffix `.part`."""

    backend = "local"
    commits_late = False

    def __init__(self, root: Path, *, group_reads: bool = False) -> None:
        self.root = root
        self.url = root.as_uri()
        self._group = 0o050 if group_reads else 0
        self._identity: tuple[int, int] | None = None
        self._check_key = f"00check{secrets.token_hex(8)}"

    def open_write(self, key: str) -> "LocalWriter":
        self._check_root()
        return LocalWriter(self._file(key), group=self._group)

    def open_read(self, key: str) -> "LocalReader":
        try:
            return LocalReader(os.open(self._file(key), os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise _blob_error(error) from error

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        return LocalStream(self.open_read(key), offset, length)

    def delete(self, key: str) -> None:
        path = self._file(key)
        try:
            path.unlink(missing_ok=True)
            _part(path).unlink(missing_ok=True)
        except OSError as error:
            raise _blob_error(error) from error

    def at(self, url: str) -> "LocalBlobs":
        return self

    def path(self, key: str) -> Path | None:
        return self._file(key)

    def signed_url(self, key: str, *, seconds: int, headers: Mapping[str, str]) -> str | None:
        return None

    def free_bytes(self) -> int | None:
        self._check_root()
        try:
            disk = os.statvfs(self.root)
        except OSError as error:
            raise _blob_error(error) from error
        has_inodes = not disk.f_files or disk.f_favail >= MIN_INODES
        return disk.f_bavail * disk.f_frsize if has_inodes else 0

    def check(self) -> None:
        key = self._check_key
        writer = self.open_write(key)
        try:
            writer.write(b"ok")
            writer.commit()
            if b"".join(self.stream(key)) != b"ok":
                raise BlobError(f"{self.url} returned other bytes than were written.")
        finally:
            writer.abort()
            self.delete(key)

    def _check_root(self) -> None:
        """Make the folder at the first use. Raises BlobError when it is not the same later, as without its volume."""
        try:
            if self._identity is None:
                private.make_folder(self.root, mode=private.FOLDER_MODE | self._group)
            found = os.stat(self.root)
        except FileNotFoundError as error:
            raise BlobError(f"The blob folder {self.root} is gone; put it back.") from error
        except OSError as error:
            raise _blob_error(error) from error
        if self._identity not in (None, (found.st_dev, found.st_ino)):
            raise BlobError(f"The blob folder {self.root} was replaced; restart this process.")
        self._identity = found.st_dev, found.st_ino

    def _file(self, key: str) -> Path:
        return self.root / key[:2] / key


class LocalWriter:
    def __init__(self, path: Path, *, group: int = 0) -> None:
        self._path = path
        mode = private.FILE_MODE | group & 0o060
        try:
            private.make_folder(path.parent, mode=private.FOLDER_MODE | group)
            self._file = open(  # noqa: SIM115 - closed by commit or abort
                _part(path), "xb", buffering=BUFFER_BYTES, opener=lambda name, flags: os.open(name, flags, mode)
            )
        except OSError as error:
            raise _blob_error(error) from error

    def write(self, data: bytes | memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _blob_error(error) from error

    def commit(self) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            failpoints.hit("blob.before_rename")
            os.rename(_part(self._path), self._path)
            _sync_folder(self._path.parent)
            _sync_folder(self._path.parent.parent)
        except OSError as error:
            raise _blob_error(error) from error

    def abort(self) -> None:
        with suppress(OSError):  # on a full disk the last flush fails; the file is deleted anyway
            self._file.close()
        try:
            _part(self._path).unlink(missing_ok=True)
        except OSError as error:
            raise _blob_error(error) from error


class LocalReader:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise _blob_error(error) from error

    def close(self) -> None:
        os.close(self._descriptor)


class LocalStream:
    """Streams one blob. Not a generator: a generator that was never started would not close its file."""

    def __init__(self, reader: LocalReader, offset: int, length: int | None) -> None:
        self._reader: LocalReader | None = reader
        self._offset = offset
        self._remaining = length

    def __iter__(self) -> "LocalStream":
        return self

    def __next__(self) -> bytes:
        if self._reader is None or self._remaining == 0:
            self.close()
            raise StopIteration
        size = BUFFER_BYTES if self._remaining is None else min(BUFFER_BYTES, self._remaining)
        data = self._reader.read(self._offset, size)
        if not data:
            self.close()
            if self._remaining is not None:
                raise BlobError(f"The blob is {self._remaining} bytes shorter than expected.")
            raise StopIteration
        self._offset += len(data)
        if self._remaining is not None:
            self._remaining -= len(data)
        return data

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __del__(self) -> None:
        self.close()


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _blob_error(error: OSError) -> BlobError:
    if error.errno == errno.ENOENT:
        return BlobMissingError(str(error))
    return (BlobFullError if error.errno in DISK_FULL else BlobError)(str(error))
