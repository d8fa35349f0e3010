"""The input of a job: the bytes of the file as they are if possible, else its lines in the provider's dialect."""

import hashlib
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, Any

from app.blobs import BlobError, BlobReader, BlobStore
from app.connectors.contract.abilities import JobLimits
from app.connectors.contract.errors import RefusedError
from app.connectors.contract.objects import EncodedLine, JobLine, NewFile, Payload
from app.data.batches import lines as batch_lines
from app.data.batches.job_facts import JobFacts
from app.data.batches.lines import LineOfJob
from app.engine.patience import ACCOUNT_KINDS
from app.lib import bounds, json
from app.services.accounts.directory import Account
from app.services.gateway import Gateway
from app.services.line_files import line_files
from app.services.line_files.line_files import LineFiles
from app.services.line_files.values import TOO_LARGE
from app.services.lines import dialects, file_refs, rules
from app.services.lines.file_refs import Reference
from app.services.lines.rules import LineFacts
from app.services.lines.send import FILE_REFUSED
from app.services.provider_errors import is_credential
from app.translate.errors import TranslationError

OPENAI = "openai"
RAW = "raw"
PURPOSE = "batch"
WIRE_PREFIX = "bg-"
SLICE_LINES = 1000
PIECE_BYTES = 256 * 1024
VARIANT_DIGITS = 40

_WIRE_ID = re.compile(rf"{WIRE_PREFIX}([0-9]{{1,18}})")


@dataclass(frozen=True, slots=True)
class Encoder:
    """Lines of one batch in the dialect of one account's jobs. `files` may be None when no line names any."""

    account: Account
    endpoint: str
    override: str | None
    files: LineFiles | None = None

    @property
    def limits(self) -> JobLimits:
        return self.account.abilities.jobs

    def wire_id(self, number: int, custom_id: str) -> str:
        """The line's id at the provider: its custom_id, unless the provider could not return that unchanged."""
        pattern = self.limits.custom_id
        unfit = pattern is not None and re.fullmatch(pattern, custom_id) is None
        return f"{WIRE_PREFIX}{number}" if unfit or _WIRE_ID.fullmatch(custom_id) else custom_id

    @property
    def target(self) -> str:
        """The provider's endpoint for the lines."""
        return dialects.spoken(self.endpoint, self.limits.endpoints)

    @property
    def max_line_bytes(self) -> int | None:
        """How many bytes a line may have; None for any number."""
        limits = (self.limits.line_bytes, self.limits.bytes)
        return min((limit for limit in limits if limit is not None), default=None)

    def draft(
        self, number: int, custom_id: str, data: bytes, facts: LineFacts, references: Sequence[Reference]
    ) -> tuple[EncodedLine, bool, int]:
        """(as `line`, but without the files that the line names at `references`, its bytes with them).

        Raises as `line`, also for files that the provider does not take.
        """
        added = 0
        if references and self.files is not None:
            body, added = self.files.drafted(self.account, facts.body, references)
            facts = facts._replace(body=body, is_standard=False)
        encoded, differs = self.line(number, custom_id, data, facts)
        size, most = len(encoded.data) + added, self.max_line_bytes
        if added and most is not None and size > most:
            text = f"with its files this line has {size} bytes; {self.account.provider} accepts at most {most}."
            raise TranslationError(references[0].path, text, code=TOO_LARGE)
        return encoded, differs, size

    def filled(self, row: LineOfJob, data: bytes, used: set[str]) -> EncodedLine:
        """A line as it is sent, with the files that it names; their native ids are added to `used`.

        Raises as `LineFiles.filled`.
        """
        facts = None
        if self.files is not None and file_refs.may_name(data):
            facts = rules.facts_of(json.loads(data))
            references = file_refs.find(self.endpoint, facts.body)
            if references:
                body, ids = self.files.filled(self.account, facts.body, references)
                used.update(ids)
                facts = facts._replace(body=body, is_standard=False)
        return self.line(row.line, row.custom_id, data, facts)[0]

    def line(
        self, number: int, custom_id: str, data: bytes, facts: LineFacts | None = None
    ) -> tuple[EncodedLine, bool]:
        """(the line of the job, whether it differs from `data`, the line of the batch's input).

        `facts` are those of the line, if the caller has them. Raises TranslationError when the provider's dialect
        cannot express the request.
        """
        wire_id = self.wire_id(number, custom_id)
        facts = facts or rules.facts_of(json.loads(data))
        body = facts.body
        line_model: Any = body.get("model")
        model = self.account.native_model(self.override or line_model)
        target = self.target
        is_same = facts.is_standard and wire_id == custom_id and model == line_model and target == self.endpoint
        # A line with a member twice is written anew: the provider might read the one that was not checked.
        if is_same and self.limits.dialect == OPENAI and not json.repeats_member(data):
            return EncodedLine(data + b"\n"), False
        written = dialects.outgoing(self.endpoint, target, body, output_limit=self.account.abilities.output_limit)
        encoded = self.account.connector.encode_line(JobLine(wire_id, target, model, written.body))
        if written.dropped:
            encoded = replace(encoded, dropped=(*written.dropped, *encoded.dropped))
        return encoded, True


def line_number(wire_id: str) -> int | None:
    """The number of the line that a replaced id stands for, or None for a custom_id of the caller's."""
    match = _WIRE_ID.fullmatch(wire_id)
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class JobInput:
    """The input of a job. `lines` may be fewer than the job has, since some are never sent."""

    variant: str
    lines: int
    filename: str
    endpoint: str
    payload: Payload = field(repr=False)

    def new_file(self) -> NewFile:
        """The file to create at the provider."""
        return NewFile(
            filename=self.filename, purpose=PURPOSE, payload=self.payload, lines=self.lines, endpoint=self.endpoint
        )


def is_rewritten(facts: JobFacts, account: Account) -> bool:
    """True when the provider needs another file than the batch's input."""
    limits = account.abilities.jobs
    renames = account.native_model(facts.model) != facts.model if limits.single_model else account.models
    spoken = facts.endpoint in limits.endpoints
    return bool(facts.rewritten or renames or limits.dialect != OPENAI or not spoken)


def variant(facts: JobFacts, account: Account, used: Collection[str] = ()) -> str:
    """The name of this form of the file: copies of the same variant are interchangeable.

    `used` are the native ids of other files in it.
    """
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
        *sorted(used),
    ]
    return hashlib.sha256(json.dumps(parts)).hexdigest()[:VARIANT_DIGITS]


@contextmanager
def opened(gateway: Gateway, facts: JobFacts, account: Account, *, worker: str) -> Iterator[JobInput]:
    """The input of a job, readable within the block. Raises BlobError when the input file's bytes are deleted.

    Lines whose files the provider refuses are held back. Raises NotReadyError while a file that lines name is on its
    way to the provider, and UpstreamError.
    """
    if not is_rewritten(facts, account):
        key = _input_key(facts)
        payload = Payload(facts.input_bytes, lambda: gateway.blobs.stream(key))
        yield JobInput(RAW, _count(gateway, facts), facts.input_filename, facts.endpoint, payload)
        return
    _input_key(facts)
    with tempfile.TemporaryFile() as spool:
        encoder = Encoder(
            account, facts.endpoint, facts.model_override, line_files.of_job(gateway, facts, worker=worker)
        )
        length, used = _encode(gateway, facts, encoder, spool)
        filename = f"{facts.public_id}_{facts.number}.jsonl"
        payload = Payload(length, lambda: _pieces(spool))
        name = variant(facts, account, used)
        yield JobInput(name, _count(gateway, facts), filename, encoder.target, payload)


class Requests:
    """The lines of a batch's input file, read one by one. Raises BlobError when its bytes are deleted or too short."""

    def __init__(self, store: BlobStore, facts: JobFacts) -> None:
        self._store = store
        self._facts = facts
        self._reader: BlobReader | None = None

    def read(self, row: LineOfJob) -> bytes:
        """The line of the input file without its newline."""
        if self._reader is None:
            self._reader = self._store.open_read(_input_key(self._facts))
        data = self._reader.read(row.request_offset, row.request_bytes)
        if len(data) != row.request_bytes:
            raise BlobError(f"the input of {self._facts.public_id} ends before line {row.line}")
        return data

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


def _count(gateway: Gateway, facts: JobFacts) -> int:
    with gateway.database.read() as connection:
        return batch_lines.count_to_send(connection, facts.batch_id, first=facts.first_line, last=facts.last_line)


def _encode(gateway: Gateway, facts: JobFacts, encoder: Encoder, spool: IO[bytes]) -> tuple[int, set[str]]:
    """Write the lines into `spool`. Returns (how many bytes these have, the native ids of files in them)."""
    first, length = facts.first_line, 0
    used: set[str] = set()
    with closing(Requests(gateway.blobs, facts)) as requests:
        while True:
            with gateway.database.read() as connection:
                rows = batch_lines.to_send(
                    connection, facts.batch_id, first=first, last=facts.last_line, limit=SLICE_LINES
                )
            for row in rows:
                try:
                    length += spool.write(encoder.filled(row, requests.read(row), used).data)
                except (TranslationError, RefusedError) as error:
                    _hold_back(gateway, facts, row, error)
            if len(rows) < SLICE_LINES:
                return length, used
            first = rows[-1].line + 1


def _hold_back(gateway: Gateway, facts: JobFacts, row: LineOfJob, error: TranslationError | RefusedError) -> None:
    """Leave a line out of the job, since a file that it names cannot be sent. Raises the error if it is no file's."""
    if isinstance(error, RefusedError) and (error.kind in ACCOUNT_KINDS or is_credential(error)):
        raise error
    code = error.code if isinstance(error, TranslationError) else FILE_REFUSED
    gateway.log.info("line.held_back", batch=facts.public_id, line=row.line, code=code, reason=str(error))
    with gateway.database.write() as connection:
        batch_lines.hold_back(connection, facts.batch_id, row.line, code=bounds.word(code, "code"))


def _input_key(facts: JobFacts) -> str:
    if facts.input_key is None:
        raise BlobError(f"the input file of {facts.public_id} is deleted")
    return facts.input_key


def _pieces(spool: IO[bytes]) -> Iterator[bytes]:
    spool.seek(0)
    while data := spool.read(PIECE_BYTES):
        yield data
