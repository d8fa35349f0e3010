"""What a batch input will cost, before it runs: lines, models, tokens as far as the file tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.blobs import BlobError
from app.errors import InvalidRequestError, UnavailableError
from app.lib import json, jsonl
from app.services import files, unkept_files
from app.services.batches import PURPOSE
from app.services.gateway import Caller, Gateway

# Of English text with the usual tokenizers; only the provider knows better.
BYTES_PER_TOKEN = 4
MOST_MODELS = 100
MOST_MAX_TOKENS = 2**40  # a number beyond it is nonsense, and sums must stay within 64 bits
OUTPUT_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
# Members of a body whose texts the model reads, and members of messages that are none.
READ = ("messages", "input", "prompt", "instructions", "system", "tools", "response_format", "text")
NOT_READ = frozenset({"role", "type", "id", "detail"})


@dataclass(slots=True)
class Estimate:
    """Sums over the lines of a file. `max_output_tokens` covers the `lines_with_limit` that name one."""

    file_id: str
    provider: str
    lines: int = 0
    invalid_lines: int = 0
    lines_with_limit: int = 0
    input_tokens: int = 0
    max_output_tokens: int = 0
    models: dict[str, int] = field(default_factory=dict)


def estimate(gateway: Gateway, caller: Caller, file_id: str, *, provider: str | None = None) -> Estimate:
    """Read the whole file as a stream. Raises NotFoundError, and InvalidRequestError for another purpose."""
    row = files.retrieve(gateway, caller, file_id, provider=provider)
    if row.purpose != PURPOSE:
        raise InvalidRequestError(f"Only files with purpose 'batch' can be estimated, not {row.purpose!r}.", param="id")
    if not row.is_kept:
        unkept_files.fetch(gateway, row)
        row = files.retrieve(gateway, caller, row.public_id)
    key = files.blob_key(gateway, row)
    found = Estimate(file_id=row.public_id, provider=row.home)
    try:
        for line in jsonl.lines(gateway.blobs.stream(key), max_line_bytes=gateway.settings.max_line_bytes):
            _add(found, line.data)
    except BlobError as error:
        raise UnavailableError("The gateway's store is not available; try again.", retry_after_s=5) from error
    return found


def _add(found: Estimate, data: bytes | None) -> None:
    found.lines += 1
    body = _body(data)
    if body is None:
        found.invalid_lines += 1
        return
    texts = sum(_text_bytes(body[name]) for name in READ if name in body)
    found.input_tokens += -(-texts // BYTES_PER_TOKEN)
    limit = _output_limit(body)
    if limit is not None:
        found.lines_with_limit += 1
        found.max_output_tokens += limit
    model = body.get("model")
    if isinstance(model, str) and (model in found.models or len(found.models) < MOST_MODELS):
        found.models[model] = found.models.get(model, 0) + 1


def _body(data: bytes | None) -> Mapping[str, Any] | None:
    try:
        line = json.loads(data or b"")
    except ValueError:
        return None
    body = line.get("body") if isinstance(line, dict) else None
    return body if isinstance(body, dict) else None


def _output_limit(body: Mapping[str, Any]) -> int | None:
    for name in OUTPUT_LIMITS:
        value = body.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            choices = body.get("n")
            times = choices if isinstance(choices, int) and not isinstance(choices, bool) and choices > 0 else 1
            return min(value * times, MOST_MAX_TOKENS)
    return None


def _text_bytes(value: Any) -> int:
    """UTF-8 bytes of the texts in `value`; images and the like that are written into it are no text."""
    waiting = [value]
    size = 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            size += 0 if value.startswith("data:") else len(value.encode())
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [inner for name, inner in value.items() if name not in NOT_READ]
    return size
