"""Lines of jobs at providers of OpenAI's shapes: what is wrong with an input, and the rows of results."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from tests.fakes.openai_app import Refusal
from tests.fakes.openai_quirks import Quirks
from tests.fakes.provider_app import Body, FakeJob, FakeResult

MAX_PAIRS = 16


def check_job(asked: Body, quirks: Quirks) -> None:
    """What is refused at once; everything about the input comes later."""
    for name in ("input_file_id", "endpoint", "completion_window"):
        if not isinstance(asked.get(name), str):
            raise Refusal(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if asked["endpoint"] not in quirks.endpoints:
        raise Refusal(400, f"Invalid value: '{asked['endpoint']}'.", param="endpoint", code="invalid_value")
    if asked["completion_window"] not in quirks.windows:
        raise Refusal(400, "Invalid value for 'completion_window'.", param="completion_window", code="invalid_value")
    metadata = asked.get("metadata") or {}
    if len(metadata) > MAX_PAIRS or any(len(key) > 64 or len(value) > 512 for key, value in metadata.items()):
        raise Refusal(400, "Invalid 'metadata'.", param="metadata")
    expiry = asked.get("output_expires_after")
    if expiry is not None and (expiry.get("anchor") != "created_at" or not 3600 <= expiry.get("seconds", 0) <= 2592000):
        raise Refusal(400, "Invalid 'output_expires_after'.", param="output_expires_after")


def lines_of(data: bytes, *, first: int) -> list[tuple[int, Body]] | None:
    """Numbered lines, or None when one is not a JSON object with a custom_id."""
    found = []
    for number, line in enumerate(data.splitlines(), first):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(value, dict) or "custom_id" not in value:
            return None
        found.append((number, value))
    return found


def checked_lines(data: bytes, endpoint: str, quirks: Quirks, models: Collection[str]) -> list[Body] | Body:
    """The lines of an input, or the first error in it; validation stops there."""
    found: list[Body] = []
    seen: set[str] = set()
    for number, raw in enumerate(data.splitlines(), quirks.first_line):
        wrong = _wrong(raw, endpoint, quirks, models, seen, found[0]["body"].get("model") if found else None)
        if isinstance(wrong, tuple):
            code, param, message = wrong
            return {"code": quirks.codes.get(code, code), "message": message, "param": param, "line": number}
        found.append(wrong)
        seen.add(wrong["custom_id"])
    if not found:
        return {"code": "empty_file", "message": "The input file is empty.", "param": None, "line": None}
    return found


def _wrong(
    raw: bytes, endpoint: str, quirks: Quirks, models: Collection[str], seen: set[str], first: str | None
) -> Body | tuple[str, str | None, str]:
    try:
        line: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return "invalid_json_line", None, "This line is not parseable as valid JSON."
    for name in ("custom_id", "method", "url", "body"):
        if not isinstance(line, dict) or not line.get(name):
            return "missing_required_parameter", name, f"Missing required parameter: '{name}'."
    if line["custom_id"] in seen:
        return "duplicate_custom_id", "custom_id", "The custom_id is already in use in this file."
    if line["url"] != endpoint:
        return "invalid_url", "url", "The url does not match the endpoint of the batch."
    model = line["body"].get("model")
    if not isinstance(model, str):
        return "invalid_request", "body.model", "A model is required."
    if models and model not in models:
        return "model_not_found", "body.model", f"The model {model} does not exist."
    if quirks.single_model and first not in (None, model):
        return "mismatched_model", "body.model", "Each batch must contain requests for a single model."
    if line["body"].get("stream"):
        return "streaming_unsupported", "body.stream", "Streaming is not supported."
    return dict(line)


def result_lines(job: FakeJob, quirks: Quirks, not_run: tuple[str, str] | None) -> list[Body]:
    """The rows of the output and error files of a job that is over."""
    rows = [_row(result, quirks) for result in job.results]
    if not_run:
        ran = {result.custom_id for result in job.results}
        error = {"code": not_run[0], "message": not_run[1]}
        missing = [line["custom_id"] for line in job.lines if line["custom_id"] not in ran]
        rows += [{"id": _id(), "custom_id": name, "response": None, "error": error} for name in missing]
    return rows


def usage(results: Sequence[FakeResult]) -> Body:
    """The sum of the usage of what succeeded, under the names of the Responses API."""
    told = [result.body.get("usage", {}) for result in results if result.status == 200]
    given = sum(each.get("prompt_tokens", each.get("input_tokens", 0)) for each in told)
    made = sum(each.get("completion_tokens", each.get("output_tokens", 0)) for each in told)
    cached = sum(
        (each.get("prompt_tokens_details") or each.get("input_tokens_details") or {}).get("cached_tokens", 0)
        for each in told
    )
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + made,
    }


def _row(result: FakeResult, quirks: Quirks) -> Body:
    if result.status >= 400 and quirks.deepinfra_rows:
        message = result.body["error"]["message"]
        error = {"code": str(result.status), "message": message, "param": None, "type": None}
        return {"id": _id(), "custom_id": result.custom_id, "response": None, "error": error}
    response = {"status_code": result.status, "request_id": f"req_{uuid.uuid4().hex[:12]}", "body": result.body}
    return {"id": _id(), "custom_id": result.custom_id, "response": response, "error": None}


def _id() -> str:
    return f"batch_req_{uuid.uuid4().hex[:12]}"
