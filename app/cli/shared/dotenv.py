"""Loads the file `.env` in the format that honcho reads. Variables that are already set are not changed."""

import os
import re
from collections.abc import MutableMapping
from pathlib import Path

LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")
QUOTED = re.compile(r"""^(["'])(.*)\1(?:\s+#.*)?$""")


def load(path: Path | None = None, *, environ: MutableMapping[str, str] | None = None) -> None:
    """Adds the variables of `path` (default: `.env` in the current folder) to `environ` (default: the process's)."""
    path, environ = path or Path(".env"), os.environ if environ is None else environ
    if not path.is_file():
        return
    for line in path.read_text("utf-8").splitlines():
        if match := LINE.match(line):
            environ.setdefault(match[1], _value(match[2]))


def _value(text: str) -> str:
    if quoted := QUOTED.match(text):
        return quoted[2]
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
