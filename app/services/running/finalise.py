"""Finalising: output and error file are written in line order, and the counts of the batch are frozen, once."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack

from sqlalchemy import Connection

from app.data.batches import job_facts, lines, segments, work
from app.data.batches.lines import LineEnd
from app.data.batches.work import BatchFacts
from app.data.files import files
from app.data.store.leases import Lease
from app.lib import failpoints, ids
from app.lib.metrics import declared
from app.services.blobs import IncomingBlob, incoming
from app.services.copies import ensure
from app.services.gateway import Gateway
from app.services.leases import lease_ms, require
from app.services.lines.answers import Answers
from app.services.lines.output import UNEXECUTED_CODES, unexecuted_line
from app.services.running.plan import delete_lines, forget_names

SLICE_LINES = 1000
WRITE_BYTES = 256 * 1024
DEFAULT_EXPIRY_S = 30 * 24 * 3600
# Lines that only change their state; more of them at once than lines whose answers are copied.
END_SLICE_LINES = 10_000
STATUSES = ("finalizing", "cancelling")
ANSWERED = ("completed", "failed")


def finalise(gateway: Gateway, lease: Lease) -> Generator[None]:
    """Write the files of a claimed batch and end it.

    Yields where it may be put aside, as `turns.Task` explains. Raises LeaseLostError.
    """
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        require(work.close_segments(connection, lease))
        batch = work.facts(connection, lease.id)
    ending = "cancelled" if batch.status == "cancelling" else str(batch.ending)
    if not batch.lines_total:
        # It was cancelled while it was planned, and nothing of it ran.
        yield from delete_lines(gateway, lease, statuses=STATUSES)
    with ExitStack() as stack:
        output = _ResultFile(stack.enter_context(incoming(gateway)))
        errors = _ResultFile(stack.enter_context(incoming(gateway)))
        yield from _copy_lines(gateway, lease, batch.public_id, ending, output, errors)
        for file in (output, errors):
            file.flush()
        if ending != "completed":
            yield from _end_lines(gateway, lease, ending)
        failpoints.hit("finalise.after_bytes")
        yield from forget_names(gateway, lease, statuses=STATUSES)
        _end(gateway, lease, batch, ending, output, errors)
    gateway.metrics.count(declared.BATCHES_ENDED, ending)
    gateway.log.info("batch.ended", batch=batch.public_id, status=ending, completed=output.lines, failed=errors.lines)


class _ResultFile:
    """The output or the error file while it is written; a file without lines is never created."""

    def __init__(self, blob: IncomingBlob) -> None:
        self.blob = blob
        self.lines = 0
        self._held: list[bytes] = []
        self._held_bytes = 0

    def add(self, pieces: Iterable[bytes]) -> bool:
        """Write one whole line, given in pieces. True when much has been written since this was last true."""
        has_written = False
        for data in pieces:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes >= WRITE_BYTES:
                self.flush()
                has_written = True
        self.lines += 1
        return has_written

    def take(self, rows: Sequence[LineEnd], kept: Mapping[int | None, bytes]) -> Iterator[LineEnd]:
        """Write the lines that went well and whose answers are in memory; the others come back, each in its turn.

        A loop of its own, as most lines are such lines: calling something for each would take twice the time.
        """
        pieces: list[bytes] = []
        for row in rows:
            _, _, state, chunk_id, offset, size = row
            data = kept.get(chunk_id) if state == "completed" else None
            if data is None or offset is None or size is None or offset + size > len(data):
                self._extend(pieces)
                pieces = []
                yield row
            else:
                pieces.append(data[offset : offset + size])
        self._extend(pieces)

    def _extend(self, pieces: list[bytes]) -> None:
        self._held += pieces
        self._held_bytes += sum(map(len, pieces))
        self.lines += len(pieces)
        if self._held_bytes >= WRITE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Pass on what is collected: writing line by line takes several times as long."""
        data, self._held, self._held_bytes = b"".join(self._held), [], 0
        self.blob.write(data)


def _copy_lines(
    gateway: Gateway, lease: Lease, batch: str, ending: str, output: _ResultFile, errors: _ResultFile
) -> Generator[None]:
    after = 0
    with Answers(gateway.blobs) as answers:
        while rows := _next_slice(gateway, lease.id, after, answers):
            output.blob.keep()
            errors.blob.keep()  # a long time may pass until the first line fails
            for row in output.take(rows, answers.kept):
                if row.state not in ANSWERED:
                    line = unexecuted_line(batch, row.line, row.custom_id, UNEXECUTED_CODES[ending])
                    has_written = errors.add([line])
                else:
                    target = output if row.state == "completed" else errors
                    has_written = target.add(answers.pieces(row))
                if has_written:
                    yield
            yield
            after = rows[-1].line


def _next_slice(gateway: Gateway, batch_id: int, after: int, answers: Answers) -> Sequence[LineEnd]:
    with gateway.database.read() as connection:
        rows = lines.ends(connection, batch_id, after=after, limit=SLICE_LINES)
        chunks = segments.chunks(connection, {row.chunk_id for row in rows if row.chunk_id is not None})
    answers.expect(chunks)
    return rows


def _end_lines(gateway: Gateway, lease: Lease, ending: str) -> Generator[None]:
    """Put the lines without a result into their last state, a slice at a time: on SQLite nobody else writes meanwhile.

    A worker that dies between leaves some in it; the next one goes on with the others.
    """
    after: int | None = 0
    while after is not None:
        with gateway.database.write() as connection:
            require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
            after = lines.end_pending(connection, lease.id, state=ending, after=after, limit=END_SLICE_LINES)
        yield


def _end(
    gateway: Gateway, lease: Lease, batch: BatchFacts, ending: str, output: _ResultFile, errors: _ResultFile
) -> None:
    for file in (output, errors):
        if file.lines:
            file.blob.seal()
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        output_id = _insert_file(connection, batch, output, "output")
        error_id = _insert_file(connection, batch, errors, "error")
        work.end(connection, lease, ending=ending, output_file_id=output_id, error_file_id=error_id)
        _record_native_files(connection, batch, output_id, error_id)
        failpoints.hit("finalise.before_commit")
    for file in (output, errors):
        if not file.lines:
            file.blob.abort()


def _record_native_files(
    connection: Connection, batch: BatchFacts, output_id: int | None, error_id: int | None
) -> None:
    """Let the result files that the provider keeps be deleted together with the gateway's."""
    if batch.execution != "provider":
        return
    for job in job_facts.of_batch(connection, batch.id):
        for native_id, file_id in ((job.output_native_id, output_id), (job.error_native_id, error_id)):
            kept_by = file_id or output_id or error_id
            if native_id is not None and kept_by is not None:
                ensure.record_results(
                    connection,
                    account_id=job.account_id,
                    native_id=native_id,
                    file_id=kept_by,
                    filename=f"{batch.public_id}_{job.number}.jsonl",
                )


def _insert_file(connection: Connection, batch: BatchFacts, file: _ResultFile, kind: str) -> int | None:
    if not file.lines:
        return None
    file.blob.settle(connection)
    return files.insert(
        connection,
        public_id=ids.new(ids.FILE),
        project_id=batch.project_id,
        key_id=batch.key_id,
        home=batch.provider,
        purpose="batch_output",
        filename=f"{batch.public_id}_{kind}.jsonl",
        origin="batch",
        blob_id=file.blob.id,
        size=file.blob.bytes,
        sha256=file.blob.sha256,
        lines=file.lines,
        expires_after_s=batch.output_expires_after_s or DEFAULT_EXPIRY_S,
    )
