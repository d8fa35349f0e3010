"""Downloads content that a cut connection, or Ctrl-C, does not throw away, and checks it."""

import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.cli.client.http import PIECE_BYTES, AwayError, Gateway, patiently, read
from app.cli.client.saving import check_free, put, safe_name
from app.cli.shared.progress import Progress, Transfer
from app.cli.shared.refusal import Refused

PART_MODE = 0o600
SHA256_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Remote:
    """What the gateway says of content; None where only the provider that has it knows. `etag` is as it was sent."""

    size: int | None
    etag: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished download; `is_checked` when its SHA-256 was known and is right."""

    path: Path
    size: int
    sha256: str
    is_checked: bool


def look(gateway: Gateway, url_path: str) -> Remote:
    """What the content is."""
    headers = gateway.head(url_path).headers
    etag, length = headers.get("ETag"), headers.get("Content-Length", "")
    digest = (etag or "").strip('"')
    is_digest = len(digest) == SHA256_LENGTH and all(char in "0123456789abcdef" for char in digest)
    return Remote(size=int(length) if length.isdecimal() else None, etag=etag, sha256=digest if is_digest else None)


def download(gateway: Gateway, url_path: str, target: Path, *, object_id: str, force: bool) -> Saved:
    """Downloads content to `target`, which appears when it is complete and checked.

    What has come stays beside it when the connection or the command ends, and the next call goes on from there.
    Raises Refused, AwayError.
    """
    check_free(target, force=force)
    remote = look(gateway, url_path)
    part = target.with_name(f".{safe_name(object_id, instead='file')}.part")
    progress = Progress()
    with _part_file(part) as file:
        if remote.sha256 is None:
            file.truncate(0)  # without it nothing shows that both halves are of the same content
        digest = _digest(file)
        transfer = Transfer(progress, f"downloading {target.name}", remote.size, done=file.tell())
        patiently(lambda: _go_on(gateway, url_path, file, remote, digest, transfer))
        progress.end()
        size, sha256 = file.tell(), digest.value.hexdigest()
        if remote.sha256 not in (None, sha256):
            part.unlink()
            raise Refused(f"The {size} bytes do not have the SHA-256 of the content, and are deleted. Try again.")
        put(part, target, force=force)
    return Saved(target, size, sha256, is_checked=remote.sha256 is not None)


def stream(gateway: Gateway, url_path: str, target: BinaryIO) -> None:
    """Writes content to `target` as it comes. Raises AwayError when it is cut off."""
    remote = look(gateway, url_path)
    digest = hashlib.sha256()
    with gateway.open(url_path) as response:
        for piece in read(response):
            digest.update(piece)
            target.write(piece)
    target.flush()
    if remote.sha256 not in (None, digest.hexdigest()):
        raise Refused("The bytes do not have the SHA-256 of the content.")


class _Digest:
    """A SHA-256 that can begin anew."""

    def __init__(self) -> None:
        self.value = hashlib.sha256()

    def reset(self) -> None:
        self.value = hashlib.sha256()


def _go_on(
    gateway: Gateway, url_path: str, file: BinaryIO, remote: Remote, digest: _Digest, transfer: Transfer
) -> None:
    """Appends what is missing; begins anew where the gateway has no ranges, or other content now."""
    have = file.seek(0, os.SEEK_END)
    if remote.size is not None and have == remote.size and remote.sha256 is not None:
        return
    headers = {}
    if have and remote.etag is not None and (remote.size is None or have < remote.size):
        headers = {"Range": f"bytes={have}-", "If-Range": remote.etag}
    with gateway.open(url_path, headers=headers) as response:
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if have and not goes_on:
            file.seek(0)
            file.truncate()
            digest.reset()
            transfer.back_to(0)
        for piece in read(response):
            file.write(piece)
            digest.value.update(piece)
            transfer(len(piece))
    if remote.size is not None and file.tell() < remote.size:
        raise AwayError(f"The download was cut off after {file.tell()} of {remote.size} bytes.")


@contextmanager
def _part_file(path: Path) -> Iterator[BinaryIO]:
    """Yields the file for what has come so far, at its end; an empty one is deleted afterwards."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, PART_MODE)
    except OSError as error:
        raise Refused(f"{path} cannot be written ({error.strerror}): delete it, or give another --output.") from error
    with open(descriptor, "r+b") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise Refused(f"{path} is not a file of yours: delete it, or give another --output.")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"Another command downloads this already, to {path}.") from error
        try:
            yield file
        except BaseException:
            if not file.tell():
                path.unlink(missing_ok=True)
            raise


def _digest(file: BinaryIO) -> _Digest:
    """The digest of what the file has; leaves it at its end."""
    digest = _Digest()
    file.seek(0)
    for piece in iter(_reader(file), b""):
        digest.value.update(piece)
    return digest


def _reader(file: BinaryIO) -> Callable[[], bytes]:
    return lambda: file.read(16 * PIECE_BYTES)
