"""A gateway on a store in a temporary folder, and batches to run on it."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from sqlalchemy import select

import app as batchgate
from app import migrate
from app.data.tables import batches, blobs, files
from app.lib import jsonl
from app.services.access import keys
from app.services.files.files import NewFile, receiving
from app.services.gateway import Caller
from app.settings import from_environment
from bench.processes import until

CHAT = "/v1/chat/completions"
MODEL = "bench-model"
TERMINAL = ("completed", "failed", "expired", "cancelled")
MAX_LINE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class FinishedBatch:
    """A finished batch. Times are Unix milliseconds."""

    public_id: str
    status: str
    created_at: int
    in_progress_at: int
    completed_at: int
    lines_completed: int
    output_key: str | None

    @property
    def running_s(self) -> float:
        """Seconds from `in_progress` to the complete output file."""
        return (self.completed_at - self.in_progress_at) / 1000

    @property
    def whole_s(self) -> float:
        """Seconds from the response to POST to the complete output file."""
        return (self.completed_at - self.created_at) / 1000


class Store:
    """A migrated SQLite store with one virtual key. The `with` block deletes its folder."""

    def __init__(self, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="batchgate-bench-")
        self.home = Path(self._folder.name)
        self.environment: Mapping[str, str] = {"BATCHGATE_HOME": str(self.home), **environment}
        settings = from_environment({**self.environment, "BATCHGATE_LOG_LEVEL": "error"})
        migrate.upgrade(settings)
        self.gateway = batchgate.build_gateway(settings)
        self.key = keys.create(self.gateway, project="bench", name="bench").key
        self.caller: Caller = keys.authenticate(self.gateway, self.key, request_id="req_bench")
        self._client = batchgate.create_app(gateway=self.gateway).test_client()

    def limited_key(self, **limits: int) -> str:
        """Create another key of the project, with these limits."""
        return keys.create(self.gateway, project="bench", name="limited", limits=limits).key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gateway.database.dispose()
        self._folder.cleanup()

    def put(self, lines: Iterable[bytes]) -> str:
        """Store a batch input the way an upload does; returns its id."""
        new = NewFile(provider="local", purpose="batch", filename="in.jsonl", expires_after_s=None)
        with receiving(self.gateway, new.filename) as incoming:
            for line in lines:
                incoming.write(line)
            return str(incoming.create(self.caller, new).public_id)

    def start(self, file_id: str) -> str:
        """POST a batch for an input file; returns its id."""
        body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
        answer = self._client.post(
            "/v1/batches?provider=local", json=body, headers={"Authorization": f"Bearer {self.key}"}
        )
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        return str(answer.get_json()["id"])

    def wait_for(self, batch_id: str, *, seconds: float) -> FinishedBatch:
        """Wait until the batch has a terminal status."""
        until(lambda: self._row(batch_id).status in TERMINAL, seconds=seconds, poll_s=0.25, what=f"end of {batch_id}")
        row = self._row(batch_id)
        return FinishedBatch(
            public_id=batch_id,
            status=row.status,
            created_at=row.created_at,
            in_progress_at=row.in_progress_at,
            completed_at=row.completed_at,
            lines_completed=row.lines_completed,
            output_key=row.key,
        )

    def custom_ids(self, key: str | None) -> Counter[str]:
        """Count the lines of an output file by custom_id."""
        counts: Counter[str] = Counter()
        for line in self._lines(key):
            counts[line["custom_id"]] += 1
        return counts

    def _lines(self, key: str | None) -> Iterator[dict[str, Any]]:
        if key is None:
            return
        for line in jsonl.lines(self.gateway.blobs.stream(key), max_line_bytes=MAX_LINE_BYTES):
            assert line.data is not None
            yield orjson.loads(line.data)

    def _row(self, batch_id: str) -> Any:
        statement = (
            select(batches, blobs.c.key)
            .outerjoin_from(batches, files, files.c.id == batches.c.output_file_id)
            .outerjoin(blobs, blobs.c.id == files.c.blob_id)
            .where(batches.c.public_id == batch_id)
        )
        with self.gateway.database.read() as connection:
            return connection.execute(statement).one()


def chat_lines(count: int, *, text_bytes: int = 200) -> Iterator[bytes]:
    """Yield chat lines, each with its own custom_id and its own mark, which the fake counts."""
    text = "x" * text_bytes
    for number in range(count):
        messages = [{"role": "user", "content": f"mark-{number} {text}"}]
        body = {"model": MODEL, "messages": messages, "max_tokens": 64}
        line = {"custom_id": f"c{number}", "method": "POST", "url": CHAT, "body": body}
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
