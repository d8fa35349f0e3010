"""Named points at which a crash test kills the process; without the environment variables they do nothing.

`BATCHGATE_FAILPOINT=chunk.before_commit` kills the process at the first hit, `name:3` at the third. With
`BATCHGATE_FAILPOINT_FILE` it is killed once only: the file is created before the kill, and disarms the point if it
exists.
"""

import os
import signal
import threading

_armed, _, _count = os.environ.get("BATCHGATE_FAILPOINT", "").partition(":")
_left = int(_count or 1)
_once = os.environ.get("BATCHGATE_FAILPOINT_FILE", "")
_lock = threading.Lock()

# Every fail point in the code; the crash tests check that they cover them all.
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
    "move.before_exchange",
    "move.after_exchange",
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
    "webhook.before_send",
    "webhook.after_send",
    "webhook.after_commit",
)


def hit(name: str) -> None:
    """Kill this process with SIGKILL if the environment armed the point `name`."""
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
