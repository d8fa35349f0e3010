"""Copies of the tree, into which a fault is planted and taken out again."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.faults.catalogue import Fault


class StaleAnchorError(Exception):
    """The text that a fault replaces is not there, or not just once."""


def planted_text(tree: Path, fault: Fault) -> str:
    """The faulty file as it would be. Raises StaleAnchorError, and SyntaxError when it is no Python any more."""
    path = tree / fault.file
    if not path.is_file():
        raise StaleAnchorError(f"there is no {fault.file}")
    text = path.read_text("utf-8")
    count = text.count(fault.find)
    if count != 1:
        raise StaleAnchorError(f"its text occurs {count} times in {fault.file}")
    faulty = text.replace(fault.find, fault.put)
    compile(faulty, fault.file, "exec")
    return faulty


def copy(tree: Path, target: Path) -> None:
    """Copy the files that git tracks, as they are in the work tree. Raises CalledProcessError where there is no git."""
    listed = subprocess.run(
        ["git", "-C", str(tree), "ls-files", "-z"],  # noqa: S607 - git is wherever the user has it
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (tree / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, target / name)


def python_of(tree: Path) -> str:
    """The interpreter of the tree's own environment; else the one that runs this."""
    own = tree / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


@contextmanager
def plant(tree: Path, fault: Fault) -> Iterator[None]:
    """Within the block the fault is in the copy `tree`. Raises StaleAnchorError, SyntaxError."""
    path = tree / fault.file
    faulty, sound = planted_text(tree, fault), path.read_bytes()
    try:
        _write(path, faulty.encode())
        yield
    finally:
        _write(path, sound)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    # Python tells compiled files apart by second and size, which two versions of a file may share.
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink(missing_ok=True)
