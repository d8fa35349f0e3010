"""The planted faults as data: what goes wrong, where, and which tests notice."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLANTED = Path(__file__).resolve().parent / "planted"
FIELDS = {"says", "file", "find", "put", "tests", "only"}


class CatalogueError(ValueError):
    """A fault that is not described as it should be; the message names it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Tests as pytest selects them: files, and an expression for `-k` (empty: all of them)."""

    paths: tuple[str, ...]
    expression: str

    def arguments(self) -> list[str]:
        """The selection as arguments of pytest."""
        return [*self.paths, *(("-k", self.expression) if self.expression else ())]


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake.

    `says` is what goes wrong, in one line. `find` must occur exactly once in `file`; it is replaced by `put`.
    `tests` are narrow: that they fail with the fault, and pass without it, proves that the suite catches it.
    """

    name: str
    group: str
    says: str
    file: str
    find: str
    put: str
    tests: Selection


def load(source: Path = PLANTED) -> list[Fault]:
    """The faults of a TOML file, or of all in a folder, in the order of their names. Raises CatalogueError."""
    files = sorted(source.glob("*.toml")) if source.is_dir() else [source]
    faults = [
        _fault(name, path.stem, entry)
        for path in files
        for name, entry in tomllib.loads(path.read_text("utf-8")).items()
    ]
    names = [fault.name for fault in faults]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise CatalogueError(f"{min(repeated)}: two faults have this name")
    return faults


def chosen(faults: Sequence[Fault], names: Sequence[str]) -> list[Fault]:
    """Those of the faults that are called one of `names`, or are of a group called so. Raises CatalogueError."""
    known = {fault.name for fault in faults} | {fault.group for fault in faults}
    if unknown := [name for name in names if name not in known]:
        raise CatalogueError(f"{unknown[0]}: there is no fault or group of this name")
    return [fault for fault in faults if not names or {fault.name, fault.group} & set(names)]


def _fault(name: str, group: str, entry: Any) -> Fault:
    if not isinstance(entry, dict) or not FIELDS - {"only"} <= set(entry) <= FIELDS:
        raise CatalogueError(f"{name}: a fault has {', '.join(sorted(FIELDS))} and nothing else")
    if entry["find"] == entry["put"] or not entry["find"]:
        raise CatalogueError(f"{name}: it changes nothing")
    tests = Selection(tuple(entry["tests"]), " ".join(entry.get("only", "").split()))
    return Fault(name, group, entry["says"], entry["file"], entry["find"], entry["put"], tests)
