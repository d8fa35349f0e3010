"""Creates gateway ids: a prefix, 14 hex digits of Unix microseconds, 16 random hex digits. They sort by time."""

import secrets
import time

FILE = "file-"
BATCH = "batch_"
CONTAINER = "cntr_"
CONTAINER_FILE = "cfile_"
UPLOAD = "upload_"
PART = "part_"
LINE = "batch_req_"
REQUEST = "req_"
WEBHOOK_ENDPOINT = "we_"
WEBHOOK_DELIVERY = "whd_"
EVENT = "evt_"

MAX_LENGTH = 48  # characters


def new(prefix: str) -> str:
    """A new id with `prefix`, one of the constants above; at most MAX_LENGTH characters."""
    return f"{prefix}{time.time_ns() // 1000:014x}{secrets.token_hex(8)}"
