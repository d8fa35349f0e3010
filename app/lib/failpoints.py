"""Named instants at which a test may kill the process, or hold it; nothing happens unless armed.

`BATCHGATE_FAILPOINT=chunk.before_commit` kills at the first hit, `name:3` at the third. With
`BATCHGATE_FAILPOINT_FILE` set, the kill happens once: the file is created first, and an existing one disarms.
"""

import os
import signal
import threading

_armed, _, _count = os.environ.get("BATCHGATE_FAILPOINT", "").partition(":")
_left = int(_count or 1)
_once = os.environ.get("BATCHGATE_FAILPOINT_FILE", "")
_lock = threading.Lock()

# Every name that code may hit, so that the crash tests can prove they cover them all.
NAMES = (
    "blob.after_intent",
    "blob.before_rename",
    "file.before_row",
    "batch.after_row",
    "plan.between_slices",
    "plan.before_commit",
    "line.sending",
    "chunk.after_bytes",
    "chunk.before_commit",
    "chunk.after_commit",
    "finalise.after_bytes",
    "finalise.before_commit",
    "sweep.after_delete",
    "job.before_create",
    "job.after_create",
    "job.during_harvest",
    "harvest.after_bytes",
    "harvest.before_commit",
    "harvest.after_commit",
    "copy.before_upload",
    "copy.after_upload",
    "copy.before_delete",
    "copy.after_delete",
    "container.before_create",
    "container.after_create",
    "container.before_confirm",
    "secrets.after_key",
    "secrets.between_values",
)


def hit(name: str) -> None:
    """Die here as by SIGKILL if the environment armed this point."""
    global _left
    if not _armed or name != _armed:
        return
    with _lock:
        _left -= 1
        if _left != 0 or (_once and os.path.exists(_once)):
            return
        if _once:
            with open(_once, "x"):
                pass
        os.kill(os.getpid(), signal.SIGKILL)
