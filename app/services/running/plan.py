"""Planning: every line of a new batch is checked and indexed, then cut into segments for the gateway, or into jobs."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.data.access import keys
from app.data.batches import lines as batch_lines
from app.data.batches import work
from app.data.batches.lines import NewLine
from app.data.batches.work import BatchFacts
from app.data.store.database import Database
from app.data.store.leases import Lease
from app.errors import UnavailableError
from app.lib import failpoints, jsonl
from app.services.gateway import Gateway
from app.services.jobs.cut import Added, JobCutter
from app.services.leases import lease_ms, require
from app.services.lines import rules
from app.services.lines.models import LineModels
from app.services.lines.rules import Finding, LineFacts
from app.services.money import prices

SLICE_LINES = 1000
MAX_FINDINGS = 100
# Several workers get a part of each batch, and a segment is large enough to be worth its claim.
SEGMENTS_PER_BATCH = 8
MIN_SEGMENT_LINES = 16
MAX_SEGMENT_LINES = 512
STATUSES = ("validating",)


@dataclass(slots=True)
class _Draft:
    """The plan so far. `cutter` is set when the provider runs the batch; `rows` are lines that are not in SQL yet."""

    models: LineModels
    cutter: JobCutter | None = None
    lines: int = 0
    first_line: int = 0
    last_line: int = 0
    model: str | None = None
    form: str | None = None
    findings: list[Finding] = field(default_factory=list)
    rows: list[NewLine] = field(default_factory=list)


def plan(gateway: Gateway, lease: Lease) -> None:
    """Index the lines of a claimed batch and start it, or fail it with its findings. Raises LeaseLostError."""
    with gateway.database.read() as connection:
        batch = work.facts(connection, lease.id)
        allowed_models = keys.models_of(connection, batch.key_id)
    delete_lines(gateway.database, lease.id)  # of a worker that died while it planned
    draft = _Draft(LineModels(allowed_models, batch.provider, batch.model_override), cutter=_cutter(gateway, batch))
    if batch.input_key is None:
        draft.findings.append(Finding("invalid_request", "The input file has been deleted.", "file_id", None))
    else:
        _read(gateway, lease, batch, draft, batch.input_key)
    failpoints.hit("plan.before_commit")
    if draft.findings:
        _fail(gateway, lease, draft)
    else:
        _start(gateway, lease, draft, batch)


def segments(first_line: int, last_line: int, lines: int) -> list[tuple[int, int]]:
    """(first, last) line number of each segment. Blank lines leave gaps, so a segment may hold fewer lines."""
    size = min(MAX_SEGMENT_LINES, max(MIN_SEGMENT_LINES, -(-lines // SEGMENTS_PER_BATCH)))
    return [(first, min(first + size - 1, last_line)) for first in range(first_line, last_line + 1, size)]


def delete_lines(database: Database, batch_id: int) -> None:
    """Delete the lines of a batch that never ran, a slice at a time."""
    while True:
        with database.write() as connection:
            if batch_lines.delete_lines(connection, batch_id, limit=SLICE_LINES) < SLICE_LINES:
                return


def _cutter(gateway: Gateway, batch: BatchFacts) -> JobCutter | None:
    if batch.execution != "provider":
        return None
    account = gateway.accounts.by_id(batch.account_id)
    if account is None:
        raise UnavailableError("The account of the batch has been removed.")
    return JobCutter(account, batch.endpoint, batch.model_override)


def _read(gateway: Gateway, lease: Lease, batch: BatchFacts, draft: _Draft, key: str) -> None:
    max_line_bytes = gateway.settings.max_line_bytes
    for line in _lines(gateway, key):
        _add(draft, line, batch=batch, max_line_bytes=max_line_bytes)
        if len(draft.rows) >= SLICE_LINES:
            _write(gateway, lease, draft)
        if len(draft.findings) >= MAX_FINDINGS:
            break
    _write(gateway, lease, draft)
    _check_whole(gateway, lease, draft)


def _lines(gateway: Gateway, key: str) -> Iterator[jsonl.Line]:
    return jsonl.lines(gateway.blobs.stream(key), max_line_bytes=gateway.settings.max_line_bytes)


def _add(draft: _Draft, line: jsonl.Line, *, batch: BatchFacts, max_line_bytes: int) -> None:
    checked = rules.read(line.data, number=line.number, max_line_bytes=max_line_bytes)
    row = checked if isinstance(checked, Finding) else _fit(draft, line, checked, batch)
    if isinstance(row, Finding):
        draft.findings.append(row)
        return
    draft.lines += 1
    draft.first_line = draft.first_line or line.number
    draft.last_line = line.number
    draft.rows.append(row)


def _fit(draft: _Draft, line: jsonl.Line, checked: LineFacts, batch: BatchFacts) -> Finding | NewLine:
    """The row of a valid line, or what keeps it out of this batch."""
    mixed = draft.cutter is not None and not draft.cutter.account.abilities.jobs.single_model
    misfit = rules.fits(
        checked,
        number=line.number,
        endpoint=batch.endpoint,
        model=None if mixed else draft.model,
        override=batch.model_override,
        form=draft.form,
    )
    misfit = misfit or draft.models.check(checked, number=line.number)
    if misfit is not None:
        return misfit
    added = Added() if draft.cutter is None else draft.cutter.add(line, checked)
    if isinstance(added, Finding):
        return added
    draft.model = draft.model or checked.model
    draft.form = checked.form
    return NewLine(
        line.number,
        checked.custom_id,
        line.offset,
        line.length,
        error_code=added.held_back,
        wire_id=added.wire_id,
        dropped_fields=",".join(added.dropped) or None,
        model=None if batch.model_override or checked.model == draft.model else checked.model,
    )


def _write(gateway: Gateway, lease: Lease, draft: _Draft) -> None:
    rows, draft.rows = draft.rows, []
    if not rows or draft.findings:
        return  # a batch that will fail needs no lines
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        batch_lines.insert_lines(connection, lease.id, rows)
    failpoints.hit("plan.between_slices")


def _check_whole(gateway: Gateway, lease: Lease, draft: _Draft) -> None:
    max_lines = gateway.settings.max_batch_lines
    if not draft.lines and not draft.findings:
        draft.findings.append(Finding("empty_file", "The input file has no lines.", None, None))
    elif max_lines and draft.lines > max_lines:
        text = f"The input file has {draft.lines} lines; this gateway accepts at most {max_lines}. Split the file."
        draft.findings.append(Finding("maximum_requests_exceeded", text, None, None))
    elif not draft.findings:
        with gateway.database.read() as connection:
            duplicates = batch_lines.duplicates(connection, lease.id, limit=MAX_FINDINGS)
        draft.findings += [
            Finding(
                "duplicate_custom_id",
                f"The custom_id {duplicate.custom_id!r:.100} is used by an earlier line.",
                "custom_id",
                duplicate.line,
            )
            for duplicate in duplicates
        ]
        too_few = None if draft.cutter is None else draft.cutter.finish()
        if too_few is not None:
            draft.findings.append(too_few)


def _start(gateway: Gateway, lease: Lease, draft: _Draft, batch: BatchFacts) -> None:
    model = batch.model_override or draft.model or ""
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        if draft.cutter is None:
            spans = segments(draft.first_line, draft.last_line, draft.lines)
            work.start(connection, lease, model=model, lines=draft.lines, segments=spans)
            parts = len(spans)
        else:
            jobs = draft.cutter.jobs(marker=batch.public_id, input_bytes=batch.input_bytes)
            work.start_jobs(connection, lease, model=model, lines=draft.lines, jobs=jobs)
            parts = len(jobs)
        prices.freeze(connection, lease.id)
    gateway.log.info(
        "batch.started", batch=lease.id, execution=batch.execution, parts=parts, model=model, lines=draft.lines
    )


def _fail(gateway: Gateway, lease: Lease, draft: _Draft) -> None:
    errors = [finding.as_dict() for finding in sorted(draft.findings, key=lambda finding: finding.line or 0)]
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        work.fail(connection, lease, errors=errors[:MAX_FINDINGS])
    gateway.log.info("batch.failed", batch=lease.id, findings=len(errors), code=errors[0]["code"])
    delete_lines(gateway.database, lease.id)
