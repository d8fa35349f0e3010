"""Judging what an OpenAI-compatible server answered: outcomes, error envelopes, token counts."""

import email.utils
import time
from collections.abc import Mapping
from typing import Any

from app.connectors.contract.errors import OverloadedError, UpstreamServerError
from app.connectors.contract.objects import Usage
from app.connectors.http.lines import Answer
from app.lib import json

OVERLOAD_STATUSES = frozenset({429, 503, 529})
REDACTED = "[redacted]"
MAX_QUOTE = 300
MAX_RETRY_AFTER_S = 24 * 3600.0
# What an answer without would be no answer at all.
REQUIRED_LISTS = {
    "/v1/chat/completions": "choices",
    "/v1/completions": "choices",
    "/v1/embeddings": "data",
    "/v1/responses": "output",
}


def retry_after_s(headers: Mapping[str, str], *, now_s: float | None = None) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (seconds or an HTTP date); None if not told."""
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


def raise_unless_final(answer: Answer, *, secret: str) -> None:
    """Return for 2xx and 4xx that repeating would not change.

    Raises OverloadedError for 429, 503 and 529, UpstreamServerError for any other status.
    """
    status = answer.status
    if 200 <= status < 300 or (400 <= status < 500 and status not in OVERLOAD_STATUSES):
        return
    error = error_body(answer, secret=secret)["error"]
    details: dict[str, Any] = {
        "status": status,
        "retry_after_s": retry_after_s(answer.headers),
        "body": beginning(answer.body, secret=secret),
        "request_id": answer.request_id,
    }
    if status in OVERLOAD_STATUSES:
        raise OverloadedError(error["message"], code=error["code"] or "overloaded", **details)
    if 300 <= status < 400:
        text = "The provider redirects, which is not followed: its base URL needs correcting."
        raise UpstreamServerError(text, code="redirect", **details)
    raise UpstreamServerError(error["message"], code=error["code"] or "provider_error", **details)


def json_object(answer: Answer, *, endpoint: str, secret: str) -> dict[str, Any]:
    """The object of a 2xx answer. Raises UpstreamServerError when it is something else."""
    try:
        value = json.loads(answer.body)
    except json.JSONDecodeError as error:
        raise _bad(answer, f"The provider answered {kind_of(answer)} instead of JSON.", secret) from error
    if not isinstance(value, dict):
        raise _bad(answer, "The provider answered JSON that is not an object.", secret)
    wanted = REQUIRED_LISTS.get(endpoint)
    if wanted and not isinstance(value.get(wanted), list):
        told = _error_fields(value)["message"] if value.get("error") else ""
        text = f": {redacted_text(told, secret=secret)[:MAX_QUOTE]}" if told else "."
        raise _bad(answer, f"The provider's answer has no list {wanted!r}{text}", secret)
    return value


def one_line(body: bytes) -> bytes:
    """Valid JSON without line breaks; between tokens is the only place where it may have them."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\r", b" ").replace(b"\n", b" ").strip()
    return body


def error_body(answer: Answer, *, secret: str) -> dict[str, Any]:
    """OpenAI's error envelope from whatever the server sent, without the account's credential."""
    try:
        value = json.loads(answer.body)
    except json.JSONDecodeError:
        value = None
    fields = _error_fields(value)
    if not fields["message"]:
        fields["message"] = (
            f"The provider answered status {answer.status} with {kind_of(answer)}{_quote(answer, secret)}"
        )
    if fields["code"] == str(answer.status):
        fields["code"] = None  # llama.cpp and vLLM repeat the status there; OpenAI's codes are words
    fields["message"] = redacted_text(fields["message"], secret=secret)
    fields["type"] = fields["type"] or ("server_error" if answer.status >= 500 else "invalid_request_error")
    return {"error": fields}


def usage_of(body: Mapping[str, Any]) -> Usage:
    """Token counts of an answer in the dialect of any endpoint; zeros where it tells none."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    given = _count(usage, "prompt_tokens", "input_tokens")
    made = _count(usage, "completion_tokens", "output_tokens")
    return Usage(
        input_tokens=given,
        cached_tokens=_count(_details(usage, "prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
        output_tokens=made,
        reasoning_tokens=_count(
            _details(usage, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens"
        ),
        total_tokens=_count(usage, "total_tokens") or given + made,
    )


def redacted_text(text: str, *, secret: str) -> str:
    """`text` without the credential."""
    return text.replace(secret, REDACTED) if secret else text


def redacted(data: bytes, *, secret: str) -> bytes:
    """`data` without the credential."""
    return data.replace(secret.encode(), REDACTED.encode()) if secret else data


def beginning(body: bytes, *, secret: str) -> bytes:
    """As much of a body as is worth keeping. The credential goes before the cut, which would leave a part of it."""
    return redacted(body, secret=secret)[: 16 * MAX_QUOTE]


def _bad(answer: Answer, text: str, secret: str) -> UpstreamServerError:
    return UpstreamServerError(
        text,
        status=answer.status,
        code="bad_answer",
        body=beginning(answer.body, secret=secret),
        request_id=answer.request_id,
    )


def _error_fields(value: Any) -> dict[str, Any]:
    """The four fields of an error, from the spellings of the servers in use (vLLM, llama.cpp, Ollama, FastAPI)."""
    holder = value if isinstance(value, dict) else {}
    error = holder.get("error")
    if isinstance(error, dict):
        holder = error
    message = holder.get("message") or holder.get("detail") or holder.get("error")
    return {
        "message": _message(message),
        "type": _text(holder.get("type")),
        "param": _text(holder.get("param")),
        "code": _text(holder.get("code")),
    }


def _message(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        # FastAPI's validation errors: where, and what is wrong there.
        return "; ".join(f"{_place(item.get('loc'))}: {_text(item.get('msg')) or ''}".strip(": ") for item in value)
    try:
        return json.dumps(value).decode() if value else ""
    except json.JSONEncodeError:
        return ""


def _place(steps: Any) -> str:
    return ".".join(str(step) for step in steps if isinstance(step, str | int)) if isinstance(steps, list) else ""


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def kind_of(answer: Answer) -> str:
    """What the body of an answer is, in words."""
    if not answer.body.strip():
        return "nothing"
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html" or answer.body[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    return "cut or malformed JSON" if "json" in kind else (kind or "text")


def _quote(answer: Answer, secret: str) -> str:
    if not answer.body.strip():
        return "."
    text = " ".join(beginning(answer.body, secret=secret).decode("utf-8", "replace").split())
    return f": {text[:MAX_QUOTE]}"


def _details(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((value for name in names if isinstance(value := usage.get(name), dict)), {})


def _count(holder: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = holder.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return value
    return 0


def _number(text: str) -> float | None:
    text = text.strip()
    if not text or not text.replace(".", "", 1).isdigit() or not text.isascii():
        return None
    return float(text)
