"""What makes a line of a batch input invalid, with OpenAI's messages and codes (contracts: OpenAI, batches)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.lib import bounds, encodings, json

MAX_CUSTOM_ID = 512
METHOD = "POST"
# Each level has two brackets: so short a line is never nested deeper than JSON can be written.
SHALLOW_BYTES = 2 * json.MAX_WRITE_DEPTH
MESSAGES = "/v1/messages"
# The member that has the request itself, in OpenAI's form of a line and in Anthropic's (`{custom_id, params}`).
BODY, PARAMS = "body", "params"
# Azure's dated API leaves the version out of these.
UNVERSIONED = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/moderations",
    "/images/generations",
    "/images/edits",
    "/videos",
)


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


class LineFacts(NamedTuple):
    """A valid line. Nobody changes its `body`, which is the member `form` of the line.

    `is_standard` is false when OpenAI's API would not take the line as it is written: it has Azure's url or
    Anthropic's form.
    """

    # A named tuple, since there is one for each line: it is made in a third of the time of a frozen dataclass.
    custom_id: str
    url: str
    model: str | None
    body: dict[str, Any]
    form: str = BODY
    is_standard: bool = True

    def __repr__(self) -> str:
        """Without the body, which no log may have."""
        return f"LineFacts({self.custom_id!r}, {self.url!r}, {self.model!r}, {self.form!r})"


def endpoint_of(url: str) -> str:
    """The endpoint that `url` names: Azure's dated API leaves `/v1` out."""
    return f"/v1{url}" if url in UNVERSIONED else url


def form_of(line: Mapping[str, Any]) -> str:
    """The member of a line that has the request itself."""
    return PARAMS if line.get(BODY) is None and line.get(PARAMS) is not None else BODY


def body_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a valid line, in either form."""
    body: dict[str, Any] = line[form_of(line)]
    return body


def facts_of(line: Mapping[str, Any]) -> LineFacts:
    """The facts of a valid line."""
    form, url = form_of(line), line.get("url")
    body, endpoint = line[form], MESSAGES if url is None else endpoint_of(url)
    is_standard = form == BODY and endpoint == url
    return LineFacts(line["custom_id"], endpoint, body.get("model"), body, form, is_standard)


def read(data: bytes | None, *, number: int, max_line_bytes: int) -> LineFacts | Finding:
    """Parse a line. Returns a Finding for a line that is invalid in any batch."""
    if data is None:
        return Finding("line_too_long", f"This line is longer than {max_line_bytes} bytes.", None, number)
    try:
        value = json.loads(data)
    except ValueError:
        text = encodings.described(data)
        text = f"This line {text}." if text else "This line is not parseable as valid JSON."
        return Finding("invalid_json_line", text, None, number)
    if not isinstance(value, dict):
        return Finding("invalid_json_line", "This line must be a JSON object.", None, number)
    if not is_shallow(data) and _is_too_deep(value):
        return Finding("invalid_json_line", "This line is nested too deeply.", None, number)
    return _fields(value, number)


def is_custom_id(value: Any) -> bool:
    """True for a `custom_id` that a line may have."""
    return isinstance(value, str) and 1 <= len(value) <= MAX_CUSTOM_ID and "\0" not in value


def is_shallow(data: bytes) -> bool:
    """True for a line that is surely not nested deeper than JSON can be written."""
    return len(data) <= SHALLOW_BYTES or data.count(b"{") + data.count(b"[") <= json.MAX_WRITE_DEPTH


def fits(
    facts: LineFacts, *, number: int, endpoint: str, model: str | None, override: str | None, form: str | None = None
) -> Finding | None:
    """A Finding when a valid line does not fit this batch.

    It has another url, another `form` than the lines before it, no model, or another model than those.
    """
    if facts.url != endpoint:
        return _other_url(facts, number=number, endpoint=endpoint)
    if form not in (None, facts.form):
        text = f"This line has {facts.form}, but the lines before it have {form}: write all lines in one form."
        return Finding("invalid_request", text, facts.form, number)
    if override is not None:
        return None
    at = f"{facts.form}.model"
    if facts.model is None:
        return Finding("invalid_request", f"{at} is missing, and the batch names no model.", at, number)
    if model is not None and facts.model != model:
        text = (
            f"The model {facts.model!r} of this line differs from {model!r} of the lines before it. "
            "Each batch must contain requests for a single model."
        )
        return Finding("mismatched_model", text, at, number)
    return None


def too_many_lines(max_lines: int) -> Finding:
    """The finding of an input with more than `max_lines` lines."""
    text = f"The file has more than {max_lines} lines, blank ones included. Split it, or remove blank lines."
    return Finding("too_many_lines", text, None, None)


def _is_too_deep(value: Any) -> bool:
    """True for a line that can be parsed, but not serialised again, and so not sent."""
    try:
        json.dumps(value)
    except json.JSONEncodeError:
        return True
    return False


def _other_url(facts: LineFacts, *, number: int, endpoint: str) -> Finding:
    if facts.form == PARAMS:
        text = f"A line with params is for {MESSAGES}, but the endpoint of the batch is {endpoint!r}."
        return Finding("invalid_url", text, PARAMS, number)
    text = f"The url {facts.url!r} of this line is not the endpoint {endpoint!r} of the batch."
    return Finding("invalid_url", text, "url", number)


def _fields(value: dict[str, Any], number: int) -> LineFacts | Finding:
    form = form_of(value)
    for name in ("custom_id", "method", "url", BODY) if form == BODY else ("custom_id",):
        if value.get(name) is None:
            return Finding("missing_required_parameter", f"{name} is missing.", name, number)
    if form == BODY and value.get(PARAMS) is not None:
        text = "This line has body (OpenAI's form) and params (Anthropic's): send one of them."
        return Finding("invalid_request", text, PARAMS, number)
    custom_id = value["custom_id"]
    if not is_custom_id(custom_id):
        text = f"custom_id must be a string of 1 to {MAX_CUSTOM_ID} characters without NUL."
        return Finding("invalid_custom_id", text, "custom_id", number)
    return _address(value, form, number) or _request(value, form, number)


def _address(value: dict[str, Any], form: str, number: int) -> Finding | None:
    """What is wrong with the method or the url; a line in Anthropic's form may leave both out."""
    method, url = value.get("method"), value.get("url")
    if method not in ((METHOD,) if form == BODY else (METHOD, None)):
        return Finding("invalid_method", f"method must be {METHOD}, not {method!r:.40}.", "method", number)
    if url is not None and not isinstance(url, str):
        return Finding("invalid_url", "url must be a string.", "url", number)
    if form == PARAMS and url not in (None, MESSAGES):
        text = f"A line with params is for {MESSAGES}, not {url!r:.80}; leave url out."
        return Finding("invalid_url", text, "url", number)
    return None


def _request(value: dict[str, Any], form: str, number: int) -> LineFacts | Finding:
    body = value[form]
    if not isinstance(body, dict):
        return Finding("invalid_request", f"{form} must be a JSON object.", form, number)
    # In another case it is the same to some servers; nobody could read the usage of such an answer.
    stream = next((name for name, inner in body.items() if inner and name.lower() == "stream"), None)
    if stream is not None:
        return Finding("streaming_unsupported", "stream is not supported in a batch.", f"{form}.{stream}", number)
    model = body.get("model")
    if model is not None and (not isinstance(model, str) or not 1 <= len(model) <= 256 or "\0" in model):
        at = f"{form}.model"
        return Finding("invalid_request", f"{at} must be a string of 1 to 256 characters.", at, number)
    return facts_of(value)
