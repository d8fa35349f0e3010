"""A connector in its simplest form: one request for each call, on a connection of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import requests

from app.connectors.contract import (
    Connector,
    Download,
    JobError,
    JobResult,
    MissingError,
    NativeFile,
    NativeJob,
    NewFile,
    NewJob,
    OverloadedError,
    Page,
    RefusedError,
    UpstreamServerError,
    UpstreamTimeoutError,
    Usage,
)

MARKER = "batchgate_job"


class Jobs(Connector):
    """Files and batches in OpenAI's shapes; `requests` instead of a file where jobs are inline.

    Of some providers the ids of jobs begin with the option `prefix`, which the fake does not know.
    """

    def upload_file(self, new: NewFile) -> NativeFile:
        data = b"".join(new.payload.open())
        assert len(data) == new.payload.length
        made = self._call("POST", "/files", data={"purpose": new.purpose}, files={"file": (new.filename, data)})
        return NativeFile(made["id"], made["filename"], made["purpose"], made["bytes"])

    def retrieve_file(self, native_id: str) -> NativeFile:
        found = self._call("GET", f"/files/{native_id}")
        return NativeFile(found["id"], found["filename"], found["purpose"], found["bytes"])

    def delete_file(self, native_id: str) -> None:
        with suppress(MissingError):
            self._call("DELETE", f"/files/{native_id}")

    @contextmanager
    def read_file(self, native_id: str) -> Iterator[Download]:
        answer = self._send("GET", f"/files/{native_id}/content")
        yield Download(len(answer.content), "application/jsonl", iter([answer.content]))

    def create_job(self, new: NewJob) -> NativeJob:
        asked: dict[str, Any] = {
            "endpoint": new.endpoint,
            "completion_window": new.window,
            "input_file_id": new.input_id,
            "metadata": {**new.metadata, MARKER: new.marker},
        }
        if new.payload is not None:
            asked["requests"] = b"".join(new.payload.open()).decode()
        return self._job(self._call("POST", "/batches", json=asked))

    def retrieve_job(self, native_id: str) -> NativeJob:
        return self._job(self._call("GET", f"/batches/{self._bare(native_id)}"))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        found = self._call("GET", "/batches", params={"after": after} if after else {})
        return Page([self._job(value) for value in found["data"]], found["last_id"] if found["has_more"] else None)

    def cancel_job(self, native_id: str) -> NativeJob:
        return self._job(self._call("POST", f"/batches/{self._bare(native_id)}/cancel"))

    def delete_job(self, native_id: str) -> None:
        with suppress(MissingError):
            self._call("DELETE", f"/batches/{self._bare(native_id)}")

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        for line in self.raw_results(job):
            yield _result(json.loads(line))

    def raw_results(self, job: NativeJob) -> Iterator[bytes]:
        for file_id in (job.output_id, job.error_id):
            if file_id is not None:
                yield from self._send("GET", f"/files/{file_id}/content").content.splitlines(keepends=True)

    def _job(self, value: Any) -> NativeJob:
        job = _job(value)
        return replace(job, id=self.target.options.get("prefix", "") + job.id)

    def _bare(self, native_id: str) -> str:
        return native_id.removeprefix(self.target.options.get("prefix", ""))

    def _call(self, method: str, path: str, **more: Any) -> Any:
        return json.loads(self._send(method, path, **more).content)

    def _send(self, method: str, path: str, **more: Any) -> requests.Response:
        timeout_s = float(self.target.options["timeout_s"])
        try:
            answer = requests.request(method, self.target.base_url + path, timeout=timeout_s, **more)
        except requests.Timeout as error:
            raise UpstreamTimeoutError("no answer in time") from error
        except requests.ConnectionError as error:
            if "refused" in str(error):
                raise OverloadedError("the server is away", sent=False) from error
            raise UpstreamServerError("the connection broke") from error
        if answer.status_code < 400:
            return answer
        raise _error(answer)


def _error(answer: requests.Response) -> Exception:
    if answer.status_code in (429, 503):
        return OverloadedError("full", status=answer.status_code, retry_after_s=float(answer.headers["Retry-After"]))
    if answer.status_code >= 500:
        return UpstreamServerError("broken", status=answer.status_code)
    told = answer.json()["error"]
    kind = MissingError if answer.status_code == 404 else RefusedError
    code = told["code"] or "invalid_request"
    return kind(told["message"], status=answer.status_code, code=code, param=told["param"])


def _job(value: Any) -> NativeJob:
    counts = value["request_counts"] or {}
    errors = (value["errors"] or {}).get("data", ())
    expires_at = value["expires_at"]
    return NativeJob(
        id=value["id"],
        status=value["status"],
        native_status=value["status"],
        marker=(value["metadata"] or {}).get(MARKER),
        input_id=value["input_file_id"],
        output_id=value["output_file_id"],
        error_id=value["error_file_id"],
        endpoint=value["endpoint"],
        window=value["completion_window"],
        total=counts.get("total"),
        completed=counts.get("completed"),
        failed=counts.get("failed"),
        errors=tuple(JobError(e["code"], e["message"], e["param"], e["line"]) for e in errors),
        metadata=value["metadata"] or {},
        created_at=value["created_at"] * 1000,
        expires_at=None if expires_at is None else expires_at * 1000,
    )


def _result(line: Any) -> JobResult:
    response, error = line["response"], line["error"]
    if response is None:
        return JobResult(line["custom_id"], error_code=error["code"], message=error["message"])
    body = response["body"]
    return JobResult(
        line["custom_id"],
        response["status_code"],
        response["request_id"],
        json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        usage=_usage(body.get("usage") or {}),
    )


def _usage(value: dict[str, Any]) -> Usage:
    prompt, completion = value.get("prompt_tokens", 0), value.get("completion_tokens", 0)
    return Usage(
        input_tokens=prompt,
        cached_tokens=(value.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
        output_tokens=completion,
        reasoning_tokens=(value.get("completion_tokens_details") or {}).get("reasoning_tokens", 0),
        total_tokens=value.get("total_tokens", prompt + completion),
    )
