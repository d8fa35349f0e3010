"""The file `.env`, as honcho reads it: what the environment has already is left alone."""

import os
import re
from collections.abc import MutableMapping
from pathlib import Path

LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")
QUOTED = re.compile(r"""^(["'])(.*)\1(?:\s+#.*)?$""")


def load(path: Path | None = None, *, environ: MutableMapping[str, str] | None = None) -> None:
    """Add the variables of `path` (default: `.env` here) to `environ` (default: the process's)."""
    path, environ = path or Path(".env"), os.environ if environ is None else environ
    if not path.is_file():
        return
    for line in path.read_text("utf-8").splitlines():
        if found := LINE.match(line):
            environ.setdefault(found[1], _value(found[2]))


def _value(text: str) -> str:
    if quoted := QUOTED.match(text):
        return quoted[2]
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
