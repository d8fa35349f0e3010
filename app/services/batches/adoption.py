"""Batches that a provider runs, or ran, and the gateway does not know: brought into a project with their input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError
from app.connectors.contract.objects import NativeJob
from app.data.access import keys
from app.data.batches import batches, jobs, work
from app.data.files import files
from app.data.money import budgets
from app.data.store.database import AnyRow
from app.errors import InvalidRequestError, UnsupportedOperationError
from app.lib import ids, jsonl
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.batches.batches import DEFAULT_WINDOW, PROVIDER, PURPOSE, window_ms
from app.services.blobs import IncomingBlob, incoming
from app.services.files.adoption import ADOPTED, KNOWN, NEW
from app.services.gateway import Gateway
from app.services.jobs.input import OPENAI
from app.services.lines import rules
from app.services.lines.rules import LineFacts
from app.services.money import prices

# A job whose lines can't be told: its input is gone, or not what a batch input is here.
UNREADABLE = "unreadable"
SLICE_LINES = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be adopted: all jobs of an account, or those whose native ids are given."""

    project: str
    provider: str
    account: str | None = None
    native_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job at the provider. `state`: new, known (a batch has it), unreadable, or adopted (as `batch_id`)."""

    native: NativeJob
    account: str
    state: str
    batch_id: str | None = None


def candidates(gateway: Gateway, wanted: Wanted) -> Iterator[Candidate]:
    """What the provider has of what is wanted, page by page. Raises what the provider's failure is for a caller.

    Raises InvalidRequestError without a usable account, UnsupportedOperationError where inputs can't be read back.
    """
    account = _account(gateway, wanted)
    with provider_errors.told(gateway, provider=account.provider, account=account.name):
        for page in _pages(account, wanted):
            with gateway.database.read() as connection:
                known = jobs.held_native_ids(connection, account.id, [job.id for job in page])
            for job in page:
                yield Candidate(job, account.name, KNOWN if job.id in known else NEW)


def adopt(gateway: Gateway, wanted: Wanted, candidate: Candidate) -> Candidate:
    """Make a batch of the project that has `candidate` as its job, and its input as a file of its own."""
    account, native = _account(gateway, wanted), candidate.native
    with incoming(gateway) as blob:
        with provider_errors.told(gateway, provider=account.provider, account=account.name):
            is_there = _bring_input(account, native, blob)
        if is_there:
            blob.seal()
        rows, model = _index(gateway, blob.key) if is_there else ([], None)
        if not rows:
            blob.abort()
            return replace(candidate, state=UNREADABLE)
        with gateway.database.write() as connection:
            if jobs.held_native_ids(connection, account.id, [native.id]):
                blob.abort()
                return replace(candidate, state=KNOWN)
            public_id = _insert(connection, wanted, account, native, blob, rows, native.model or model or "")
    gateway.log.info("batch.adopted", batch=public_id, native_id=native.id, project=wanted.project)
    return replace(candidate, state=ADOPTED, batch_id=public_id)


def _bring_input(account: Account, native: NativeJob, blob: IncomingBlob) -> bool:
    if native.input_id is None:
        return False
    try:
        with account.connector.read_file(native.input_id) as download:
            for data in download.chunks:
                blob.write(data)
    except MissingError:
        return False
    return blob.bytes > 0


def _index(gateway: Gateway, key: str) -> tuple[list[dict[str, object]], str | None]:
    """(rows of batch_lines, the first model); nothing when a line is not one of a batch."""
    rows: list[dict[str, object]] = []
    model: str | None = None
    most = gateway.settings.max_line_bytes
    for line in jsonl.lines(gateway.blobs.stream(key), max_line_bytes=most):
        facts = rules.read(line.data, number=line.number, max_line_bytes=most)
        if not isinstance(facts, LineFacts):
            return [], None
        model = model or facts.model
        rows.append(
            {
                "line": line.number,
                "custom_id": facts.custom_id,
                "request_offset": line.offset,
                "request_bytes": line.length,
                "state": "pending",
                "model": None if facts.model == model else facts.model,
            }
        )
    return rows, model


def _insert(
    connection: Connection,
    wanted: Wanted,
    account: Account,
    native: NativeJob,
    blob: IncomingBlob,
    rows: list[dict[str, object]],
    model: str,
) -> str:
    project_id = keys.ensure_project(connection, wanted.project)
    public_id = ids.new(ids.BATCH)
    window = native.window or DEFAULT_WINDOW
    batch = batches.insert_batch(
        connection,
        window_ms=window_ms(window),
        public_id=public_id,
        project_id=project_id,
        account_id=account.id,
        provider=account.provider,
        execution=PROVIDER,
        endpoint=native.endpoint or "",
        model=model,
        completion_window=window,
        input_file_id=_insert_file(connection, project_id, account, native, blob, lines=len(rows)),
        metadata=dict(native.metadata) or None,
        lines_total=len(rows),
    )
    _insert_job(connection, batch, account, native, rows)
    budgets.follow(connection, batch_id=batch.id, project_id=batch.project_id, key_id=batch.key_id)
    prices.freeze(connection, batch.id)
    return public_id


def _insert_job(
    connection: Connection, batch: AnyRow, account: Account, native: NativeJob, rows: list[dict[str, object]]
) -> None:
    for start in range(0, len(rows), SLICE_LINES):
        lines = rows[start : start + SLICE_LINES]
        work.insert_lines(connection, [{"batch_id": batch.id, **row} for row in lines])
    jobs.insert_running(
        connection,
        batch.id,
        account_id=account.id,
        number=1,
        first_line=rows[0]["line"],
        last_line=rows[-1]["line"],
        lines=len(rows),
        marker=f"{batch.public_id}-1",
        native_id=native.id,
        submitted_at=native.created_at or True,
    )


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


def _account(gateway: Gateway, wanted: Wanted) -> Account:
    account = gateway.accounts.choose(wanted.provider, name=wanted.account)
    if account is None:
        which = f" called {wanted.account!r:.80}" if wanted.account else ""
        raise InvalidRequestError(f"Provider {wanted.provider} has no usable account{which}.", param="provider")
    for operation in ("batch_retrieve" if wanted.native_ids else "batch_list", "file_content"):
        if account.abilities.support(operation) is not Support.NATIVE:
            raise UnsupportedOperationError(wanted.provider, operation)
    if account.abilities.jobs.inline or account.abilities.jobs.dialect != OPENAI:
        hint = "The inputs of its jobs are in a dialect that the gateway only writes."
        raise UnsupportedOperationError(wanted.provider, "adopting batches", hint)
    return account


def _pages(account: Account, wanted: Wanted) -> Iterator[list[NativeJob]]:
    if wanted.native_ids:
        for native_id in wanted.native_ids:
            yield [account.connector.retrieve_job(native_id)]
        return
    after: str | None = None
    while True:
        page = account.connector.list_jobs(after=after)
        yield page.items
        after = page.after
        if after is None:
            return
