"""Estimating a batch input before it runs: its lines, and the tokens of each model as far as the lines show them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.blobs import BlobError
from app.errors import InvalidRequestError, UnavailableError
from app.lib import json, jsonl
from app.services.copies import remote
from app.services.files import files
from app.services.files.files import FileRow
from app.services.gateway import Caller, Gateway
from app.services.lines import rules

# For English text with the usual tokenizers; only the provider knows the exact number.
BYTES_PER_TOKEN = 4
# For an image, a document or a sound of any size: about what models count for an image.
TOKENS_PER_MEDIUM = 1000
MAX_MODELS = 100
MAX_OUTPUT_TOKENS = 2**40  # a larger number is nonsense
OUTPUT_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
# Members of a body that hold texts for the model, and members of messages that do not.
READ = ("messages", "input", "prompt", "instructions", "system", "tools", "response_format", "text")
NOT_READ = frozenset({"role", "type", "id", "detail"})
MEDIA = frozenset(
    {"image_url", "input_image", "image", "input_audio", "audio", "video_url", "file", "input_file", "document"}
)
EMBEDDINGS = "/embeddings"


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

    `other_models` are sums of the lines that name another model than the first `MAX_MODELS`.
    """

    lines: int = 0
    invalid_lines: int = 0
    models: dict[str, Sums] = field(default_factory=dict)
    unnamed: Sums = field(default_factory=Sums)
    other_models: Sums = field(default_factory=Sums)

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
    return row, read(gateway, files.blob_key(gateway, row))


def read(gateway: Gateway, key: str) -> Estimate:
    """Estimate an input by streaming it from the blob store. Raises UnavailableError when that is not available."""
    estimate = Estimate()
    try:
        for line in jsonl.lines(gateway.blobs.stream(key), max_line_bytes=gateway.settings.max_line_bytes):
            _add(estimate, line.data)
    except BlobError as error:
        raise UnavailableError("The gateway's blob store is not available; retry later.", retry_after_s=5) from error
    return estimate


def _add(estimate: Estimate, data: bytes | None) -> None:
    estimate.lines += 1
    line = _line(data)
    if line is None:
        estimate.invalid_lines += 1
        return
    body = rules.body_of(line)
    _sums_of(estimate, body.get("model")).add(_sums(body, answers=_answers(body, line.get("url"))))


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


def _sums(body: Mapping[str, Any], *, answers: int) -> Sums:
    texts = sum(_text_bytes(body[name]) for name in READ if name in body)
    sums = Sums(lines=1, input_tokens=-(-texts // BYTES_PER_TOKEN))
    limit = _whole([body.get(name) for name in OUTPUT_LIMITS], least=0)
    if limit is None:
        sums.unlimited_answers = answers
    else:
        sums.lines_with_limit = 1
        sums.max_output_tokens = min(limit * answers, MAX_OUTPUT_TOKENS)
    return sums


def _answers(body: Mapping[str, Any], url: Any) -> int:
    """How many answers a line is charged for: none for embeddings, else every choice for every prompt."""
    if isinstance(url, str) and url.endswith(EMBEDDINGS):
        return 0
    choices = max(_whole([body.get("n")], least=1) or 1, _whole([body.get("best_of")], least=1) or 1)
    prompts = body.get("prompt")
    several = len(prompts) if isinstance(prompts, list) and all(isinstance(text, str) for text in prompts) else 1
    return min(choices * max(several, 1), MAX_OUTPUT_TOKENS)


def _whole(values: list[Any], *, least: int) -> int | None:
    """The first number of at least `least`, rounded up (huge numbers arrive as floats); None without one."""
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= least:
            return math.ceil(min(value, MAX_OUTPUT_TOKENS))
    return None


def _text_bytes(value: Any) -> int:
    """UTF-8 bytes of the texts in `value`; an image, a document or a sound counts as the text of as many tokens."""
    waiting = [value]
    size = 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            size += 0 if value.startswith("data:") else len(value.encode())
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if _is_medium(value):
                size += TOKENS_PER_MEDIUM * BYTES_PER_TOKEN
            else:
                waiting += [inner for name, inner in value.items() if name not in NOT_READ]
    return size


def _is_medium(part: Mapping[str, Any]) -> bool:
    kind, source = part.get("type"), part.get("source")
    is_text = isinstance(source, dict) and source.get("type") in ("text", "content")
    return isinstance(kind, str) and kind in MEDIA and not is_text
