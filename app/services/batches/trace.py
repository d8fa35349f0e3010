"""One line at a time: as its caller sent it, as its provider gets it, and what came back, in both dialects.

Only what the caller sent and the answer in the caller's dialect are stored. What the provider gets is written anew by
the code that writes it when the line is sent; what it answered is read once more where the provider keeps it.
"""

from dataclasses import dataclass, field
from typing import Any

from app.blobs import BlobError
from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import UpstreamError
from app.data.batches import inputs, showing, waits
from app.data.batches import lines as batch_lines
from app.data.batches.lines import LineStatus, RequestPlace
from app.data.batches.showing import Failures as Failures  # what callers of this module get
from app.data.batches.waits import LineWaiting
from app.errors import GatewayError, NotFoundError, UnavailableError
from app.lib import json
from app.services.accounts.load import Account
from app.services.batches import batches, raw_results, results
from app.services.batches.batches import Batch
from app.services.batches.create import PROVIDER
from app.services.gateway import Caller, Gateway
from app.services.jobs.input import Encoder
from app.services.lines import dialects, file_refs, rules
from app.services.lines.chunks import ChunkReaders
from app.translate.errors import TranslationError

MAX_LINE_BYTES = 2**20
MAX_LOOKED_BYTES = 32 * 2**20
AMONG_LINES = 10_000
NOT_KEPT = "The gateway keeps the translated answer only."
SAME = "The provider speaks this dialect, so its answer is the one beside."


@dataclass(frozen=True, slots=True)
class Part:
    """One of the four texts: `data` if there is one (cut off at MAX_LINE_BYTES), and a `note` on it."""

    data: bytes | None = field(default=None, repr=False)
    note: str | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class LineTrace:
    """A line in four texts. `path` is where the provider gets it; `may_ask`: the provider may have its own answer."""

    batch: Batch
    line: LineStatus
    wait: LineWaiting | None
    sent: Part
    written: Part
    path: str | None
    answered: Part
    native: Part
    may_ask: bool


def of_line(gateway: Gateway, caller: Caller, public_id: str, number: int, *, asks: bool = False) -> LineTrace:
    """A line of a batch of the project; with `asks` the provider is asked for its own answer.

    Raises NotFoundError, UnavailableError, and the GatewayError for a failing provider.
    """
    batch = batches.retrieve_with_lines(gateway, caller, public_id)
    with gateway.database.read() as connection:
        found = batch_lines.statuses(connection, batch.id, state=None, after=number - 1, limit=1)
        place = showing.place(connection, batch.id, number)
        noted = waits.of_lines(connection, batch.id, first=number, last=number)
    if not found or found[0].line != number or place is None:
        raise NotFoundError(f"Batch {batch.public_id} has no line {number}.")
    sent = _sent(gateway, caller, batch, place)
    account = gateway.accounts.by_id(batch.account_id)
    path, written, is_same = _written(account, batch, found[0], sent)
    may_ask = batch.execution == PROVIDER and batch.has_ended and found[0].status_code is not None
    native = Part(note=SAME if is_same else NOT_KEPT if batch.execution != PROVIDER else None)
    if asks and may_ask:
        native = _native(gateway, caller, batch, found[0])
    answered = _answered(gateway, batch, number)
    return LineTrace(batch, found[0], noted.get(number), sent, written, path, answered, native, may_ask)


def failures(gateway: Gateway, batch: Batch) -> list[Failures]:
    """The first AMONG_LINES lines that failed, by code and status."""
    with gateway.database.read() as connection:
        return showing.failures(connection, batch.id, among=AMONG_LINES)


def number_of(gateway: Gateway, batch: Batch, custom_id: str) -> int | None:
    """The number of the first line with this `custom_id`."""
    if not rules.is_custom_id(custom_id):
        return None
    with gateway.database.read() as connection:
        return showing.numbered(connection, batch.id, custom_id)


def _sent(gateway: Gateway, caller: Caller, batch: Batch, place: RequestPlace) -> Part:
    with gateway.database.read() as connection:
        stored = inputs.find(connection, project_id=caller.project_id, given=batch.input_file)
    if stored is None or stored.key is None:
        return Part(note=f"The input file {batch.input_file} has been deleted.")
    if place.request_bytes > MAX_LINE_BYTES:
        return Part(note=f"The request has {place.request_bytes} bytes; download the input file to see it.")
    try:
        reader = gateway.blobs.open_read(stored.key)
        try:
            return Part(reader.read(place.request_offset, place.request_bytes))
        finally:
            reader.close()
    except BlobError as error:
        raise UnavailableError("The gateway's blob store is not available; retry later.", retry_after_s=5) from error


def _written(account: Account | None, batch: Batch, line: LineStatus, sent: Part) -> tuple[str | None, Part, bool]:
    """(the path, the request in the provider's dialect, whether that is the caller's dialect)."""
    if account is None:
        return None, Part(note="The account of this batch has been removed."), False
    if sent.data is None:
        return None, Part(), False
    try:
        body = rules.body_of(json.loads(sent.data))
        note = None
        if file_refs.find(batch.endpoint, body):
            note = "The files that the line names are put in when it is sent."
        path, data, is_same = _as_sent(account, batch, line, sent.data, body)
    except (json.JSONDecodeError, KeyError):
        return None, Part(note="The line cannot be read."), False
    except TranslationError as error:
        return None, Part(note=f"It cannot be written in the provider's dialect: {error}"), False
    except (GatewayError, UpstreamError) as error:
        return None, Part(note=str(error)), False
    return path, Part(data[:MAX_LINE_BYTES], note, len(data) > MAX_LINE_BYTES), is_same


def _as_sent(
    account: Account, batch: Batch, line: LineStatus, data: bytes, body: dict[str, Any]
) -> tuple[str | None, bytes, bool]:
    if batch.execution == PROVIDER:
        encoded, differs = Encoder(account, batch.endpoint, batch.model_override).line(line.line, line.custom_id, data)
        return None, encoded.data, not differs
    target = dialects.spoken(batch.endpoint, account.abilities.lines)
    if batch.model_override is not None:
        body = {**body, "model": batch.model_override}
    written = dialects.outgoing(batch.endpoint, target, body, output_limit=account.abilities.output_limit)
    model = written.body.get("model")
    named = {**written.body, "model": account.native_model(model)} if isinstance(model, str) else written.body
    call = account.connector.written_line(LineCall(endpoint=target, body=named, timeout_s=0))
    is_same = target == batch.endpoint and call.body is named
    return call.path, json.dumps(call.body), is_same


def _answered(gateway: Gateway, batch: Batch, number: int) -> Part:
    with gateway.database.read() as connection:
        rows = batch_lines.answers(connection, batch.id, after=number - 1, limit=1, only_ended=True)
    if not rows or rows[0].line != number:
        return Part(note="There is no answer yet.")
    if (rows[0].response_bytes or 0) > MAX_LINE_BYTES:
        return Part(note=f"The answer has {rows[0].response_bytes} bytes; download the output file to see it.")
    try:
        with ChunkReaders(gateway.blobs) as readers:
            return Part(results.result_of(readers, batch, rows[0]))
    except BlobError as error:
        raise UnavailableError("The gateway's blob store is not available; retry later.", retry_after_s=5) from error


def _native(gateway: Gateway, caller: Caller, batch: Batch, line: LineStatus) -> Part:
    """The provider's own row, looked for among the first MAX_LOOKED_BYTES of its results."""
    wanted = json.dumps(line.wire_id or line.custom_id)
    looked = 0
    rest = b""
    for data in raw_results.stream(gateway, raw_results.find(gateway, caller, batch.public_id)):
        *rows, rest = (rest + data).split(b"\n")
        looked += len(data)
        for row in rows:
            if wanted in row:
                return Part(row[:MAX_LINE_BYTES], is_cut=len(row) > MAX_LINE_BYTES)
        if looked > MAX_LOOKED_BYTES:
            return Part(note="It is not among the first results; download them all with `?format=raw`.")
    if wanted in rest:
        return Part(rest[:MAX_LINE_BYTES], is_cut=len(rest) > MAX_LINE_BYTES)
    return Part(note="The provider has no result of this line.")
