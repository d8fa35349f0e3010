"""What files may be called, and what each purpose asks of the name."""

import posixpath

from app.errors import InvalidRequestError

MAX_LENGTH = 255
DEFAULT = "upload"
BATCH = "batch"
BATCH_SUFFIX = ".jsonl"


def checked_name(filename: str, *, param: str = "file") -> str:
    """The name without its directories. Raises InvalidRequestError naming `param`."""
    name = filename.replace("\\", "/").rpartition("/")[2].strip()
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000 for char in name):
        raise InvalidRequestError(f"{param}: the filename must not contain control characters.", param=param)
    if len(name) > MAX_LENGTH:
        text = f"{param}: the filename must have at most {MAX_LENGTH} characters."
        raise InvalidRequestError(text, param=param)
    return name if name not in ("", ".", "..") else DEFAULT


def check_format(purpose: str, filename: str, *, param: str = "file") -> None:
    """Raises InvalidRequestError naming `param` when the name of a batch input has another extension than `.jsonl`."""
    if purpose == BATCH and not may_be_batch(filename):
        raise InvalidRequestError("Invalid file format for Batch API. Must be .jsonl", param=param)


def may_be_batch(filename: str) -> bool:
    """True for `*.jsonl` in any case, and for a name without an extension: what SDKs call bytes that have no name."""
    return filename.lower().endswith(BATCH_SUFFIX) or posixpath.splitext(filename)[1] in ("", ".")
