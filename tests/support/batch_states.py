"""Batches in states that a worker brings about, made with the data functions that it uses."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.data.batches import lines as batch_lines
from app.data.batches import new_lines, segments, work
from app.data.batches.lines import LineResult
from app.data.batches.new_lines import NewLine
from app.data.batches.segments import Wanted
from app.data.files import files
from app.data.store.leases import Lease
from app.lib import ids, json
from app.services.blobs import incoming
from app.services.gateway import Caller, Gateway
from app.services.lines.output import answered_line

WORKER = "worker-of-the-tests"
LEASE_MS = 60_000


def request(number: int, **changes: Any) -> dict[str, Any]:
    """One request of a batch, as a client writes it."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": f"Question {number}"}]}
    return {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body, **changes}


def jsonl(requests: Sequence[Mapping[str, Any]]) -> bytes:
    """`requests` as a batch input."""
    return b"".join(json.dumps_line(item) for item in requests)


def put_file(gateway: Gateway, caller: Caller, data: bytes, *, purpose: str = "batch") -> str:
    """A file of the caller's project, as an upload would leave it; returns its id."""
    public_id = ids.new(ids.FILE)
    with incoming(gateway) as blob:
        blob.write(data)
        blob.seal()
        with gateway.database.write() as connection:
            blob.settle(connection)
            files.insert(
                connection,
                public_id=public_id,
                project_id=caller.project_id,
                key_id=caller.key_id,
                home="local",
                purpose=purpose,
                filename="in.jsonl",
                origin="upload",
                blob_id=blob.id,
                size=len(data),
                sha256=blob.sha256,
                lines=data.count(b"\n"),
                expires_after_s=None,
            )
    return public_id


class RunningBatch:
    """A batch that a worker has planned; `answer` gives lines their results, `end` ends it."""

    def __init__(self, gateway: Gateway, public_id: str, *, data: bytes) -> None:
        self.gateway = gateway
        self.id = public_id
        self.lines = data.splitlines()
        self._lease = self._plan()
        self._segment = self._claim_segment()

    def answer(self, lines: Sequence[int], *, state: str = "completed", status_code: int = 200) -> None:
        """Write one chunk with the answers of `lines`, which count from 1."""
        answers = [self._answer(line, status_code) for line in lines]
        with incoming(self.gateway) as blob:
            blob.write(b"".join(answers))
            blob.seal()
            with self.gateway.database.write() as connection:
                blob.settle(connection)
                counted = {"lines": len(lines), "size": blob.bytes}
                chunk = segments.insert_chunk(
                    connection,
                    batch_id=self._lease.id,
                    segment_id=self._segment.id,
                    epoch=self._segment.epoch,
                    blob_id=blob.id,
                    **counted,
                )
                results, offset = [], 0
                for line, data in zip(lines, answers, strict=True):
                    place = {"chunk_id": chunk, "response_offset": offset, "response_bytes": len(data)}
                    results.append(self._result(line, state, status_code, **place))
                    offset += len(data)
                batch_lines.write_results(connection, self._lease.id, results)
                segments.count(connection, self._lease.id, **{f"lines_{state}": len(lines)})

    def end(self, ending: str) -> None:
        """End it as `ending`, without the files that a worker would write."""
        with self.gateway.database.write() as connection:
            if ending != "completed":
                count = len(self.lines)
                batch_lines.end_pending(connection, self._lease.id, state=ending, after=0, limit=count + 1)
            work.end(connection, self._lease, ending=ending, output_file_id=None, error_file_id=None)

    def _plan(self) -> Lease:
        with self.gateway.database.write() as connection:
            projects = work.projects_to_plan(connection)
            found = [due for project_id in projects for due in work.to_plan(connection, project_id)]
            waiting = next(due for due in found if work.facts(connection, due.id).public_id == self.id)
            lease = Lease(id=waiting.id, epoch=waiting.epoch + 1, worker=WORKER)
            assert work.claim(connection, lease, statuses=("validating",), lease_ms=LEASE_MS)
            new_lines.insert_lines(connection, lease.id, self._rows())
            bounds = [(1, len(self.lines))]
            work.start(
                connection, lease, model="tiny", lines=len(self.lines), segments=bounds, indexed_to=len(self.lines)
            )
        return lease

    def _rows(self) -> list[NewLine]:
        rows, offset = [], 0
        for number, line in enumerate(self.lines, 1):
            rows.append(NewLine(number, f"r{number}", offset, len(line)))
            offset += len(line) + 1
        return rows

    def _claim_segment(self) -> Lease:
        with self.gateway.database.write() as connection:
            facts = work.facts(connection, self._lease.id)
            wanted = Wanted(WORKER, [facts.account_id], skip=[])
            row = segments.next_segment(connection, wanted, project_id=facts.project_id)
            assert row is not None
            lease = Lease(row.id, row.epoch + 1, WORKER)
            assert segments.claim(connection, lease, lease_ms=LEASE_MS)
        return lease

    def _answer(self, line: int, status_code: int) -> bytes:
        body = b'{"n": %d}' % line
        return answered_line(self.id, line, f"r{line}", status_code=status_code, request_id=f"req_{line}", body=body)

    def _result(self, line: int, state: str, status_code: int, **place: int) -> LineResult:
        return LineResult(
            line=line,
            state=state,
            attempts=1,
            unknown_attempts=0,
            status_code=status_code,
            error_code=None if state == "completed" else "invalid_request_error",
            latency_ms=5,
            input_tokens=3,
            output_tokens=4,
            result_dropped=None,
            **place,
        )
