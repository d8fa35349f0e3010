"""Mistral (contracts: providers, 9): pages by number, jobs of its own, lines checked at upload, texts as bodies."""

import uuid
from typing import Any

import orjson
from werkzeug import Request

from app.translate.mistral import MESSAGE_FIELDS, SAME
from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import (
    Body,
    FakeFile,
    FakeJob,
    FakeResult,
    Handler,
    ProviderApp,
    json_lines,
    to_json_lines,
)

CHAT = "/v1/chat/completions"
ENDPOINTS = (CHAT, "/v1/embeddings", "/v1/moderations", "/v1/ocr")
STATES = {
    "validating": "QUEUED",
    "in_progress": "RUNNING",
    "completed": "SUCCESS",
    "failed": "FAILED",
    "expired": "TIMEOUT_EXCEEDED",
    "cancelling": "CANCELLATION_REQUESTED",
    "cancelled": "CANCELLED",
}
TERMINAL = ("completed", "failed", "expired", "cancelled")


class MistralApp(ProviderApp):
    """Mistral's API; it knows no field of a chat but its own."""

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", CHAT, self._complete),
            ("GET", "/v1/models", lambda _: {"object": "list", "data": [{"id": "mistral-small-latest"}]}),
            ("POST", "/v1/files", self._upload),
            ("GET", "/v1/files", self._list_files),
            ("GET", "/v1/files/([^/]+)", lambda _, file_id: self._file_object(self.file(file_id))),
            ("DELETE", "/v1/files/([^/]+)", self._delete_file),
            ("GET", "/v1/files/([^/]+)/content", lambda _, file_id: self.file(file_id).data),
            ("POST", "/v1/batch/jobs", self._create),
            ("GET", "/v1/batch/jobs", self._list_jobs),
            ("GET", "/v1/batch/jobs/([^/]+)", lambda _, job_id: self._job_object(self.look(self.job(job_id)))),
            (
                "POST",
                "/v1/batch/jobs/([^/]+)/cancel",
                lambda _, job_id: self._job_object(self.cancel(self.job(job_id))),
            ),
            ("DELETE", "/v1/batch/jobs/([^/]+)", self._delete_job),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        if status == 401:
            return {"detail": message}
        if status == 422:
            return {
                "detail": [{"type": "value_error", "loc": ["body", param or "file"], "msg": message, "input": None}]
            }
        return {"object": "error", "message": message, "type": "invalid_request_error", "param": param, "code": "3000"}

    def _complete(self, request: Request) -> Body:
        body = request.get_json()
        _check_chat(body)
        return _answer(self.model.routes[CHAT](body))

    # Files.

    def new_file_id(self) -> str:
        return str(uuid.uuid4())

    def _upload(self, request: Request) -> Body:
        sent = request.files.get("file")
        if sent is None:
            raise Refusal(422, "Field required")
        data, purpose = sent.read(), request.form.get("purpose", "fine-tune")
        if purpose == "batch":
            try:
                for line in json_lines(data):
                    if set(line) - {"custom_id", "body", "method", "url"} or not isinstance(line["body"], dict):
                        raise Refusal(422, "Invalid file format.")
                    if "messages" in line["body"]:
                        _check_chat(line["body"])
            except (orjson.JSONDecodeError, KeyError) as error:
                raise Refusal(422, "Invalid file format.") from error
        return self._file_object(self.add_file(data, filename=sent.filename or "", purpose=purpose))

    def _list_files(self, request: Request) -> Body:
        files = [file for file in self.files.values() if request.args.get("purpose") in (None, file.purpose)]
        return _page([self._file_object(file) for file in files], request)

    def _delete_file(self, _: Request, file_id: str) -> Body:
        del self.files[self.file(file_id).id]
        return {"id": file_id, "object": "file", "deleted": True}

    def _file_object(self, file: FakeFile) -> Body:
        return {
            "id": file.id,
            "object": "file",
            "bytes": len(file.data),
            "created_at": file.created_at,
            "filename": file.filename,
            "purpose": file.purpose,
            "sample_type": file.fields.get("sample_type", "batch_request"),
            "source": file.fields.get("source", "upload"),
            "num_lines": file.data.count(b"\n"),
            "mimetype": "application/jsonl",
            "signature": "0",
            "expires_at": None,
            "visibility": "workspace",
            "deleted": False,
        }

    # Jobs.

    def new_job_id(self) -> str:
        return str(uuid.uuid4())

    def job(self, job_id: str) -> FakeJob:
        if job_id not in self.jobs:
            raise Refusal(404, "Job not found")
        return self.jobs[job_id]

    def _create(self, request: Request) -> Body:
        asked = request.get_json()
        if asked.get("endpoint") not in ENDPOINTS:
            raise Refusal(422, "Input should be a known endpoint", param="endpoint")
        if not 1 <= asked.get("timeout_hours", 24) <= 168:
            raise Refusal(422, "Input should be between 1 and 168", param="timeout_hours")
        lines = [line for file_id in asked["input_files"] for line in json_lines(self.file(file_id).data)]
        fields = {"metadata": asked.get("metadata"), "input_files": asked["input_files"]}
        job = self.add_job(lines, endpoint=asked["endpoint"], model=asked["model"], fields=fields)
        return self._job_object(job)

    def _list_jobs(self, request: Request) -> Body:
        return _page([self._job_object(job) for job in [*self.jobs.values()][::-1]], request)

    def _cancel(self, _: Request, job_id: str) -> Body:
        return self._job_object(self.cancel(self.job(job_id)))

    def _delete_job(self, _: Request, job_id: str) -> Body:
        del self.jobs[self.job(job_id).id]
        return {"id": job_id, "object": "batch", "deleted": True}

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        result = super().run(job, line)
        if result.status < 400 and job.endpoint == CHAT:
            result.body = _answer(result.body)
        return result

    def write_results(self, job: FakeJob) -> None:
        rows: dict[bool, list[Body]] = {True: [], False: []}
        for number, result in enumerate(job.results):
            good = result.status < 400
            told = {"object": "error", **result.body.get("error", {}), "code": "3051"}
            body = result.body if good else orjson.dumps(told).decode()
            row_id = f"batch-{job.id[:8]}-{job.id[-8:]}-{number}"
            response = {"status_code": result.status, "body": body}
            rows[good].append({"id": row_id, "custom_id": result.custom_id, "response": response, "error": None})
        if rows[True]:
            job.output_id = self._result_file(rows[True], "batch_result")
        if rows[False]:
            job.error_id = self._result_file(rows[False], "batch_error")

    def _result_file(self, rows: list[Body], sample_type: str) -> str:
        made = self.add_file(
            to_json_lines(rows),
            filename=f"{sample_type}.jsonl",
            purpose="batch",
            sample_type=sample_type,
            source="mistral",
        )
        return made.id

    def _job_object(self, job: FakeJob) -> Body:
        bad = sum(1 for result in job.results if result.status >= 400)
        return {
            "id": job.id,
            "object": "batch",
            "input_files": job.fields["input_files"],
            "metadata": job.fields["metadata"],
            "endpoint": job.endpoint,
            "model": job.model,
            "agent_id": None,
            "output_file": job.output_id,
            "error_file": job.error_id,
            "errors": [{"message": message, "count": 3} for message in job.fields.get("errors", [])],
            "outputs": None,
            "status": STATES[job.state],
            "created_at": job.created_at,
            "started_at": job.created_at if job.looks else None,
            "completed_at": job.ended_at,
            "total_requests": len(job.lines) if job.looks else 0,
            "completed_requests": len(job.results),
            "succeeded_requests": len(job.results) - bad,
            "failed_requests": bad,
        }


def _check_chat(body: Body) -> None:
    extra = set(body) - set(SAME) - {"stream"}
    for message in body["messages"]:
        extra |= set(message) - set(MESSAGE_FIELDS)
        if message.get("role") == "developer":
            extra.add("developer")
        for call in message.get("tool_calls") or ():
            if len(call["id"]) != 9 or not call["id"].isalnum():
                extra.add("tool_calls.id")
    if extra:
        raise Refusal(422, f"Extra inputs are not permitted: {', '.join(sorted(extra))}")


def _answer(body: Body) -> Body:
    """A chat completion as Mistral writes it."""
    for choice in body["choices"]:
        choice["message"].setdefault("tool_calls", None)
        choice["message"] |= {"prefix": False}
        if choice["finish_reason"] == "length":
            choice["finish_reason"] = "model_length"
    return body


def _page(items: list[Body], request: Request) -> Body:
    number, size = int(request.args.get("page", 0)), int(request.args.get("page_size", 100))
    return {"object": "list", "data": items[number * size : (number + 1) * size], "total": len(items)}
