"""Estimating a batch input before it runs: its lines, and the tokens of each model as far as the lines show them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.blobs import BlobError
from app.errors import InvalidRequestError, RateLimitedError, UnavailableError
from app.lib import json, jsonl
from app.services.copies import remote
from app.services.files import files
from app.services.files.files import FileRow
from app.services.gateway import Caller, Gateway
from app.services.line_files.look_up import Files
from app.services.lines import file_refs, line_tokens, models, rules

MAX_MODELS = 100
MAX_FALLBACKS = 1000
# Reading so much takes a fraction of a second.
MAX_SMALL_BYTES = 8 * 2**20
RETRY_AFTER_S = 5


@dataclass(slots=True)
class Sums:
    """Sums over lines. `max_output_tokens` is of the `lines_with_limit`; the others request `unlimited_answers`."""

    lines: int = 0
    lines_with_limit: int = 0
    input_tokens: int = 0
    max_output_tokens: int = 0
    unlimited_answers: int = 0

    def add(self, other: "Sums") -> None:
        """Add the sums of `other`."""
        self.lines += other.lines
        self.lines_with_limit += other.lines_with_limit
        self.input_tokens += other.input_tokens
        self.max_output_tokens += other.max_output_tokens
        self.unlimited_answers += other.unlimited_answers

    def output_tokens(self, default: int) -> int:
        """The most tokens that the answers may have, if each answer without a limit has `default`."""
        return self.max_output_tokens + self.unlimited_answers * default


@dataclass(slots=True)
class Estimate:
    """The estimate of an input. `models` are sums by the model that lines name, `unnamed` of lines that name none.

    `other_models` are sums of the lines that name another model than the first `MAX_MODELS`. `fallbacks` are pairs of a
    line's own model and another that may serve it, with the first place of each.
    """

    lines: int = 0
    invalid_lines: int = 0
    models: dict[str, Sums] = field(default_factory=dict)
    unnamed: Sums = field(default_factory=Sums)
    other_models: Sums = field(default_factory=Sums)
    fallbacks: dict[tuple[str | None, str], str] = field(default_factory=dict)

    @property
    def total(self) -> Sums:
        """Sums of all lines, whatever their model."""
        total = Sums()
        for sums in (*self.models.values(), self.unnamed, self.other_models):
            total.add(sums)
        return total


def of_file(gateway: Gateway, caller: Caller, file_id: str, *, provider: str | None = None) -> tuple[FileRow, Estimate]:
    """A file of the project and its estimate. Raises NotFoundError, and InvalidRequestError for another purpose."""
    row = files.retrieve(gateway, caller, file_id, provider=provider)
    if row.purpose != files.BATCH:
        raise InvalidRequestError(
            f"Only files with purpose 'batch' can be estimated; this one has {row.purpose!r}.", param="id"
        )
    if not row.is_kept:
        remote.fetch(gateway, row)
        row = files.retrieve(gateway, caller, row.public_id)
    return row, read_for(gateway, caller, files.blob_key(gateway, row), size=row.bytes)


def read_for(gateway: Gateway, caller: Caller, key: str, *, size: int) -> Estimate:
    """As `read`, within a request; a project reads one large input at a time. Raises RateLimitedError."""
    if size <= MAX_SMALL_BYTES:
        return read(gateway, key, project_id=caller.project_id)
    with gateway.readings.slot(caller.project_id) as is_free:
        if not is_free:
            text = "Other large batch inputs are being estimated; try again when that is done."
            raise RateLimitedError(text, retry_after_s=RETRY_AFTER_S)
        return read(gateway, key, project_id=caller.project_id)


def read(gateway: Gateway, key: str, *, project_id: int) -> Estimate:
    """Estimate an input of a project by streaming it from the blob store.

    Raises InvalidRequestError when it has too many lines, and UnavailableError when the store is not available.
    """
    estimate, named = Estimate(), Files(gateway, project_id)
    settings = gateway.settings
    limits = {"max_line_bytes": settings.max_line_bytes, "max_lines": settings.max_input_lines}
    try:
        for line in jsonl.lines(gateway.blobs.stream(key), **limits):
            _add(estimate, line.data, named)
    except jsonl.TooManyLinesError as error:
        finding = rules.too_many_lines(settings.max_input_lines)
        raise InvalidRequestError(finding.message, param="input_file_id", code=finding.code) from error
    except BlobError as error:
        raise UnavailableError("The gateway's blob store is not available; retry later.", retry_after_s=5) from error
    return estimate


def _add(estimate: Estimate, data: bytes | None, named: Files) -> None:
    estimate.lines += 1
    line = _line(data)
    sums = None if line is None else _sums(rules.body_of(line), line.get("url"))
    if line is None or sums is None:
        estimate.invalid_lines += 1
        return
    body = rules.body_of(line)
    if file_refs.may_name(data or b""):
        endpoint = rules.endpoint_of(str(line.get("url") or rules.MESSAGES))
        sums.input_tokens += named.tokens(file_refs.find(endpoint, body))
    model = body.get("model")
    _sums_of(estimate, model).add(sums)
    for path, name in models.fallbacks(body, rules.form_of(line)):
        pair = (model if isinstance(model, str) else None, name)
        if name != model and len(estimate.fallbacks) < MAX_FALLBACKS:
            estimate.fallbacks.setdefault(pair, f"{path} of line {estimate.lines}")


def _line(data: bytes | None) -> Mapping[str, Any] | None:
    try:
        line = json.loads(data or b"")
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get(rules.form_of(line)), dict) else None


def _sums_of(estimate: Estimate, model: Any) -> Sums:
    if not isinstance(model, str):
        return estimate.unnamed
    if model not in estimate.models and len(estimate.models) >= MAX_MODELS:
        return estimate.other_models
    return estimate.models.setdefault(model, Sums())


def _sums(body: Mapping[str, Any], url: Any) -> Sums | None:
    """The sums of one line; None for a line that is nested too deep to be sent."""
    try:
        tokens = line_tokens.of_line(body, url)
    except json.JSONEncodeError:
        return None
    return Sums(
        lines=1,
        lines_with_limit=int(tokens.is_limited),
        input_tokens=tokens.input,
        max_output_tokens=tokens.output,
        unlimited_answers=tokens.unlimited_answers,
    )
