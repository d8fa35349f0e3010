"""Together (contracts: providers, 12): a form of its own for uploads, equal content known, jobs without counts."""

import hashlib
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
from werkzeug import Request, Response

from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, FakeFile, FakeJob, Handler, ProviderApp, json_lines, to_json_lines

TERMINAL = ("completed", "failed", "expired", "cancelled")
ENDPOINTS = ("/v1/chat/completions", "/v1/audio/transcriptions", "/v1/audio/translations")
DAY_S = 24 * 3600


class TogetherApp(ProviderApp):
    """Switches: `known` (the ids of files by the hash of their bytes; None: Together looks at no content),

    `forgets_late` (a file that was deleted is still named when its bytes come again).
    """

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.known: dict[str, str] | None = {}
        self.forgets_late = False

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", "/v1/chat/completions", lambda r: self.model.routes["/v1/chat/completions"](r.get_json())),
            ("GET", "/v1/models", lambda _: [{"id": "meta-llama/Llama-3", "object": "model", "created": 1}]),
            ("POST", "/v1/files/upload", self._upload),
            ("GET", "/v1/files", lambda _: {"data": [self._file_object(file) for file in self.files.values()]}),
            ("GET", "/v1/files/([^/]+)", lambda _, file_id: self._file_object(self.file(file_id))),
            ("DELETE", "/v1/files/([^/]+)", self._delete_file),
            ("GET", "/v1/files/([^/]+)/content", lambda _, file_id: self.file(file_id).data),
            ("POST", "/v1/batches", self._create),
            ("GET", "/v1/batches", lambda _: [self._job_object(job) for job in [*self.jobs.values()][::-1]]),
            ("GET", "/v1/batches/([^/]+)", lambda _, job_id: self._job_object(self.look(self.job(job_id)))),
            ("POST", "/v1/batches/([^/]+)/cancel", self._cancel),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        if status == 404 and message.startswith("No batch"):
            return {"error": "Job not found"}
        return super().refusal_body(status, message, code=code, param=param)

    def _upload(self, request: Request) -> Any:
        sent, form = request.files.get("file"), request.form
        missing = [name for name in ("purpose", "file_name", "file_type") if not form.get(name)]
        if sent is None or missing:
            raise Refusal(400, f"missing: {', '.join(missing) or 'file'}")
        data = sent.read()
        if form["purpose"] == "batch-api" and form["file_type"] != "jsonl":
            raise Refusal(400, "batch files must be jsonl")
        digest = hashlib.sha256(data).hexdigest()
        twin = self.known.get(digest) if self.known is not None else None
        if twin is not None and (twin in self.files or self.forgets_late):
            known = {"error": {"message": "File already exists", "type": "conflict"}, "file_id": twin}
            return Response(orjson.dumps(known), 409, content_type="application/json")
        file = self.add_file(data, filename=form["file_name"], purpose=form["purpose"], file_type=form["file_type"])
        if self.known is not None:
            self.known[digest] = file.id
        return self._file_object(file)

    def _delete_file(self, _: Request, file_id: str) -> Body:
        del self.files[self.file(file_id).id]
        return {"id": file_id, "deleted": True}

    def _file_object(self, file: FakeFile) -> Body:
        return {
            "id": file.id,
            "object": "file",
            "bytes": len(file.data),
            "created_at": file.created_at,
            "filename": file.filename,
            "purpose": file.purpose,
            "FileType": file.fields.get("file_type", "jsonl"),
            "LineCount": 0,
            "Processed": True,
            "processing_status": "COMPLETED",
        }

    def new_job_id(self) -> str:
        return str(uuid.uuid4())

    def _create(self, request: Request) -> Response:
        asked = request.get_json()
        if asked.get("endpoint") not in ENDPOINTS:
            raise Refusal(400, "endpoint is not supported", param="endpoint")
        lines = json_lines(self.file(asked["input_file_id"]).data)
        model = next((line["body"]["model"] for line in lines if "model" in line.get("body", {})), "")
        job = self.add_job(lines, endpoint=asked["endpoint"], model=model, input_id=asked["input_file_id"])
        if any(len(line.get("custom_id", "")) > 64 for line in lines):
            job.fields["error"] = "custom_id must have at most 64 characters"
            self.end(job, "failed")
        answer = {"job": self._job_object(job), "warning": None}
        return Response(orjson.dumps(answer), 201, content_type="application/json")

    def _cancel(self, _: Request, job_id: str) -> Body:
        job = self.job(job_id)
        if job.state in TERMINAL:
            raise Refusal(409, "Job is already in a terminal state")
        return self._job_object(self.cancel(job))

    def write_results(self, job: FakeJob) -> None:
        good = [
            {"id": f"br_{n}", "custom_id": r.custom_id, "response": {"status_code": 200, "body": r.body}}
            for n, r in enumerate(job.results)
            if r.status < 400
        ]
        bad = [
            {
                "id": f"br_{n}",
                "custom_id": r.custom_id,
                "error": {"code": "batch_client_error", "message": r.body["error"]["message"]},
            }
            for n, r in enumerate(job.results)
            if r.status >= 400
        ]
        if good:
            job.output_id = self.add_file(to_json_lines(good), filename="out.jsonl", purpose="batch-api").id
        if bad:
            job.error_id = self.add_file(to_json_lines(bad), filename="err.jsonl", purpose="batch-api").id

    def _job_object(self, job: FakeJob) -> Body:
        over = job.state in TERMINAL
        ids = {"output_file_id": job.output_id, "error_file_id": job.error_id, "error": job.fields.get("error")}
        return {
            "id": job.id,
            "user_id": "user",
            "status": {"cancelling": "CANCELING"}.get(job.state, job.state.upper()),
            "progress": 100.0 if over else 0.0,
            "endpoint": job.endpoint,
            "input_file_id": job.input_id,
            "file_size_bytes": 1,
            "model_id": job.model,
            "created_at": _instant(job.created_at),
            "completed_at": _instant(job.ended_at) if job.ended_at else None,
            "job_deadline": _instant(job.created_at + DAY_S),
            **{name: value for name, value in ids.items() if value is not None},
        }


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds or time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
