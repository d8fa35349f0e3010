"""What an HTTP answer means: its outcome, its error in OpenAI's words, its token counts.

Both clients hand over refusals that are free of secrets, in JSON wherever the provider has another form for them.
"""

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

from app.connectors.contract.errors import MissingError, OverloadedError, RefusedError, UpstreamServerError
from app.connectors.contract.objects import Usage
from app.connectors.contract.refusals import UNEXPLAINED, Kind, classify
from app.connectors.http.redaction import MAX_MESSAGE, MAX_QUOTED_BYTES
from app.connectors.http.wire import Answer
from app.lib import bounds, json

TOO_MANY = 429
MISSING = (404, 410)
# Some say in a code, with another status, that they do not have an object.
MISSING_ELSE = (400, 403)
MISSING_CODES = frozenset(
    {
        "batchnotfound",
        "containernotfound",
        "datasetnotfound",
        "fileexpired",
        "filenotfound",
        "jobnotfound",
        "nosuchkey",
        "notfound",
        "notfounderror",
        "objectnotfound",
        "resourcemissing",
        "resourcenotfound",
        "resourcenotfoundexception",
    }
)
# The code of a redirect, which is never followed.
REDIRECT = "redirect"
MAX_QUOTE = 300
# Makes a whole Usage unknown.
NO_COUNT = -1
MAX_RETRY_AFTER_S = 24 * 3600.0
# What OpenAI and those like it count, each with headers of its own.
RATE_LIMITS = ("requests", "tokens")
DURATION = re.compile(
    r"(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m(?!s))?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)s)?(?:([0-9.]{1,9})ms)?"
)
TRY_AGAIN = re.compile(r"\b(?:try again|retry) in ((?:[0-9.]{1,12}(?:h|ms?|s)){1,3})", re.IGNORECASE)
# The list that an answer of the endpoint must have.
REQUIRED_LISTS = {
    "/v1/chat/completions": "choices",
    "/v1/completions": "choices",
    "/v1/embeddings": "data",
    "/v1/responses": "output",
}


def raise_unless_final(answer: Answer, *, provider: str = "") -> None:
    """Return for a 2xx, and for a 4xx, except for a 429 that may pass. Raises as `raise_unless_answered`."""
    if not 400 <= answer.status < 500 or answer.status == TOO_MANY:
        raise_unless_answered(answer, provider=provider)


def raise_unless_answered(answer: Answer, *, provider: str) -> None:
    """Return for a 2xx, and for a refusal that ends its line.

    The table of refusals decides (app/connectors/contract/refusals.py). Raises OverloadedError for what may pass by
    itself or when the account is mended, and UpstreamServerError for the rest.
    """
    if answer.is_success:
        return
    status = answer.status
    if 300 <= status < 400:
        text = "The provider redirects to another URL, and redirects are not followed: correct its base URL."
        raise UpstreamServerError(text, code=REDIRECT, **_details(answer))
    error = error_body(answer)["error"]
    refusal = classify(provider, status, error)
    if refusal is Kind.LINE and 400 <= status < 500:
        return
    kind, code = (UpstreamServerError, "") if refusal in (Kind.AGAIN, Kind.LINE) else (OverloadedError, "overloaded")
    fields = {"param": error["param"], "kind": refusal, "error_type": error["type"]}
    code = error["code"] or code or "provider_error"
    raise kind(error["message"][:MAX_MESSAGE], code=code, **fields, **_details(answer))


def raise_unless_success(answer: Answer, *, provider: str = "", asks_for_object: bool = False) -> None:
    """Return for a 2xx.

    Raises RefusedError for a 4xx, and otherwise as `raise_unless_final`. It is a MissingError for a 404 or 410, and for
    a code that says the same if the call `asks_for_object`: only then it is about what the path names.
    """
    raise_unless_final(answer, provider=provider)
    if answer.is_success:
        return
    error = error_body(answer)["error"]
    is_missing = answer.status in MISSING or (asks_for_object and _says_missing(answer.status, error))
    kind = MissingError if is_missing else RefusedError
    raise kind(
        error["message"],
        status=answer.status,
        code=UNEXPLAINED if says_nothing(answer) else error["code"] or "",
        retry_after_s=wait_s(answer),
        param=error["param"],
        body=answer.body[:MAX_QUOTED_BYTES],
        request_id=answer.request_id,
        kind=classify(provider, answer.status, error),
        error_type=error["type"],
    )


def json_value(answer: Answer) -> Any:
    """The JSON of a 2xx answer. Raises UpstreamServerError for anything else, which it does not quote."""
    try:
        return json.loads(answer.body)
    except json.JSONDecodeError:
        text = f"The provider answered {kind_of(answer)} instead of JSON."
        raise UpstreamServerError(text, status=answer.status, code="bad_answer", request_id=answer.request_id) from None


def json_object(answer: Answer, *, endpoint: str) -> dict[str, Any]:
    """The object of a 2xx answer to a line of `endpoint`.

    Raises UpstreamServerError for anything else. It quotes the answer, whole: the caller redacts it, then cuts.
    """
    try:
        value = json.loads(answer.body)
    except json.JSONDecodeError as error:
        raise _bad(answer, f"The provider answered {kind_of(answer)} instead of JSON.") from error
    if not isinstance(value, dict):
        raise _bad(answer, "The provider answered JSON that is not an object.")
    name = REQUIRED_LISTS.get(endpoint)
    if name and not isinstance(value.get(name), list):
        reason = _error_fields(value)["message"] if value.get("error") else ""
        raise _bad(answer, f"The provider's answer has no list {name!r}{f': {reason}' if reason else '.'}")
    return value


def error_body(answer: Answer) -> dict[str, Any]:
    """OpenAI's error envelope, from whatever the server sent."""
    try:
        value = json.loads(answer.body)
    except json.JSONDecodeError:
        value = None
    fields = _error_fields(value)
    if not fields["message"]:
        fields["message"] = f"The provider answered status {answer.status} with {kind_of(answer)}{_quote(answer)}"
    if fields["code"] == str(answer.status):
        fields["code"] = None  # llama.cpp and vLLM repeat the status there; OpenAI's codes are words
    fields["type"] = fields["type"] or ("server_error" if answer.status >= 500 else "invalid_request_error")
    return {"error": fields}


def sentence(value: Any) -> str:
    """The message of an error, which may also be an object or a list; empty when there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        # FastAPI's validation errors: where, and what is wrong there.
        return "; ".join(f"{_place(item.get('loc'))}: {_text(item.get('msg')) or ''}".strip(": ") for item in value)
    try:
        return json.dumps(value).decode() if value else ""
    except json.JSONEncodeError:
        return ""


def says_nothing(answer: Answer) -> bool:
    """True of a refusal without a message, or with an empty code: no API words its refusals so."""
    try:
        value = json.loads(answer.body)
    except json.JSONDecodeError:
        return True
    inner = value.get("error") if isinstance(value, dict) else None
    holder = inner if isinstance(inner, dict) else value
    return (isinstance(holder, dict) and holder.get("code") == "") or not _error_fields(value)["message"]


def retry_after_s(headers: Mapping[str, str], *, now_s: float | None = None) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (seconds or an HTTP date); None if there is neither."""
    exact = _number(headers.get("retry-after-ms", ""))
    if exact is not None:
        return min(exact / 1000, MAX_RETRY_AFTER_S)
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is None and text:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - (time.time() if now_s is None else now_s)
        except (ValueError, OverflowError):
            return None
    return None if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def wait_s(answer: Answer) -> float | None:
    """Seconds to wait before the next try: `Retry-After`, else when a limit that is used up resets, else the words."""
    asked = retry_after_s(answer.headers)
    if asked is not None or answer.status != TOO_MANY:
        return asked
    resets = [
        _duration_s(answer.headers.get(f"x-ratelimit-reset-{limit}", ""))
        for limit in RATE_LIMITS
        if answer.headers.get(f"x-ratelimit-remaining-{limit}", "").strip() == "0"
    ]
    if known := [seconds for seconds in resets if seconds is not None]:
        return min(max(known), MAX_RETRY_AFTER_S)
    said = TRY_AGAIN.search(answer.body[:MAX_QUOTED_BYTES].decode("utf-8", "replace"))
    seconds = _duration_s(said[1]) if said else None
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER_S)


def one_line(body: bytes) -> bytes:
    """JSON without line breaks; valid JSON has them only between tokens."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\r", b" ").replace(b"\n", b" ").strip()
    return body


def usage_of(body: Mapping[str, Any]) -> Usage:
    """Token counts of an answer in OpenAI's dialect, of any endpoint; zeros where it has none."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    input_tokens = _count(usage, "prompt_tokens", "input_tokens")
    output_tokens = _count(usage, "completion_tokens", "output_tokens")
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=_count(_part(usage, "prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
        output_tokens=output_tokens,
        reasoning_tokens=_count(_part(usage, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens"),
        total_tokens=_count(usage, "total_tokens") or input_tokens + output_tokens,
    )


def kind_of(answer: Answer) -> str:
    """What the body of an answer is, in words."""
    if not answer.body.strip():
        return "nothing"
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html" or answer.body[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    return "cut or malformed JSON" if "json" in kind else (kind or "text")


def _says_missing(status: int, error: Mapping[str, Any]) -> bool:
    words = {re.sub("[^a-z]", "", str(error[name]).lower()) for name in ("code", "type") if error[name]}
    return status in MISSING_ELSE and not MISSING_CODES.isdisjoint(words)


def _details(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "retry_after_s": wait_s(answer),
        "body": answer.body[:MAX_QUOTED_BYTES],
        "request_id": answer.request_id,
    }


def _bad(answer: Answer, text: str) -> UpstreamServerError:
    return UpstreamServerError(
        text, status=answer.status, code="bad_answer", body=answer.body, request_id=answer.request_id
    )


def _error_fields(value: Any) -> dict[str, Any]:
    """The four fields of an error, from the spellings of the servers in use (vLLM, llama.cpp, Ollama, FastAPI)."""
    holder = value if isinstance(value, dict) else {}
    error = holder.get("error")
    if isinstance(error, dict):
        holder = error
    message = holder.get("message") or holder.get("detail") or holder.get("error")
    return {
        "message": sentence(message),
        "type": _text(holder.get("type")),
        "param": _text(holder.get("param")),
        "code": _text(holder.get("code")),
    }


def _place(steps: Any) -> str:
    return ".".join(str(step) for step in steps if isinstance(step, str | int)) if isinstance(steps, list) else ""


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _quote(answer: Answer) -> str:
    if not answer.body.strip():
        return "."
    text = " ".join(answer.body[: 16 * MAX_QUOTE].decode("utf-8", "replace").split())
    return f": {text[:MAX_QUOTE]}"


def _part(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((value for name in names if isinstance(value := usage.get(name), dict)), {})


def _count(holder: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = holder.get(name)
        if value is not None:
            count = bounds.count(value, bounds.MAX_TOKENS)
            return NO_COUNT if count is None else count
    return 0


def _duration_s(text: str) -> float | None:
    """Seconds of `20ms`, `7.66s`, `6m0s` or `1h2m`; None for anything else."""
    match = DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(group or 0) for group in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _number(text: str) -> float | None:
    text = text.strip()
    if not text or not text.replace(".", "", 1).isdigit() or not text.isascii():
        return None
    return float(text)
