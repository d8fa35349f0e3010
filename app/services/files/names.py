"""What files may be called, and what each purpose asks of the name."""

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
    """Raises InvalidRequestError naming `param` when a batch input is not called `*.jsonl`."""
    if purpose == BATCH and not filename.endswith(BATCH_SUFFIX):
        raise InvalidRequestError("Invalid file format for Batch API. Must be .jsonl", param=param)
