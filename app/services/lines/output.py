"""Lines of output and error files, in OpenAI's format (contracts: OpenAI, batches). Pure: bytes in, bytes out.

Every function returns one complete JSONL line with its newline. The id of a line is derived from its batch and its
number, so that writing the line twice (after a crash, or for a client that reads while the batch runs) gives the same
bytes; the number can be read back from the id, which makes it a cursor.
"""

import hashlib
from functools import lru_cache
from typing import Any, Final

import orjson

from app.lib import ids, json

EXPIRED: Final = "batch_expired"
CANCELLED: Final = "batch_cancelled"
UNEXECUTED_MESSAGES = {
    EXPIRED: "This request could not be executed before the completion window expired.",
    CANCELLED: "This request was not executed because the batch was cancelled.",
}
# The code of a line that never ran, by its state in SQL.
UNEXECUTED_CODES = {"expired": EXPIRED, "cancelled": CANCELLED}

BATCH_DIGITS = 20
LINE_DIGITS = 12


def line_id(batch_public_id: str, line: int) -> str:
    """`batch_req_...` of a line: always the same for the same batch and number."""
    return f"{_start_of_ids(batch_public_id)}{line:0{LINE_DIGITS}x}"


@lru_cache(maxsize=1024)
def _start_of_ids(batch_public_id: str) -> str:
    return f"{ids.LINE}{hashlib.sha256(batch_public_id.encode()).hexdigest()[:BATCH_DIGITS]}"


def line_number(batch_public_id: str, public_id: str) -> int | None:
    """The number of the batch's line with this id, or None if it is not an id of this batch."""
    digits = public_id[-LINE_DIGITS:]
    if not digits.isascii() or not digits.isalnum():
        return None
    try:
        line = int(digits, 16)
    except ValueError:
        return None
    return line if line_id(batch_public_id, line) == public_id else None


def answered_line(
    batch_public_id: str, line: int, custom_id: str, *, status_code: int, request_id: str, body: bytes
) -> bytes:
    """A line that the provider answered, with a 2xx or a final error.

    `body` is the JSON of the answer. It is inserted unchanged, so it must be valid.
    """
    if b"\n" in body or b"\r" in body:
        # They are between tokens, since JSON strings escape them; in JSONL they would end the line.
        body = body.replace(b"\r", b" ").replace(b"\n", b" ")
    response = {"status_code": status_code, "request_id": request_id, "body": orjson.Fragment(body)}
    return _line(batch_public_id, line, custom_id, response=response, error=None)


def failed_line(batch_public_id: str, line: int, custom_id: str, *, code: str, message: str) -> bytes:
    """A line without an answer: it could not be sent, or the answer was unusable."""
    return _line(batch_public_id, line, custom_id, response=None, error={"code": code, "message": message})


def unexecuted_line(batch_public_id: str, line: int, custom_id: str, code: str) -> bytes:
    """A line that never ran; `code` is EXPIRED or CANCELLED. Raises KeyError for any other."""
    return failed_line(batch_public_id, line, custom_id, code=code, message=UNEXECUTED_MESSAGES[code])


def _line(
    batch_public_id: str, line: int, custom_id: str, *, response: dict[str, Any] | None, error: dict[str, str] | None
) -> bytes:
    return json.dumps_line(
        {"id": line_id(batch_public_id, line), "custom_id": custom_id, "response": response, "error": error}
    )
