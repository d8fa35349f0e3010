"""Harvesting: the results of a job are written into chunks, line by line, before its provider forgets them."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from app.connectors.contract.errors import (
    AnswerTooLargeError,
    MissingError,
    RefusedError,
    UpstreamError,
    UpstreamServerError,
)
from app.connectors.contract.objects import JobResult, NativeJob
from app.connectors.contract.refusals import Kind, classify
from app.data.batches import job_facts, jobs, segments
from app.data.batches import lines as batch_lines
from app.data.batches.job_facts import JobFacts
from app.data.batches.jobs import NOW, JobLease
from app.data.batches.lines import LineOfJob
from app.engine.outcomes import BAD_ANSWER, GATEWAY_ERROR, Line, Result
from app.lib import bounds, failpoints, ids, json
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.gateway import Gateway
from app.services.jobs import transition
from app.services.jobs.cut import UNSUPPORTED_ID
from app.services.jobs.input import Encoder, Requests, line_number
from app.services.leases import lease_ms
from app.services.line_files import line_files
from app.services.line_files.line_files import LineFiles
from app.services.lines import chunks, dialects, file_refs, line_tokens, rules, send
from app.services.lines.chunks import ChunkOwner, Counts
from app.services.lines.output import UNEXECUTED_CODES, answered_line, line_id
from app.services.money import charge
from app.translate.errors import TranslationError
from app.translate.neutral import EmbeddingAnswer, size_of

CHUNK_LINES, MAX_NAMED = 1000, 3
KIND = ("harvest", "provider")  # of chunks: their fail points, and the execution
FLOAT_BYTES = 32  # an object and its place in a list
ANSWER_BYTES = 1000  # an answer without its texts
MISSING = ("missing_result", "The provider ended the job without a result for this line.")
UNREAD = "The provider gave no result for this line, but {} row(s) that cannot be read; the first: {}"
UNSUPPORTED = (UNSUPPORTED_ID, "This line names an object of a provider's account, which the gateway does not pass on.")
# Results that are missing at the provider are asked for this many times.
MAX_MISSING_LOOKS = 5
# No provider keeps results for longer.
RESULTS_KEPT_MS = 30 * 24 * 3600 * 1000


@dataclass(slots=True)
class _Harvest:
    """A job whose results come in. `named` are results for a line, `repeated` those for one that has a result,
    `strangers` those for no line, `unread` rows that name none, and `why` what is wrong with the first of them."""

    gateway: Gateway
    lease: JobLease
    facts: JobFacts
    segment_id: int
    account: Account | None
    requests: Requests
    named: int = 0
    strangers: int = 0
    repeated: int = 0
    unread: int = 0
    why: str = ""
    held: list[JobResult] = field(default_factory=list)
    held_bytes: int = 0


def harvest(gateway: Gateway, lease: JobLease) -> None:
    """Write the results of a job that has ended. Raises LeaseLostError, and what the blob store raises."""
    with gateway.database.read() as connection:
        facts = job_facts.find(connection, lease.id)
        segment_id = segments.of_job(connection, facts.batch_id, first=facts.first_line)
    account, reason = gateway.accounts.by_id(facts.account_id), MISSING
    with closing(Requests(gateway.blobs, facts)) as requests:
        work = _Harvest(gateway, lease, facts, segment_id, account, requests)
        try:
            if facts.native_id is not None:
                _read_results(work)
        except UpstreamError as error:
            if not _is_last_look(work, error):
                transition.postpone(gateway, lease, facts, error, at_least_s=error.retry_after_s or 0.0)
                return
            gateway.log.error("job.results_gone", batch=facts.public_id, job=facts.number, reason=error.message)
            _note_unknown_cost(work)
            if provider_errors.is_credential(error):
                reason = (send.CREDENTIAL_CODE, send.CREDENTIAL_MESSAGE)
            elif not isinstance(error, MissingError):
                reason = (bounds.word(error.code, "code"), error.message)
        if reason == MISSING and work.unread:
            reason = (
                BAD_ANSWER,
                UNREAD.format(work.unread, work.account.connector.hide(work.why) if work.account else work.why),
            )
        _write_missing(work, reason)
    _done(work)


def give_up(gateway: Gateway, lease: JobLease, facts: JobFacts, why: str) -> None:
    """End a job whose results cannot be written: its lines without one fail with the reason. Raises LeaseLostError."""
    with gateway.database.read() as connection:
        segment_id = segments.of_job(connection, facts.batch_id, first=facts.first_line)
    with closing(Requests(gateway.blobs, facts)) as requests:
        work = _Harvest(gateway, lease, facts, segment_id, None, requests)
        _note_unknown_cost(work)
        _write_missing(work, (GATEWAY_ERROR, why))
    _done(work)


def _is_last_look(work: _Harvest, error: UpstreamError) -> bool:
    """True when it makes no sense to ask for the results again after this error.

    An answer that says the same each time is asked for a few times, a provider that is away for as long as any provider
    keeps results.
    """
    facts = work.facts
    refused = isinstance(error, RefusedError) and not provider_errors.waits(error, provider=facts.provider)
    if refused or isinstance(error, AnswerTooLargeError) or error.code == BAD_ANSWER:
        return facts.faults + 1 >= MAX_MISSING_LOOKS
    return work.gateway.clock.now_ms() - (facts.ended_at or facts.expires_at) > RESULTS_KEPT_MS


def _done(work: _Harvest) -> None:
    gateway, facts = work.gateway, work.facts
    transition.move(gateway, work.lease, state="done", done_at=NOW, last_error=None, faults=0)
    gateway.log.info(
        "job.done",
        batch=facts.public_id,
        job=facts.number,
        status=facts.status,
        strangers=work.strangers,
        repeated=work.repeated,
        unread=work.unread,
    )


def native_job(facts: JobFacts, account: Account) -> NativeJob:
    """The job as its connector knows it."""
    return NativeJob(
        id=facts.made_id,
        status=facts.status or "",
        native_status=facts.native_status or "",
        marker=facts.marker,
        input_id=facts.input_native_id,
        output_id=facts.output_native_id,
        error_id=facts.error_native_id,
        endpoint=dialects.spoken(facts.endpoint, account.abilities.jobs.endpoints),
        model=account.native_model(facts.model),
        ended_at=facts.ended_at,
        total=facts.native_total,
        completed=facts.native_completed,
        failed=facts.native_failed,
    )


def _read_results(work: _Harvest) -> None:
    if work.account is None:
        raise UpstreamError("The account of this job has been removed.", sent=False)
    try:
        for result in work.account.connector.results(native_job(work.facts, work.account)):
            work.held.append(result)
            work.held_bytes += _size(result)
            if work.held_bytes >= work.gateway.settings.chunk_bytes or len(work.held) >= CHUNK_LINES:
                _flush(work)
    except UpstreamError:
        _flush(work)  # what came before the error is good
        raise
    _flush(work)
    if not work.named and (work.strangers or _has_results(work.facts)):
        raise UpstreamServerError("No row of the provider's results is for a line of this job.", code=BAD_ANSWER)


def _has_results(facts: JobFacts) -> bool:
    """True of a job that must have results: lines succeeded, or there is a file and its provider does not count."""
    if facts.native_completed is None:
        return facts.status == "completed" and facts.output_native_id is not None
    return facts.native_completed > 0 and (facts.status == "completed" or facts.output_native_id is not None)


def _size(result: JobResult) -> int:
    """About how many bytes of memory a result takes."""
    answer = result.answer
    held = len(result.body) + len(result.message)
    if isinstance(answer, EmbeddingAnswer):
        return held + sum(map(len, answer.vectors)) * FLOAT_BYTES
    if answer is None:
        return held
    return held + ANSWER_BYTES + sum(size_of(part) for choice in answer.choices for part in choice.parts)


def _flush(work: _Harvest) -> None:
    """Write the held results, except for lines that have one already: those were written before a crash."""
    held, work.held, work.held_bytes = work.held, [], 0
    lines = _lines_of(work, held)
    results: dict[int, Result] = {}
    for result in held:
        row = lines.get(result.custom_id)
        work.named += row is not None
        if row is None and not result.custom_id:
            _note_unread(work, result)
        elif row is None:
            work.strangers += 1
            work.gateway.log.warning(
                "job.stranger", batch=work.facts.public_id, job=work.facts.number, custom_id=result.custom_id[:100]
            )
        elif row.state != "pending" or row.line in results:
            work.repeated += 1
        elif UNEXECUTED_CODES.get(work.facts.status or "") != result.error_code or result.error_code is None:
            results[row.line] = _result(work, row, _translated(work, row, result))
    if results:
        _write(work, list(results.values()))
    failpoints.hit("job.during_harvest")


def _note_unread(work: _Harvest, result: JobResult) -> None:
    if not work.unread:
        facts = work.facts
        work.gateway.log.warning("job.row_unread", batch=facts.public_id, job=facts.number, reason=result.message)
    work.unread += 1
    work.why = work.why or result.message


def _lines_of(work: _Harvest, held: Sequence[JobResult]) -> dict[str, LineOfJob]:
    """The lines that results belong to, by the id that the provider has for them."""
    facts = work.facts
    first, last = facts.first_line, facts.last_line
    wire_ids = [result.custom_id for result in held] if facts.rewritten else []
    numbers = {number: wire_id for wire_id in wire_ids if (number := line_number(wire_id)) is not None}
    own_ids = {result.custom_id for result in held} - set(numbers.values())
    lines: dict[str, LineOfJob] = {}
    with work.gateway.database.read() as connection:
        if own_ids:
            rows = batch_lines.by_custom_id(connection, facts.batch_id, own_ids, first=first, last=last)
            lines |= {row.custom_id: row for row in rows}
        if numbers:
            rows = batch_lines.by_number(connection, facts.batch_id, numbers, first=first, last=last)
            lines |= {numbers[row.line]: row for row in rows}
    return lines


def _translated(work: _Harvest, row: LineOfJob, result: JobResult) -> JobResult:
    """The result of a line in the dialect of its request."""
    facts, account = work.facts, work.account
    if account is None:
        return result
    ended_at = facts.ended_at or work.gateway.clock.now_ms()
    return dialects.incoming(
        result,
        endpoint=facts.endpoint,
        target=dialects.spoken(facts.endpoint, account.abilities.jobs.endpoints),
        request=lambda: rules.body_of(json.loads(work.requests.read(row))),
        answer_id=line_id(facts.public_id, row.line).removeprefix(ids.LINE),
        model=facts.model,
        now_s=ended_at // 1000,
    )


def _without_secrets(work: _Harvest, result: JobResult) -> JobResult:
    """A failed result as it may be shown: what the provider says of the failure may repeat the account's key."""
    if work.account is None or (result.status_code is not None and result.status_code < 400):
        return result
    if result.status_code and _is_of_credential(work, result):
        return JobResult(result.custom_id, error_code=send.CREDENTIAL_CODE, message=send.CREDENTIAL_MESSAGE)
    hide = work.account.connector.hide
    body = json.dumps(hide(json.loads(result.body))) if result.body else result.body
    code = None if result.error_code is None else hide(result.error_code)
    return replace(result, body=body, error_code=code, message=hide(result.message), request_id=hide(result.request_id))


def _is_of_credential(work: _Harvest, result: JobResult) -> bool:
    """True when the provider refused the operator's key, which is no business of the line's owner."""
    value = json.loads(result.body) if result.body else None
    error = value.get("error") if isinstance(value, dict) else None
    fields = error if isinstance(error, dict) else {}
    return classify(work.facts.provider, result.status_code or 0, fields) is Kind.CREDENTIAL


def _result(work: _Harvest, row: LineOfJob, result: JobResult) -> Result:
    written = _written(work, row, result)
    endpoint = work.facts.endpoint
    if work.facts.input_key is None or not charge.is_charged(written):
        return written
    if line_tokens.is_told(written.tokens, endpoint, result.body or b"{}"):
        return written
    data, default = work.requests.read(row), work.gateway.settings.default_output_tokens
    body, of_files = rules.body_of(json.loads(data)), 0
    if file_refs.may_name(data):
        of_files = _files(work).tokens(file_refs.find(endpoint, body))
    return replace(written, most=line_tokens.most_of(body, endpoint, default_output=default, of_files=of_files))


def _files(work: _Harvest) -> LineFiles:
    return line_files.of_job(work.gateway, work.facts, worker=work.lease.worker)


def _written(work: _Harvest, row: LineOfJob, result: JobResult) -> Result:
    batch = work.facts.public_id
    result = _without_secrets(work, result)
    line = Line(number=row.line, custom_id=row.custom_id, offset=0, length=0, attempts=1)
    if result.status_code is None:
        code = result.error_code or "provider_error"
        ended = send.refused(batch, line, code=code, message=result.message or "The provider gave no reason.")
        return replace(ended, tokens=send.tokens(result.usage))
    data = answered_line(
        batch,
        row.line,
        row.custom_id,
        status_code=result.status_code,
        request_id=result.request_id or line_id(batch, row.line),
        body=result.body,
    )
    succeeded = 200 <= result.status_code < 300
    return Result(
        line=line,
        succeeded=succeeded,
        data=data,
        status_code=result.status_code,
        error_code=None if succeeded else send.error_code(result.body),
        tokens=send.tokens(result.usage),
    )


def _write(work: _Harvest, results: Sequence[Result], *, answered: bool = True) -> None:
    lease = work.lease

    def hold(connection: Connection) -> bool:
        return jobs.hold(connection, lease, lease_ms=lease_ms(work.gateway.settings))

    def count(connection: Connection, counts: Counts) -> None:
        jobs.count(connection, lease, answered=answered, **counts)

    owner = ChunkOwner(lease.batch_id, work.facts.public_id, work.segment_id, lease.epoch, hold, count, *KIND)
    chunks.write(work.gateway, owner, results)


def _note_unknown_cost(work: _Harvest) -> None:
    """The provider ran the job, and its results are missing: record that their cost is not known."""
    gateway, lease, attempt = work.gateway, work.lease, work.facts.attempt
    with gateway.database.write() as connection:
        charge.note_job(connection, gateway, lease.batch_id, job_id=lease.id, attempt=attempt, has_run=True)


def _write_missing(work: _Harvest, reason: tuple[str, str]) -> None:
    """End the lines that the provider gave no result, unless the end of the batch does it (expired, cancelled)."""
    with work.gateway.database.read() as connection:
        facts = job_facts.find(connection, work.lease.id)
        alone = len(job_facts.of_batch(connection, facts.batch_id)) == 1
    if facts.status == "failed" and alone:
        return  # the batch fails as a whole, with its `errors`
    if facts.errors and reason == MISSING:
        reason = (str(facts.errors[0]["code"] or MISSING[0]), str(facts.errors[0]["message"] or MISSING[1]))
    only_held_back = facts.status in UNEXECUTED_CODES
    first = facts.first_line
    while True:
        with work.gateway.database.read() as connection:
            rows = batch_lines.pending(
                connection,
                facts.batch_id,
                first=first,
                last=facts.last_line,
                only_held_back=only_held_back,
                limit=CHUNK_LINES,
            )
        if rows:
            _write(work, [_missing(work, row, reason) for row in rows], answered=False)
            first = rows[-1].line + 1
        if len(rows) < CHUNK_LINES:
            return


def _missing(work: _Harvest, row: LineOfJob, reason: tuple[str, str]) -> Result:
    line = Line(number=row.line, custom_id=row.custom_id, offset=0, length=0)
    if row.error_code is None or row.error_code == UNSUPPORTED_ID:
        code, message = reason if row.error_code is None else UNSUPPORTED
        return send.refused(work.facts.public_id, line, code=code, message=message)
    return send.untranslatable(work.facts.public_id, line, _refusal(work, row))


def _refusal(work: _Harvest, row: LineOfJob) -> TranslationError:
    """Why the line was never sent. SQL keeps only the code, so the line is translated again for the message."""
    facts, data = work.facts, work.requests.read(row)
    line = rules.facts_of(json.loads(data))
    references = file_refs.find(facts.endpoint, line.body) if file_refs.may_name(data) else []
    if work.account is not None:
        try:
            Encoder(work.account, facts.endpoint, facts.model_override, _files(work)).draft(
                row.line, row.custom_id, data, line, references
            )
        except TranslationError as error:
            return error
    if references:
        named = ", ".join(reference.file_id[:100] for reference in references[:MAX_NAMED])
        text = f"the provider does not take a file that this line names ({named})."
        return TranslationError(references[0].path, text, code=row.error_code or "")
    return TranslationError("body", "the provider's dialect cannot express this request.", code=row.error_code or "")
