"""Files and folders that only the user of the service can read."""

import os
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700
OTHERS = 0o077
# What the group of the service may do where nginx sends files itself: read and enter, never write.
OTHERS_BUT_GROUP_READS = 0o027


def make_folder(path: Path, *, mode: int = FOLDER_MODE) -> None:
    """Creates a folder and its missing parents with `mode`; one that exists stays as it is."""
    missing = [path]
    while not missing[-1].exists() and missing[-1].parent != missing[-1]:
        missing.append(missing[-1].parent)
    for each in reversed(missing):
        each.mkdir(mode=mode, exist_ok=True)


def make_file(path: Path) -> None:
    """Creates an empty file unless there is one. Raises OSError."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))


def close_to_others(path: Path, *, mask: int = OTHERS) -> None:
    """Takes the permissions in `mask` from a file or folder of this user; does nothing if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if found.st_uid == os.geteuid() and found.st_mode & mask:
        path.chmod(found.st_mode & 0o7777 & ~mask)
