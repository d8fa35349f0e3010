"""Style sheet and scripts. Their address names a hash of all of them, so browsers may keep them for ever."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Blueprint, Response

from app.api.operation import operation
from app.errors import NotFoundError

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"
CHANGING = "no-cache"
HASH_LENGTH = 16

blueprint = Blueprint("assets", __name__)


@dataclass(frozen=True, slots=True)
class Assets:
    """The files by name, and the hash of all."""

    files: dict[str, bytes]
    version: str


def url(name: str) -> str:
    """The address of a file."""
    return f"/ui/static/{loaded().version}/{name}"


@blueprint.get("/static/<version>/<name>")
@operation("ui_static")
def static(version: str, name: str) -> Response:
    """A style sheet or a script. Processes of two releases may serve one page: the other's files are not kept."""
    data = loaded().files.get(name)
    if data is None:
        raise NotFoundError(f"There is no file {name:.80} here.")
    response = Response(data, content_type=f"{TYPES[Path(name).suffix]}; charset=utf-8")
    response.headers["Cache-Control"] = FOR_EVER if version == loaded().version else CHANGING
    return response


static.is_open = True  # type: ignore[attr-defined]


@cache
def loaded() -> Assets:
    """All files, read once in a process."""
    files = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}
    digest = hashlib.sha256()
    for name, data in files.items():
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return Assets(files, digest.hexdigest()[:HASH_LENGTH])
