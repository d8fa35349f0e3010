"""Whether files with secrets are closed to other users of the machine, and folders can be written."""

import os
import shlex
import stat
import tempfile
from pathlib import Path

from app.lib import private
from app.services.doctor.findings import FAIL, OK, WARN, Finding
from app.settings import Settings

SQLITE = "sqlite:///"
NAMED = ("secret_key", "client.json", "client.env")


def check(settings: Settings, *, dotenv: Path) -> list[Finding]:
    """Looks at the home folder, the files in it that hold secrets, the SQLite file, and a file `.env`."""
    findings = [_folder(settings.home)]
    files = [settings.home / name for name in NAMED]
    if settings.is_embedded:
        store = settings.database_url.removeprefix(SQLITE)
        files += [Path(store + suffix) for suffix in ("", "-wal", "-shm")]
    loose = [file for file in files if _is_loose(file)]
    if loose:
        named = " ".join(shlex.quote(str(file)) for file in loose)
        findings.append(
            Finding("permissions", FAIL, f"Other users of this machine can read {named}.", f"chmod 600 {named}")
        )
    if _is_loose(dotenv):
        text = f"Other users of this machine can read {dotenv}, which may hold keys."
        findings.append(Finding("permissions", WARN, text, f"chmod 600 {shlex.quote(str(dotenv))}"))
    if len(findings) == 1:
        findings.append(Finding("permissions", OK, "Files with secrets are closed to other users."))
    return findings


def _folder(home: Path) -> Finding:
    if not home.exists():
        return Finding("folder", WARN, f"BATCHGATE_HOME, {home}, is not there yet.", "batchgate db upgrade")
    try:
        descriptor, name = tempfile.mkstemp(dir=home, prefix=".doctor.")
    except OSError as error:
        action = f"Give this user the folder: chown -R $(id -un) {shlex.quote(str(home))}"
        return Finding("folder", FAIL, f"BATCHGATE_HOME, {home}, cannot be written: {error.strerror}.", action)
    os.close(descriptor)
    Path(name).unlink()
    return Finding("folder", OK, f"BATCHGATE_HOME, {home}, can be written.")


def _is_loose(path: Path) -> bool:
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & private.OTHERS)
    except OSError:
        return False
