"""Planning: every line of a new batch is checked and indexed, then cut into segments for the gateway, or into jobs."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from app.data.access import keys
from app.data.batches import lines as batch_lines
from app.data.batches import named_files, new_lines, work
from app.data.batches.lines import DuplicateId
from app.data.batches.new_lines import NewLine
from app.data.batches.work import BatchFacts
from app.data.store.leases import Lease
from app.errors import UnavailableError
from app.lib import bounds, failpoints, jsonl
from app.lib.jsonl import LineSplitter, TooManyLinesError
from app.lib.metrics import declared
from app.services.gateway import Gateway
from app.services.jobs.cut import Added, JobCutter
from app.services.leases import lease_ms, require
from app.services.line_files import line_files
from app.services.line_files.line_files import LineFiles
from app.services.line_files.naming import BatchNames
from app.services.lines import facts, rules
from app.services.lines.facts import InputFacts
from app.services.lines.models import LineModels
from app.services.lines.rules import Finding, LineFacts
from app.services.money import prices
from app.services.running import quick

SLICE_LINES = 1000
MAX_FINDINGS = 100
# Up to so many lines an input is first read to its end and then started with the lines of one slice, so that these are
# sent soon; `index` has the others written. The ids of larger ones would take too much memory.
QUICK_LINES = 50_000
# More than MAX_FINDINGS, and few enough for a query of a tenth of a second.
DUPLICATES_SLICE_LINES = 50_000
# A batch is not put aside while it holds a longer part of a line in memory.
MAX_HELD_BYTES = 256 * 1024
# Several workers get a part of each batch, and a segment is large enough to be worth its claim.
SEGMENTS_PER_BATCH = 8
MIN_SEGMENT_LINES = 16
MAX_SEGMENT_LINES = 512
STATUSES = ("validating",)


@dataclass(slots=True)
class _Draft:
    """The plan so far. `cutter` is set when the provider runs the batch.

    `rows` are lines that are not in SQL yet. `ids` are the custom_ids so far of an input that is checked as a whole
    before anything is written; then `rows` are only its first lines, and `repeated` the lines whose id is not new.
    """

    models: LineModels
    named: BatchNames
    cutter: JobCutter | None = None
    lines: int = 0
    first_line: int = 0
    last_line: int = 0
    model: str | None = None
    form: str | None = None
    findings: list[Finding] = field(default_factory=list)
    rows: list[NewLine] = field(default_factory=list)
    ids: set[str] | None = None
    repeated: list[DuplicateId] = field(default_factory=list)


def plan(gateway: Gateway, lease: Lease) -> Generator[None]:
    """Index the lines of a claimed batch and start it, or fail it with its findings.

    Yields where it may be put aside, as `turns.Task` explains. Raises LeaseLostError.
    """
    with gateway.database.read() as connection:
        batch = work.facts(connection, lease.id)
        allowed_models = keys.models_of(connection, batch.key_id)
        known = facts.of_stored(work.input_facts(connection, lease.id))
    if lease.epoch > 1:
        yield from delete_lines(gateway, lease)  # of a worker that died while it planned
    is_known = known is not None and quick.fits(gateway, batch, known, model_patterns=allowed_models)
    if known is not None and is_known and _start_at_once(gateway, lease, batch, known):
        return
    files = line_files.of_batch(gateway, batch, worker=lease.worker)
    models = LineModels(allowed_models, batch.provider, batch.model_override)
    draft = _Draft(models, BatchNames(files, batch.endpoint), cutter=_cutter(gateway, batch, files))
    if draft.cutter is None and batch.input_lines is not None and batch.input_lines <= QUICK_LINES:
        draft.ids = set()
    if batch.input_key is None:
        draft.findings.append(Finding("invalid_request", "The input file has been deleted.", "file_id", None))
    else:
        yield from _read(gateway, lease, batch, draft, batch.input_key)
        yield from _check_whole(gateway, lease, draft)
    failpoints.hit("plan.before_commit")
    if draft.findings:
        yield from _fail(gateway, lease, batch, draft.findings)
    else:
        _start(gateway, lease, draft, batch)


def segments(first_line: int, last_line: int, lines: int, *, indexed_to: int | None = None) -> list[tuple[int, int]]:
    """(first, last) line number of each segment. Blank lines leave gaps, so a segment may hold fewer lines.

    None has lines both up to number `indexed_to` and after it.
    """
    size = min(MAX_SEGMENT_LINES, max(MIN_SEGMENT_LINES, -(-lines // SEGMENTS_PER_BATCH)))
    middle = last_line if indexed_to is None else indexed_to
    parts = ((first_line, middle), (middle + 1, last_line))
    return [(first, min(first + size - 1, end)) for start, end in parts for first in range(start, end + 1, size)]


def delete_lines(gateway: Gateway, lease: Lease, *, statuses: Sequence[str] = STATUSES) -> Generator[None]:
    """Delete the lines of a claimed batch that never ran, a slice at a time. Raises LeaseLostError."""
    while True:
        with gateway.database.write() as connection:
            # Whoever has the lease meanwhile may be writing them.
            require(work.hold(connection, lease, statuses=statuses, lease_ms=lease_ms(gateway.settings)))
            if batch_lines.delete_lines(connection, lease.id, limit=SLICE_LINES) < SLICE_LINES:
                break
        yield
    yield from forget_names(gateway, lease, statuses=statuses)


def forget_names(gateway: Gateway, lease: Lease, *, statuses: Sequence[str] = STATUSES) -> Generator[None]:
    """Forget which files the lines of a claimed batch name, none of which is sent any more. Raises LeaseLostError."""
    while True:
        with gateway.database.read() as connection:
            if not named_files.any_of(connection, lease.id):
                return
        with gateway.database.write() as connection:
            require(work.hold(connection, lease, statuses=statuses, lease_ms=lease_ms(gateway.settings)))
            named_files.drop(connection, lease.id, limit=SLICE_LINES)
        yield


def _cutter(gateway: Gateway, batch: BatchFacts, files: LineFiles) -> JobCutter | None:
    if batch.execution != "provider":
        return None
    account = gateway.accounts.by_id(batch.account_id)
    if account is None:
        raise UnavailableError("The account of the batch has been removed.")
    return JobCutter(account, batch.endpoint, batch.model_override, files)


def _read(gateway: Gateway, lease: Lease, batch: BatchFacts, draft: _Draft, key: str) -> Generator[None]:
    settings = gateway.settings
    splitter = LineSplitter(max_line_bytes=settings.max_line_bytes, max_lines=settings.max_input_lines)
    try:
        for data in gateway.blobs.stream(key):
            for line in splitter.feed(data):
                _add(draft, line, batch=batch, max_line_bytes=settings.max_line_bytes)
                if len(draft.rows) >= SLICE_LINES and draft.ids is None:
                    _write(gateway, lease, draft)
                if draft.named.due >= SLICE_LINES:
                    _note_named(gateway, lease, draft)
                if _is_hopeless(gateway, draft):
                    return
            if splitter.held_bytes <= MAX_HELD_BYTES:
                yield
        for line in splitter.finish():
            _add(draft, line, batch=batch, max_line_bytes=settings.max_line_bytes)
    except TooManyLinesError:
        draft.findings.append(rules.too_many_lines(settings.max_input_lines))
    if draft.ids is None:
        _write(gateway, lease, draft)
    _note_named(gateway, lease, draft)


def _is_hopeless(gateway: Gateway, draft: _Draft) -> bool:
    """True when the batch will fail, and what else is wrong with its input need not be found out."""
    max_lines = gateway.settings.max_batch_lines
    return len(draft.findings) >= MAX_FINDINGS or bool(max_lines and draft.lines > max_lines)


def _add(draft: _Draft, line: jsonl.Line, *, batch: BatchFacts, max_line_bytes: int) -> None:
    checked = rules.read(line.data, number=line.number, max_line_bytes=max_line_bytes)
    row = checked if isinstance(checked, Finding) else _fit(draft, line, checked, batch)
    if isinstance(row, Finding):
        draft.findings.append(row)
        return
    draft.lines += 1
    draft.first_line = draft.first_line or line.number
    draft.last_line = line.number
    if draft.ids is None:
        draft.rows.append(row)
        return
    if len(draft.rows) < SLICE_LINES:
        draft.rows.append(row)
    if row.custom_id in draft.ids:
        draft.repeated.append(DuplicateId(row.line, row.custom_id))
    draft.ids.add(row.custom_id)


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
    misfit = misfit or draft.named.check(checked, line.data or b"", number=line.number)
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
        error_code=bounds.optional_word(added.held_back, "code"),
        wire_id=added.wire_id,
        dropped_fields=",".join(bounds.fields(added.dropped)) or None,
        model=None if batch.model_override or checked.model == draft.model else checked.model,
    )


def _write(gateway: Gateway, lease: Lease, draft: _Draft) -> None:
    rows, draft.rows = draft.rows, []
    if not rows or draft.findings:
        return  # a batch that will fail needs no lines
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        new_lines.insert_lines(connection, lease.id, rows)
    failpoints.hit("plan.between_slices")


def _note_named(gateway: Gateway, lease: Lease, draft: _Draft) -> None:
    """Keep the files that lines name while the batch needs them."""
    if draft.findings or not draft.named.due:
        return
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        draft.findings += draft.named.note(connection, lease.id)


def _check_whole(gateway: Gateway, lease: Lease, draft: _Draft) -> Generator[None]:
    max_lines = gateway.settings.max_batch_lines
    if not draft.lines and not draft.findings:
        draft.findings.append(Finding("empty_file", "The input file has no lines.", None, None))
    elif max_lines and draft.lines > max_lines:
        text = f"The input file has more than {max_lines} lines, the most that this gateway accepts. Split the file."
        draft.findings.append(Finding("maximum_requests_exceeded", text, None, None))
    elif not draft.findings:
        yield from _find_duplicates(gateway, lease, draft)
        too_few = None if draft.cutter is None else draft.cutter.finish()
        if too_few is not None:
            draft.findings.append(too_few)


def _find_duplicates(gateway: Gateway, lease: Lease, draft: _Draft) -> Generator[None]:
    found = {duplicate.line: duplicate for duplicate in draft.repeated[:MAX_FINDINGS]}
    first_id = "" if draft.ids is None else None
    while first_id is not None and len(found) < MAX_FINDINGS:
        yield
        with gateway.database.read() as connection:
            duplicates, first_id = batch_lines.duplicates(
                connection, lease.id, first_id=first_id, slice_lines=DUPLICATES_SLICE_LINES, limit=MAX_FINDINGS
            )
        found |= {duplicate.line: duplicate for duplicate in duplicates}
    for duplicate in found.values():
        text = f"The custom_id {duplicate.custom_id!r:.100} is used by an earlier line."
        draft.findings.append(Finding("duplicate_custom_id", text, "custom_id", duplicate.line))


def _start_at_once(gateway: Gateway, lease: Lease, batch: BatchFacts, known: InputFacts) -> bool:
    """Start a batch with the first lines of a valid input. False when its bytes are not those that were valid."""
    places = quick.first_places(gateway, batch, known)
    if not places:
        return False
    failpoints.hit("plan.before_commit")
    indexed_to = places[-1][0]
    spans = segments(known.first_line, known.last_line, known.lines, indexed_to=indexed_to)
    model = batch.model_override or known.model or ""
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        new_lines.insert_places(connection, lease.id, places)
        work.start(connection, lease, model=model, lines=known.lines, segments=spans, indexed_to=indexed_to)
        prices.freeze(connection, lease.id)
    failpoints.hit("plan.between_slices")
    _log_start(gateway, batch, parts=len(spans), model=model, lines=known.lines)
    return True


def _start(gateway: Gateway, lease: Lease, draft: _Draft, batch: BatchFacts) -> None:
    model = batch.model_override or draft.model or ""
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        if draft.cutter is None:
            spans = segments(draft.first_line, draft.last_line, draft.lines)
            indexed_to = draft.last_line
            if draft.rows:
                new_lines.insert_lines(connection, lease.id, draft.rows)
                indexed_to = draft.last_line if len(draft.rows) == draft.lines else draft.rows[-1].line
            work.start(connection, lease, model=model, lines=draft.lines, segments=spans, indexed_to=indexed_to)
            parts = len(spans)
        else:
            jobs = draft.cutter.jobs(marker=batch.public_id, input_bytes=batch.input_bytes)
            work.start_jobs(connection, lease, model=model, lines=draft.lines, jobs=jobs)
            parts = len(jobs)
        prices.freeze(connection, lease.id)
    failpoints.hit("plan.between_slices")
    _log_start(gateway, batch, parts=parts, model=model, lines=draft.lines)


def _log_start(gateway: Gateway, batch: BatchFacts, *, parts: int, model: str, lines: int) -> None:
    gateway.log.info(
        "batch.started", batch=batch.public_id, execution=batch.execution, parts=parts, model=model, lines=lines
    )


def _fail(gateway: Gateway, lease: Lease, batch: BatchFacts, findings: list[Finding]) -> Generator[None]:
    yield from delete_lines(gateway, lease)
    errors = [finding.as_dict() for finding in sorted(findings, key=lambda finding: finding.line or 0)]
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        work.fail(connection, lease, errors=errors[:MAX_FINDINGS])
    gateway.metrics.count(declared.BATCHES_ENDED, "failed")
    first = errors[0]
    of = {"batch": batch.public_id, "line": first["line"], "findings": len(errors)}
    gateway.log.info("batch.failed", **of, code=first["code"], reason=first["message"])
