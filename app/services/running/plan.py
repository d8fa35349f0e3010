"""What a new batch becomes: every line checked and indexed, then cut into segments for the gateway, or into jobs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.data.access import keys
from app.data.batches import retention, work
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
MOST_FINDINGS = 100
# A batch gives each of several workers some of it, and a segment is worth its claim.
SEGMENTS_WANTED = 8
SHORTEST_SEGMENT = 16
LONGEST_SEGMENT = 512
STATUSES = ("validating",)


@dataclass(slots=True)
class _Plan:
    """What reading the input has found so far. `cutter` is there when the provider runs the batch."""

    models: LineModels
    cutter: JobCutter | None = None
    lines: int = 0
    first_line: int = 0
    last_line: int = 0
    model: str | None = None
    findings: list[Finding] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def plan(gateway: Gateway, lease: Lease) -> None:
    """Index the lines of a claimed batch and start it, or fail it with what is wrong. Raises LeaseLostError."""
    with gateway.database.read() as connection:
        facts = work.facts(connection, lease.id)
        allowed = keys.models_of(connection, facts.key_id)
    forget_lines(gateway, lease.id)  # of a worker that died while it planned
    found = _Plan(LineModels(allowed, facts.provider, facts.model_override), cutter=_cutter(gateway, facts))
    if facts.input_key is None:
        found.findings.append(Finding("invalid_request", "The input file is gone.", "file_id", None))
    else:
        for line in _lines(gateway, facts.input_key):
            _add(found, line, facts=facts, max_line_bytes=gateway.settings.max_line_bytes)
            if len(found.rows) >= SLICE_LINES:
                _write(gateway, lease, found)
            if len(found.findings) >= MOST_FINDINGS:
                break
        _write(gateway, lease, found)
        _check_whole(gateway, lease, found)
    failpoints.hit("plan.before_commit")
    if found.findings:
        _fail(gateway, lease, found)
    else:
        _start(gateway, lease, found, facts)


def segments(first_line: int, last_line: int, lines: int) -> list[tuple[int, int]]:
    """(first, last) line number of each segment. Blank lines leave gaps, so a segment may hold fewer lines."""
    size = min(LONGEST_SEGMENT, max(SHORTEST_SEGMENT, -(-lines // SEGMENTS_WANTED)))
    return [(first, min(first + size - 1, last_line)) for first in range(first_line, last_line + 1, size)]


def _lines(gateway: Gateway, key: str) -> Iterator[jsonl.Line]:
    return jsonl.lines(gateway.blobs.stream(key), max_line_bytes=gateway.settings.max_line_bytes)


def _cutter(gateway: Gateway, facts: Any) -> JobCutter | None:
    if facts.execution != "provider":
        return None
    account = gateway.accounts.by_id(facts.account_id)
    if account is None:
        raise UnavailableError("The account of the batch is gone.")
    return JobCutter(account, facts.endpoint, facts.model_override)


def _add(found: _Plan, line: jsonl.Line, *, facts: Any, max_line_bytes: int) -> None:
    checked = rules.read(line.data, number=line.number, max_line_bytes=max_line_bytes)
    row = checked if isinstance(checked, Finding) else _fit(found, line, checked, facts)
    if isinstance(row, Finding):
        found.findings.append(row)
        return
    found.lines += 1
    found.first_line = found.first_line or line.number
    found.last_line = line.number
    found.rows.append(row)


def _fit(found: _Plan, line: jsonl.Line, checked: LineFacts, facts: Any) -> Finding | dict[str, Any]:
    """The row of a right line, or why it is not right for this batch."""
    mixed = found.cutter is not None and not found.cutter.account.abilities.jobs.single_model
    misfit = rules.fits(
        checked,
        number=line.number,
        endpoint=facts.endpoint,
        model=None if mixed else found.model,
        override=facts.model_override,
    )
    misfit = misfit or found.models.check(checked, number=line.number)
    if misfit is not None:
        return misfit
    added = Added() if found.cutter is None else found.cutter.add(line, checked)
    if isinstance(added, Finding):
        return added
    found.model = found.model or checked.model
    return {
        "line": line.number,
        "custom_id": checked.custom_id,
        "request_offset": line.offset,
        "request_bytes": line.length,
        "error_code": added.held_back,
        "wire_id": added.wire_id,
        "dropped_fields": ",".join(added.dropped) or None,
        "model": None if facts.model_override or checked.model == found.model else checked.model,
    }


def _write(gateway: Gateway, lease: Lease, found: _Plan) -> None:
    rows, found.rows = found.rows, []
    if not rows or found.findings:
        return  # a batch that will fail needs no lines
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        work.insert_lines(connection, [{"batch_id": lease.id, "state": "pending", **row} for row in rows])
    failpoints.hit("plan.between_slices")


def _check_whole(gateway: Gateway, lease: Lease, found: _Plan) -> None:
    most = gateway.settings.max_batch_lines
    if not found.lines and not found.findings:
        found.findings.append(Finding("empty_file", "The input file has no lines.", None, None))
    elif most and found.lines > most:
        text = f"The input file has {found.lines} lines; this gateway takes {most}."
        found.findings.append(Finding("maximum_requests_exceeded", text, None, None))
    elif not found.findings:
        with gateway.database.read() as connection:
            repeated = work.duplicates(connection, lease.id, limit=MOST_FINDINGS)
        found.findings += [
            Finding(
                "duplicate_custom_id",
                f"The custom_id {row.custom_id!r:.100} is used by an earlier line.",
                "custom_id",
                row.line,
            )
            for row in repeated
        ]
        short = None if found.cutter is None else found.cutter.finish()
        if short is not None:
            found.findings.append(short)


def _start(gateway: Gateway, lease: Lease, found: _Plan, facts: Any) -> None:
    start: dict[str, Any] = {"model": facts.model_override or found.model or "", "lines": found.lines}
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        if found.cutter is None:
            parts: list[Any] = segments(found.first_line, found.last_line, found.lines)
            work.start(connection, lease, segments=parts, **start)
        else:
            parts = found.cutter.columns(marker=facts.public_id, input_bytes=facts.input_bytes)
            work.start_jobs(connection, lease, jobs=parts, **start)
        prices.freeze(connection, lease.id)
    gateway.log.info("batch.started", batch=lease.id, execution=facts.execution, parts=len(parts), **start)


def _fail(gateway: Gateway, lease: Lease, found: _Plan) -> None:
    errors = [finding.as_dict() for finding in sorted(found.findings, key=lambda finding: finding.line or 0)]
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        work.fail(connection, lease, errors=errors[:MOST_FINDINGS])
    gateway.log.info("batch.failed", batch=lease.id, findings=len(errors), code=errors[0]["code"])
    forget_lines(gateway, lease.id)


def forget_lines(gateway: Gateway, batch_id: int) -> None:
    """Remove the lines of a batch that never ran, a slice at a time."""
    while True:
        with gateway.database.write() as connection:
            if retention.drop_lines(connection, batch_id, limit=SLICE_LINES) < SLICE_LINES:
                return
