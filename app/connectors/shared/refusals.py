"""Lines that failed within a job: from the providers' error shapes to OpenAI's."""

import re
from typing import Any

from app.connectors.contract.objects import JobResult
from app.connectors.http import judging
from app.lib import json

# google.rpc.Code, by number and by name, as HTTP statuses.
GRPC = {
    1: ("CANCELLED", 499),
    2: ("UNKNOWN", 500),
    3: ("INVALID_ARGUMENT", 400),
    4: ("DEADLINE_EXCEEDED", 504),
    5: ("NOT_FOUND", 404),
    6: ("ALREADY_EXISTS", 409),
    7: ("PERMISSION_DENIED", 403),
    8: ("RESOURCE_EXHAUSTED", 429),
    9: ("FAILED_PRECONDITION", 400),
    10: ("ABORTED", 409),
    11: ("OUT_OF_RANGE", 400),
    12: ("UNIMPLEMENTED", 501),
    13: ("INTERNAL", 500),
    14: ("UNAVAILABLE", 503),
    15: ("DATA_LOSS", 500),
    16: ("UNAUTHENTICATED", 401),
}
STATUS_OF_NUMBER = {str(number): status for number, (_, status) in GRPC.items()}
STATUS_OF_NAME = dict(GRPC.values())
# Codes that add nothing to the status.
GENERIC = re.compile(r"\d+|[a-z]+_(client|server|request)_error|invalid_request(_error)?", re.IGNORECASE)
CANCELLED = 499
REFUSED = 400


def refused(
    custom_id: str,
    message: str,
    *,
    status: int | None = None,
    kind: str | None = None,
    param: str | None = None,
    code: str | None = None,
) -> JobResult:
    """The result of a failed line. Without a status: that of a gRPC or HTTP code, else 400."""
    known_status = status or _status(code)
    if known_status == CANCELLED:
        return JobResult(custom_id, error_code="batch_cancelled", message=message)
    kind = kind or ("server_error" if known_status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": param, "code": _telling(code)}
    return JobResult(custom_id, known_status, body=json.dumps({"error": error}))


def from_error(custom_id: str, error: Any, *, status: int | None = None) -> JobResult:
    """The result of a failed line from its `error`: an object with a message, or a text."""
    if isinstance(error, dict):
        inner = error.get("error")
        holder = inner if isinstance(inner, dict) else error
        message = (
            _word(holder.get("message"))
            or judging.sentence(holder.get("detail") or error.get("detail"))
            or _word(inner)
        )
        return refused(
            custom_id,
            message or "The provider rejected this line without giving a reason.",
            status=status,
            kind=_word(holder.get("type")),
            param=_word(holder.get("param")),
            code=_word(holder.get("code")),
        )
    return refused(custom_id, _word(error) or "The provider rejected this line without giving a reason.", status=status)


def _status(code: str | None) -> int:
    if code is None:
        return REFUSED
    if code in STATUS_OF_NUMBER:
        return STATUS_OF_NUMBER[code]
    if code.isascii() and code.isdigit() and len(code) == 3 and 400 <= int(code) < 600:
        return int(code)
    return STATUS_OF_NAME.get(code.upper(), REFUSED)


def _telling(code: str | None) -> str | None:
    if code is None or GENERIC.fullmatch(code) or code.upper() in STATUS_OF_NAME:
        return None
    return code


def _word(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
