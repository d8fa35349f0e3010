"""Adopting batches that a provider runs, or ran, for others: they join a project, together with their input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError
from app.connectors.contract.objects import NativeJob
from app.data.access import keys
from app.data.batches import batches, job_facts, jobs, new_lines
from app.data.batches.batches import Batch
from app.data.batches.jobs import NewJob
from app.data.batches.new_lines import NewLine
from app.data.files import files
from app.data.money import budgets
from app.engine.parts import JOBS
from app.errors import InvalidRequestError, UnsupportedOperationError
from app.lib import ids, jsonl
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.batches.create import DEFAULT_WINDOW, PROVIDER, PURPOSE, window_ms
from app.services.blobs import IncomingBlob, incoming
from app.services.files.adoption import ADOPTED, KNOWN, NEW
from app.services.gateway import Gateway
from app.services.jobs.input import OPENAI
from app.services.lines import rules
from app.services.lines.rules import LineFacts
from app.services.money import prices

# A job whose lines are unknown: its input is deleted, or not a valid batch input.
UNREADABLE = "unreadable"
SLICE_LINES = 1000


@dataclass(frozen=True, slots=True)
class Selection:
    """What to adopt, and into which project: all jobs of an account, or those with the given native ids."""

    project: str
    provider: str
    account: str | None = None
    native_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job at the provider. `state`: new, known (a batch has it already), unreadable, or adopted (as `batch_id`)."""

    native: NativeJob
    account: str
    state: str
    batch_id: str | None = None


def candidates(gateway: Gateway, selection: Selection) -> Iterator[Candidate]:
    """The selected jobs that the provider has, page by page.

    Raises InvalidRequestError without a usable account, UnsupportedOperationError if the provider returns no inputs,
    and the GatewayError that matches the provider's failure.
    """
    account = _account(gateway, selection)
    with provider_errors.translated(gateway, provider=account.provider, account=account.name):
        for page in _pages(account, selection):
            with gateway.database.read() as connection:
                known = job_facts.held_native_ids(connection, account.id, [job.id for job in page])
            for job in page:
                yield Candidate(job, account.name, KNOWN if job.id in known else NEW)


def adopt(gateway: Gateway, selection: Selection, candidate: Candidate) -> Candidate:
    """Create a batch of the project whose job is `candidate`, and a file with its input."""
    account, native = _account(gateway, selection), candidate.native
    with incoming(gateway) as blob:
        with provider_errors.translated(gateway, provider=account.provider, account=account.name):
            has_input = _fetch_input(account, native, blob)
        if has_input:
            blob.seal()
        lines, model = _index(gateway, blob.key) if has_input else ([], None)
        if not lines:
            blob.abort()
            return replace(candidate, state=UNREADABLE)
        with gateway.database.write() as connection:
            if job_facts.held_native_ids(connection, account.id, [native.id]):
                blob.abort()
                return replace(candidate, state=KNOWN)
            public_id = _insert(connection, selection, account, native, blob, lines, native.model or model or "")
    gateway.hints.send(JOBS)
    gateway.log.info("batch.adopted", batch=public_id, native_id=native.id, project=selection.project)
    return replace(candidate, state=ADOPTED, batch_id=public_id)


def _fetch_input(account: Account, native: NativeJob, blob: IncomingBlob) -> bool:
    if native.input_id is None:
        return False
    try:
        with account.connector.read_file(native.input_id) as download:
            for data in download.chunks:
                blob.write(data)
    except MissingError:
        return False
    return blob.bytes > 0


def _index(gateway: Gateway, key: str) -> tuple[list[NewLine], str | None]:
    """(all lines, the first model); no lines when one of them is not a valid line of a batch input."""
    lines: list[NewLine] = []
    model: str | None = None
    max_line_bytes = gateway.settings.max_line_bytes
    for line in jsonl.lines(gateway.blobs.stream(key), max_line_bytes=max_line_bytes):
        facts = rules.read(line.data, number=line.number, max_line_bytes=max_line_bytes)
        if not isinstance(facts, LineFacts):
            return [], None
        model = model or facts.model
        other_model = None if facts.model == model else facts.model
        lines.append(NewLine(line.number, facts.custom_id, line.offset, line.length, model=other_model))
    return lines, model


def _insert(
    connection: Connection,
    selection: Selection,
    account: Account,
    native: NativeJob,
    blob: IncomingBlob,
    lines: list[NewLine],
    model: str,
) -> str:
    project_id = keys.ensure_project(connection, selection.project)
    public_id = ids.new(ids.BATCH)
    window = native.window or DEFAULT_WINDOW
    row = batches.NewBatch(
        public_id=public_id,
        project_id=project_id,
        account_id=account.id,
        provider=account.provider,
        execution=PROVIDER,
        endpoint=native.endpoint or "",
        model=model,
        completion_window=window,
        input_file_id=_insert_file(connection, project_id, account, native, blob, lines=len(lines)),
        metadata=dict(native.metadata) or None,
        lines_total=len(lines),
    )
    batch = batches.insert_batch(connection, row, window_ms=window_ms(window))
    _insert_job(connection, batch, account, native, lines)
    budgets.follow(connection, batch_id=batch.id, project_id=batch.project_id, key_id=batch.key_id)
    prices.freeze(connection, batch.id)
    return public_id


def _insert_job(
    connection: Connection, batch: Batch, account: Account, native: NativeJob, lines: list[NewLine]
) -> None:
    for start in range(0, len(lines), SLICE_LINES):
        new_lines.insert_lines(connection, batch.id, lines[start : start + SLICE_LINES])
    job = NewJob(
        account_id=account.id,
        number=1,
        first_line=lines[0].line,
        last_line=lines[-1].line,
        lines=len(lines),
        rewritten=False,
        marker=f"{batch.public_id}-1",
    )
    jobs.insert_running(connection, batch.id, job, native_id=native.id, submitted_at=native.created_at)


def _insert_file(
    connection: Connection, project_id: int, account: Account, native: NativeJob, blob: IncomingBlob, *, lines: int
) -> int:
    blob.settle(connection)
    file_id = files.insert(
        connection,
        public_id=ids.new(ids.FILE),
        project_id=project_id,
        key_id=None,
        home=account.provider,
        purpose=PURPOSE,
        filename=f"{native.id}_input.jsonl"[-255:],
        origin="upload",
        blob_id=blob.id,
        size=blob.bytes,
        sha256=blob.sha256,
        lines=lines,
        expires_after_s=None,
    )
    files.mark_adopted(connection, file_id)
    return file_id


def _account(gateway: Gateway, selection: Selection) -> Account:
    account = gateway.accounts.choose(selection.provider, name=selection.account)
    if account is None:
        which = f" called {selection.account!r:.80}" if selection.account else ""
        raise InvalidRequestError(f"Provider {selection.provider} has no usable account{which}.", param="provider")
    for operation in ("batch_retrieve" if selection.native_ids else "batch_list", "file_content"):
        if account.abilities.support(operation) is not Support.NATIVE:
            raise UnsupportedOperationError(selection.provider, operation)
    if account.abilities.jobs.inline or account.abilities.jobs.dialect != OPENAI:
        hint = "The inputs of its jobs are in a dialect that the gateway can write but not read."
        raise UnsupportedOperationError(selection.provider, "adopting batches", hint)
    return account


def _pages(account: Account, selection: Selection) -> Iterator[list[NativeJob]]:
    if selection.native_ids:
        for native_id in selection.native_ids:
            yield [account.connector.retrieve_job(native_id)]
        return
    after: str | None = None
    while True:
        page = account.connector.list_jobs(after=after)
        yield page.items
        after = page.after
        if after is None:
            return
