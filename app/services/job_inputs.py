"""The input of a job: a file's own bytes where they will do, else its lines in the provider's dialect."""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from app.blobs import BlobError
from app.connectors.abilities import JobLimits
from app.connectors.native import JobLine, NewFile, Payload
from app.data import job_lines
from app.lib import json
from app.services.accounts import Account
from app.services.gateway import Gateway

OPENAI = "openai"
RAW = "raw"
PURPOSE = "batch"
WIRE_PREFIX = "bg-"
SLICE_LINES = 1000
PIECE_BYTES = 256 * 1024
VARIANT_DIGITS = 40

_WIRE_ID = re.compile(rf"{WIRE_PREFIX}([0-9]+)")


@dataclass(frozen=True, slots=True)
class Encoder:
    """Lines of one batch in the dialect of one account's jobs."""

    account: Account
    endpoint: str
    override: str | None

    @property
    def limits(self) -> JobLimits:
        return self.account.abilities.jobs

    def wire_id(self, number: int, custom_id: str) -> str:
        """What the line is called at the provider: its own id, unless that could not come back as it went."""
        pattern = self.limits.custom_id
        unfit = pattern is not None and re.fullmatch(pattern, custom_id) is None
        return f"{WIRE_PREFIX}{number}" if unfit or _WIRE_ID.fullmatch(custom_id) else custom_id

    def line(self, number: int, custom_id: str, data: bytes) -> tuple[bytes, bool]:
        """(a line with its newline, whether it differs from `data`); `data` is the line as the batch's input has it."""
        wire_id = self.wire_id(number, custom_id)
        body = json.loads(data)["body"]
        asked = body.get("model")
        model = self.account.native_model(self.override or asked)
        if self.limits.dialect == OPENAI and wire_id == custom_id and model == asked:
            return data + b"\n", False
        return self.account.connector.encode_line(JobLine(wire_id, self.endpoint, model, body)), True


def line_number(wire_id: str) -> int | None:
    """The line that a replaced id stands for, or None when it is an id of the caller's own."""
    match = _WIRE_ID.fullmatch(wire_id)
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class JobInput:
    """What a job is made of. `lines` may be fewer than the job has, as some are never sent."""

    variant: str
    lines: int
    filename: str
    payload: Payload = field(repr=False)

    def new_file(self) -> NewFile:
        """The file to be made at the provider."""
        return NewFile(filename=self.filename, purpose=PURPOSE, payload=self.payload, lines=self.lines)


def is_rewritten(facts: Any, account: Account) -> bool:
    """True when the file's own bytes will not do. `facts` are those of data.jobs."""
    limits = account.abilities.jobs
    renames = account.native_model(facts.model) != facts.model if limits.single_model else account.models
    return bool(facts.rewritten or renames or limits.dialect != OPENAI)


def variant(facts: Any, account: Account) -> str:
    """What tells this form of the file from others: copies of the same variant are interchangeable."""
    if not is_rewritten(facts, account):
        return RAW
    limits = account.abilities.jobs
    parts = [
        limits.dialect,
        facts.endpoint,
        account.native_model(facts.model),
        facts.model_override or "",
        facts.first_line,
        facts.last_line,
        limits.custom_id or "",
        None if limits.single_model else sorted(account.models.items()),
    ]
    return hashlib.sha256(json.dumps(parts)).hexdigest()[:VARIANT_DIGITS]


@contextmanager
def opened(gateway: Gateway, facts: Any, account: Account) -> Iterator[JobInput]:
    """The input of a job, readable within the block. Raises BlobError when the bytes are not there."""
    with gateway.database.read() as connection:
        lines = job_lines.count_to_send(connection, facts.batch_id, first=facts.first_line, last=facts.last_line)
    name = variant(facts, account)
    if facts.input_key is None:
        raise BlobError(f"the input file of {facts.public_id} is gone")
    if name == RAW:
        payload = Payload(facts.input_bytes, lambda: gateway.blobs.stream(facts.input_key))
        yield JobInput(RAW, lines, facts.input_filename, payload)
        return
    with tempfile.TemporaryFile() as spool:
        length = _encode(gateway, facts, account, spool)
        filename = f"{facts.public_id}_{facts.number}.jsonl"
        yield JobInput(name, lines, filename, Payload(length, lambda: _pieces(spool)))


def _encode(gateway: Gateway, facts: Any, account: Account, spool: IO[bytes]) -> int:
    encoder = Encoder(account, facts.endpoint, facts.model_override)
    first, length = facts.first_line, 0
    reader = gateway.blobs.open_read(facts.input_key)
    try:
        while True:
            with gateway.database.read() as connection:
                rows = job_lines.to_send(
                    connection, facts.batch_id, first=first, last=facts.last_line, limit=SLICE_LINES
                )
            for row in rows:
                data = reader.read(row.request_offset, row.request_bytes)
                if len(data) != row.request_bytes:
                    raise BlobError(f"the input of {facts.public_id} ends before line {row.line}")
                encoded, _ = encoder.line(row.line, row.custom_id, data)
                length += spool.write(encoded)
            if len(rows) < SLICE_LINES:
                return length
            first = rows[-1].line + 1
    finally:
        reader.close()


def _pieces(spool: IO[bytes]) -> Iterator[bytes]:
    spool.seek(0)
    while data := spool.read(PIECE_BYTES):
        yield data
