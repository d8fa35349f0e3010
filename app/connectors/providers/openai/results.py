"""Rows of OpenAI's output and error files, which report errors in two ways (contracts: providers, 1 and 2.3)."""

from collections.abc import Mapping
from typing import Any

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import JobResult, Usage
from app.connectors.http.judging import usage_of
from app.connectors.shared import parsing, refusals
from app.lib import json

SILENT = "The provider gave neither an answer to this line nor an error."
TOO_DEEP = "The provider's answer to this line is nested too deep."


def result(line: bytes, number: int) -> JobResult:
    """The result in a row. `number` counts rows from 1.

    Raises UpstreamServerError, which names the row, if it is not JSON or has no custom_id to match it to a line.
    """
    try:
        row = json.loads(line)
    except json.JSONDecodeError as wrong:
        raise _bad_row(number, "is not JSON") from wrong
    if not isinstance(row, dict):
        raise _bad_row(number, "is not an object")
    custom_id = row.get("custom_id")
    if not isinstance(custom_id, str):
        raise _bad_row(number, "has no custom_id")
    response, error = parsing.unquoted(row.get("response")), parsing.unquoted(row.get("error"))
    if isinstance(response, dict):
        return _answered(custom_id, response, error)
    if error:
        return _not_run(custom_id, error)
    return JobResult(custom_id, error_code="provider_error", message=SILENT)


def _answered(custom_id: str, response: Mapping[str, Any], error: Any) -> JobResult:
    body, status = parsing.unquoted(response.get("body")), _status(response)
    if status is None:
        status = 400 if error or (isinstance(body, dict) and body.get("error")) else 200
    if status < 400:
        if body is None:
            return JobResult(custom_id, error_code="provider_error", message=SILENT)
        usage = usage_of(body if isinstance(body, dict) else {})
        return _written(custom_id, status, response, body, usage)
    inner = body.get("error") if isinstance(body, dict) else None
    if isinstance(inner, dict) and isinstance(inner.get("message"), str):
        return _written(custom_id, status, response, {"error": _completed(inner, status)}, Usage())
    refused = refusals.from_error(custom_id, body or error, status=status)
    return JobResult(custom_id, refused.status_code, _request_id(response), refused.body)


def _written(custom_id: str, status: int, response: Mapping[str, Any], body: Any, usage: Usage) -> JobResult:
    try:
        written = json.dumps(body)
    except json.JSONEncodeError:  # one such line must not spoil the others
        return JobResult(custom_id, error_code="provider_error", message=TOO_DEEP)
    return JobResult(custom_id, status, _request_id(response), written, usage=usage)


def _not_run(custom_id: str, error: Any) -> JobResult:
    """The result of a line that did not run. A numeric code is an HTTP status, as DeepInfra sends it."""
    holder = error if isinstance(error, dict) else {"message": error}
    code, message = holder.get("code"), holder.get("message")
    if _http_error(code):
        return refusals.from_error(custom_id, {**holder, "code": None}, status=int(str(code)))
    return JobResult(
        custom_id,
        error_code=code if isinstance(code, str) and code else "provider_error",
        message=message if isinstance(message, str) else SILENT,
    )


def _completed(error: Mapping[str, Any], status: int) -> dict[str, Any]:
    """An error in OpenAI's shape, keeping extra fields (Azure's `innererror`)."""
    code = error.get("code")
    return {
        **error,
        "type": error.get("type") or ("server_error" if status >= 500 else "invalid_request_error"),
        "param": error.get("param"),
        "code": None if code is None or str(code).isdigit() else code,
    }


def _status(response: Mapping[str, Any]) -> int | None:
    status = response.get("status_code")
    if isinstance(status, str) and len(status) == 3 and status.isascii() and status.isdigit():
        status = int(status)
    return status if isinstance(status, int) and not isinstance(status, bool) and 200 <= status < 600 else None


def _http_error(code: Any) -> bool:
    text = str(code) if isinstance(code, str | int) and not isinstance(code, bool) else ""
    return len(text) == 3 and text.isascii() and text.isdigit() and 400 <= int(text) < 600


def _request_id(response: Mapping[str, Any]) -> str:
    request_id = response.get("request_id")
    return request_id if isinstance(request_id, str) else ""


def _bad_row(number: int, what: str) -> UpstreamServerError:
    return parsing.bad_answer(f"row {number} of the results {what}")
