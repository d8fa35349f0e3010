"""Creates gateway ids: a prefix, 14 hex digits of Unix microseconds, 16 random hex digits. They sort by time."""

import re
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

# The same ids in the alphabets of other faces: the prefix differs, the digits are those of the gateway's id.
MESSAGE_BATCH = "msgbatch_"
ANTHROPIC_FILE = "file_"
_OTHER = re.compile(rf"({MESSAGE_BATCH}|{ANTHROPIC_FILE})([0-9a-f]{{30}})")
_OWN = {MESSAGE_BATCH: BATCH, ANTHROPIC_FILE: FILE}


def new(prefix: str) -> str:
    """A new id with `prefix`, one of the constants above; at most MAX_LENGTH characters."""
    return f"{prefix}{time.time_ns() // 1000:014x}{secrets.token_hex(8)}"


def canonical(given: str) -> str:
    """The gateway's id for what may be the same id as another face shows it; anything else as it is."""
    found = _OTHER.fullmatch(given)
    return given if found is None else _OWN[found[1]] + found[2]


def shown(public_id: str, *, own: str, prefix: str) -> str:
    """A gateway id as a face shows it that begins its ids with `prefix` where the gateway has `own`."""
    return prefix + public_id.removeprefix(own)
