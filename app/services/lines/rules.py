"""What makes a line of a batch input invalid, with OpenAI's messages and codes (contracts: OpenAI, batches)."""

from dataclasses import dataclass, field
from typing import Any

from app.lib import bounds, json

MAX_CUSTOM_ID = 512


@dataclass(frozen=True, slots=True)
class Finding:
    """One error in a line; `line` counts from 1, and is None for an error of the whole input."""

    code: str
    message: str
    param: str | None
    line: int | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", bounds.text(self.message, "message"))
        object.__setattr__(self, "param", bounds.optional_word(self.param, "param"))

    def as_dict(self) -> dict[str, Any]:
        """The entry of `errors.data`."""
        return {"code": self.code, "message": self.message, "param": self.param, "line": self.line}


@dataclass(frozen=True, slots=True)
class LineFacts:
    """A valid line. Nobody changes its `body`."""

    custom_id: str
    url: str
    model: str | None
    body: dict[str, Any] = field(default_factory=dict, repr=False)


def read(data: bytes | None, *, number: int, max_line_bytes: int) -> LineFacts | Finding:
    """Parse a line. Returns a Finding for a line that is invalid in any batch."""
    if data is None:
        return Finding("line_too_long", f"This line is longer than {max_line_bytes} bytes.", None, number)
    try:
        value = json.loads(data)
    except ValueError:
        return Finding("invalid_json_line", "This line is not parseable as valid JSON.", None, number)
    if not isinstance(value, dict):
        return Finding("invalid_json_line", "This line must be a JSON object.", None, number)
    if _is_too_deep(data, value):
        return Finding("invalid_json_line", "This line is nested too deeply.", None, number)
    return _fields(value, number)


def fits(facts: LineFacts, *, number: int, endpoint: str, model: str | None, override: str | None) -> Finding | None:
    """A Finding when a valid line does not fit this batch: another url, no model, or another model than before it."""
    if facts.url != endpoint:
        text = f"The url {facts.url!r} of this line is not the endpoint {endpoint!r} of the batch."
        return Finding("invalid_url", text, "url", number)
    if override is not None:
        return None
    if facts.model is None:
        return Finding("invalid_request", "body.model is missing, and the batch names no model.", "body.model", number)
    if model is not None and facts.model != model:
        text = (
            f"The model {facts.model!r} of this line differs from {model!r} of the lines before it. "
            "Each batch must contain requests for a single model."
        )
        return Finding("mismatched_model", text, "body.model", number)
    return None


def too_many_lines(max_lines: int) -> Finding:
    """The finding of an input with more than `max_lines` lines."""
    text = f"The file has more than {max_lines} lines, blank ones included. Split it, or remove blank lines."
    return Finding("too_many_lines", text, None, None)


def _is_too_deep(data: bytes, value: Any) -> bool:
    """True for a line that can be parsed, but not serialised again, and so not sent."""
    if data.count(b"{") + data.count(b"[") <= json.MAX_WRITE_DEPTH:
        return False
    try:
        json.dumps(value)
    except json.JSONEncodeError:
        return True
    return False


def _fields(value: dict[str, Any], number: int) -> LineFacts | Finding:
    for name in ("custom_id", "method", "url", "body"):
        if value.get(name) is None:
            return Finding("missing_required_parameter", f"{name} is missing.", name, number)
    custom_id, method, url, body = value["custom_id"], value["method"], value["url"], value["body"]
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= MAX_CUSTOM_ID or "\0" in custom_id:
        text = f"custom_id must be a string of 1 to {MAX_CUSTOM_ID} characters without NUL."
        return Finding("invalid_custom_id", text, "custom_id", number)
    if method != "POST":
        return Finding("invalid_method", f"method must be POST, not {method!r:.40}.", "method", number)
    if not isinstance(url, str):
        return Finding("invalid_url", "url must be a string.", "url", number)
    if not isinstance(body, dict):
        return Finding("invalid_request", "body must be a JSON object.", "body", number)
    # In another case it is the same to some servers; nobody could read the usage of such an answer.
    stream = next((name for name, inner in body.items() if inner and name.lower() == "stream"), None)
    if stream is not None:
        return Finding("streaming_unsupported", "stream is not supported in a batch.", f"body.{stream}", number)
    model = body.get("model")
    if model is not None and (not isinstance(model, str) or not 1 <= len(model) <= 256 or "\0" in model):
        return Finding("invalid_request", "body.model must be a string of 1 to 256 characters.", "body.model", number)
    return LineFacts(custom_id, url, model, body)
