"""Lines of output and error files, in OpenAI's format (contracts: OpenAI, batches). Pure: bytes in, bytes out.

Every function returns one complete JSONL line, its newline included. The id of a line is made from its batch and its
number, so that writing it twice (after a crash, or for a client that reads while the batch runs) gives the same bytes;
the number can be read back from it, which makes the id a cursor.
"""

import hashlib
from typing import Any, Final

import orjson

from app.lib import ids, json

EXPIRED: Final = "batch_expired"
CANCELLED: Final = "batch_cancelled"
UNEXECUTED_MESSAGES = {
    EXPIRED: "This request could not be executed before the completion window expired.",
    CANCELLED: "This request was not executed because the batch was cancelled.",
}
# The code of a line that never ran, by the state that SQL gives it.
UNEXECUTED_CODES = {"expired": EXPIRED, "cancelled": CANCELLED}

BATCH_DIGITS = 20
LINE_DIGITS = 12


def line_id(batch_public_id: str, line: int) -> str:
    """`batch_req_...` of a line; the same for the same batch and number, whoever asks."""
    digest = hashlib.sha256(batch_public_id.encode()).hexdigest()
    return f"{ids.LINE}{digest[:BATCH_DIGITS]}{line:0{LINE_DIGITS}x}"


def line_number(batch_public_id: str, public_id: str) -> int | None:
    """The number of the batch's line with this id, or None when it is no id of this batch."""
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
    """A line that the provider answered, 2xx or a final error alike.

    `body` is the answer's JSON, put in as it is: the caller has made sure that it is valid.
    """
    if b"\n" in body or b"\r" in body:
        # Between tokens, as strings cannot hold them unescaped; but in JSONL they would end the line.
        body = body.replace(b"\r", b" ").replace(b"\n", b" ")
    response = {"status_code": status_code, "request_id": request_id, "body": orjson.Fragment(body)}
    return _line(batch_public_id, line, custom_id, response=response, error=None)


def failed_line(batch_public_id: str, line: int, custom_id: str, *, code: str, message: str) -> bytes:
    """A line without any answer: it could not be sent, or nothing usable came back."""
    return _line(batch_public_id, line, custom_id, response=None, error={"code": code, "message": message})


def unexecuted_line(batch_public_id: str, line: int, custom_id: str, code: str) -> bytes:
    """A line that never ran; `code` is EXPIRED or CANCELLED. Raises KeyError on another."""
    return failed_line(batch_public_id, line, custom_id, code=code, message=UNEXECUTED_MESSAGES[code])


def _line(
    batch_public_id: str, line: int, custom_id: str, *, response: dict[str, Any] | None, error: dict[str, str] | None
) -> bytes:
    return json.dumps_line(
        {"id": line_id(batch_public_id, line), "custom_id": custom_id, "response": response, "error": error}
    )
