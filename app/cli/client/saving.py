"""Writes files that are whole or not there, under names that stay in their folder."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.cli.shared.refusal import Refused
from app.cli.shared.text import plain

MAX_NAME_BYTES = 200
FORCE = "Give another --output, or --force to replace it."
# What a shell, or a person who reads a list, may take for something else.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff:*?\"<>|]")


def safe_name(name: object, *, instead: str) -> str:
    """Returns a file name for what a server calls `name`: no folder, no hidden file, no option, never empty."""
    last = str(name or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    cleaned = _UNFIT.sub("_", last).lstrip(" .-").rstrip(" .")
    while len(cleaned.encode()) > MAX_NAME_BYTES:
        cleaned = cleaned[:-1]
    return cleaned or (safe_name(instead, instead="file") if instead != name else "file")


def check_free(path: Path, *, force: bool) -> None:
    """Raises Refused when `path` must not be written."""
    folder = path.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise Refused(f"{folder} is not a writable folder: give another --output.")
    if path.is_dir() and not path.is_symlink():
        raise Refused(f"{path} is a folder: give --output the name of a file in it.")
    if os.path.lexists(path) and not force:
        raise Refused(f"{plain(path)} exists. {FORCE}")


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Yields a file that becomes `path` when the block ends well, and else leaves nothing behind."""
    check_free(path, force=force)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
    temporary = Path(name)
    try:
        with open(descriptor, "w+b") as target:
            yield target
        put(temporary, path, force=force)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def put(temporary: Path, path: Path, *, force: bool) -> None:
    """Gives a finished file its name. Raises Refused when somebody else made one of that name meanwhile."""
    temporary.chmod(0o666 & ~_umask())
    if force:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename this replaces nothing
    except FileExistsError as error:
        raise Refused(f"{plain(path)} exists. {FORCE}") from error
    except OSError:  # a file system without hard links
        check_free(path, force=False)
        temporary.replace(path)
    with suppress(FileNotFoundError):
        temporary.unlink()


def _umask() -> int:
    """Returns the process's umask, which can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
