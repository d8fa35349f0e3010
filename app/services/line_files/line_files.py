"""Lines that name files: made ready for the account where they run, and refused by name when they cannot be."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from app.blobs import BlobError
from app.connectors.contract.objects import NewFile, Payload
from app.data.batches.job_facts import JobFacts
from app.data.batches.work import BatchFacts
from app.errors import NotFoundError
from app.services.accounts.directory import Account
from app.services.copies import ensure, remote
from app.services.copies.ensure import RAW, CopyBusyError
from app.services.gateway import Gateway
from app.services.line_files import values
from app.services.line_files.look_up import MAX_REMEMBERED, NOT_FOUND, Files, NamedFile, missing
from app.services.lines import file_refs
from app.services.lines.file_refs import Reference
from app.services.lines.send import NotReadyError
from app.translate import media
from app.translate.errors import TranslationError

BATCH = "batch"
# A batch input may be at the account as such, which no line may name there.
NAMED = "named"
VISION, USER_DATA = "vision", "user_data"
# How long a copy is taken to be there without a look at SQL.
LOOK_S = 30.0
# Providers keep some copies for less time than a batch may take: a copy that outlives this is used.
MAX_USE_MS = 24 * 3600 * 1000

Parts = list[tuple[Reference, Mapping[str, Any]]]


def of_batch(gateway: Gateway, batch: BatchFacts, *, worker: str) -> "LineFiles":
    """The files that lines of a batch name."""
    return LineFiles(
        gateway,
        project_id=batch.project_id,
        endpoint=batch.endpoint,
        expires_at=batch.expires_at,
        worker=worker,
    )


def of_job(gateway: Gateway, facts: JobFacts, *, worker: str) -> "LineFiles":
    """The files that lines of a job name."""
    return LineFiles(
        gateway,
        project_id=facts.project_id,
        endpoint=facts.endpoint,
        expires_at=facts.expires_at,
        worker=worker,
    )


class LineFiles:
    """The files that lines of one batch name. Safe to share between threads."""

    def __init__(self, gateway: Gateway, *, project_id: int, endpoint: str, expires_at: int, worker: str) -> None:
        self._gateway = gateway
        self._endpoint = endpoint
        self._expires_at = expires_at
        self._worker = worker
        self._files = Files(gateway, project_id)
        self._lock = threading.Lock()
        self._copies: OrderedDict[tuple[int, int], tuple[float, str]] = OrderedDict()
        self._text_bytes: dict[int, int] = {}

    def find(self, file_id: str) -> NamedFile | None:
        """The project's file with this id, or None."""
        return self._files.find(file_id)

    def tokens(self, references: Sequence[Reference]) -> int:
        """The most tokens of the files that a line names."""
        return self._files.tokens(references)

    def drafted(
        self, account: Account, body: Mapping[str, Any], references: Sequence[Reference]
    ) -> tuple[dict[str, Any], int]:
        """(the body of a line as it will be, but without the files, how many bytes these add to it).

        Raises TranslationError for a line that cannot be sent.
        """
        parts: Parts = []
        added = 0
        for reference, file, by_id in self._ways(account, references):
            if by_id:
                parts.append((reference, values.by_id(reference, file, values.PLACEHOLDER)))
                continue
            added += self._text_size(reference, file) if media.is_text(file.media_type) else values.inlined_bytes(file)
            parts.append((reference, values.inlined(self._endpoint, reference, file, b"")))
        return file_refs.replaced(body, parts), added

    def filled(
        self,
        account: Account,
        body: Mapping[str, Any],
        references: Sequence[Reference],
        *,
        room: Callable[[int], bool] = lambda _: True,
    ) -> tuple[dict[str, Any], list[str]]:
        """(the body of a line as it is sent, the native ids in it).

        `room` is asked before a file is read into memory. Raises NotReadyError when there is none, or while a file is
        on its way to the provider, TranslationError for a line that cannot be sent, and UpstreamError.
        """
        ways = self._ways(account, references)
        needed = sum(values.inlined_bytes(file) for _, file, by_id in ways if not by_id)
        if needed and not room(needed):
            raise NotReadyError("The files of other lines fill the memory; this line waits for room.")
        parts: Parts = []
        used: list[str] = []
        for reference, file, by_id in ways:
            if by_id:
                used.append(self._copy(account, reference, file))
                parts.append((reference, values.by_id(reference, file, used[-1])))
            else:
                data = self._read(self._home(reference, file))
                parts.append((reference, values.inlined(self._endpoint, reference, file, data)))
        return file_refs.replaced(body, parts), used

    def _ways(self, account: Account, references: Sequence[Reference]) -> list[tuple[Reference, NamedFile, bool]]:
        """Each reference with its file, and whether that is named by its id. Raises TranslationError."""
        found = []
        left = self._most(account)
        for reference in references:
            file = self._files.find(reference.file_id)
            if file is None:
                raise TranslationError(reference.path, missing(reference.file_id), code=NOT_FOUND)
            by_id = values.is_by_id(account.abilities, self._endpoint, reference, file)
            left -= 0 if by_id else file.row.bytes
            if left < 0:
                why = f"the files in a line may have {self._most(account)} bytes"
                raise values.refusal(reference, file, why, values.TOO_LARGE)
            found.append((reference, file, by_id))
        return found

    def _most(self, account: Account) -> int:
        own = self._gateway.settings.max_inlined_bytes
        theirs = account.abilities.files.inlined_bytes
        return own if theirs is None else min(own, theirs)

    def _text_size(self, reference: Reference, file: NamedFile) -> int:
        known = self._text_bytes.get(file.row.id)
        if known is not None:
            return known
        if file.key is None:
            return values.inlined_bytes(file)
        size = values.json_bytes(values.text_of(reference, file, self._read(file)))
        if len(self._text_bytes) >= MAX_REMEMBERED:
            self._text_bytes.clear()
        self._text_bytes[file.row.id] = size
        return size

    def _home(self, reference: Reference, file: NamedFile) -> NamedFile:
        """The file once the gateway has its bytes. Raises UpstreamError, and TranslationError when nobody has them."""
        if file.key is not None:
            return file
        try:
            remote.bring_home(self._gateway, file.row)
        except NotFoundError as error:
            raise TranslationError(reference.path, missing(reference.file_id), code=NOT_FOUND) from error
        found = self._files.find(reference.file_id)
        if found is None:
            raise TranslationError(reference.path, missing(reference.file_id), code=NOT_FOUND)
        return found

    def _read(self, file: NamedFile) -> bytes:
        data = b"".join(self._gateway.blobs.stream(file.key or ""))
        if len(data) != file.row.bytes:
            raise BlobError(f"the file {file.row.public_id} has {len(data)} bytes instead of {file.row.bytes}")
        return data

    def _copy(self, account: Account, reference: Reference, file: NamedFile) -> str:
        """The id of the file at the account, where it is made if need be."""
        key, now = (account.id, file.row.id), self._gateway.clock.monotonic()
        with self._lock:
            known = self._copies.get(key)
        if known is not None and known[0] > now:
            return known[1]
        try:
            copy = ensure.ensure(
                self._gateway,
                file_id=file.row.id,
                account=account,
                variant=NAMED if file.row.purpose == BATCH else RAW,
                new=lambda: self._new(account, self._home(reference, file)),
                until_ms=min(self._expires_at, self._gateway.clock.now_ms() + MAX_USE_MS),
                worker=self._worker,
            )
        except CopyBusyError as error:
            raise NotReadyError(f"The file {file.row.public_id} is not ready at the provider: {error}.") from error
        with self._lock:
            self._copies[key] = (now + LOOK_S, copy.native_id)
            if len(self._copies) > MAX_REMEMBERED:
                self._copies.popitem(last=False)
        return copy.native_id

    def _new(self, account: Account, file: NamedFile) -> NewFile:
        key, size = file.key or "", file.row.bytes
        name = file.row.filename
        is_right = media.type_of(name, b"") == file.media_type
        ending = PurePosixPath(name).suffix if is_right else media.ending_of(file.media_type)
        payload = Payload(size, lambda: self._gateway.blobs.stream(key, offset=0, length=size))
        return NewFile(f"file{ending}", _purpose(account, file), payload)


def _purpose(account: Account, file: NamedFile) -> str:
    """What a copy that is made for lines is for, in the provider's word."""
    limits = account.abilities.files
    is_image = file.media_type.startswith("image/")
    if is_image and limits.named_purpose == USER_DATA and VISION in limits.direct:
        return VISION
    return limits.named_purpose
