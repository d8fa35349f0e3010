"""A provider of OpenAI's shapes: files, batches and, where it has them, containers. Its quirks are switches.

As at OpenAI, making a batch does not check its input: what is wrong there shows when the job is looked at.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from werkzeug import Request, Response

from tests.fakes import openai_lines
from tests.fakes.openai_app import Refusal
from tests.fakes.openai_containers import Containers
from tests.fakes.openai_lists import json_of, page
from tests.fakes.openai_quirks import DAY_S, OPENAI, QUIRKS, Quirks
from tests.fakes.provider_app import Body, FakeFile, FakeJob, Handler, ProviderApp, to_json_lines

OVER = ("completed", "failed", "cancelled", "expired")
NOT_RUN = {
    "cancelled": ("batch_cancelled", "This request was not executed because the batch was cancelled."),
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
}
STAMPS = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


class OpenAIProviderApp(Containers, ProviderApp):
    """Switches: `quirks`; `ran_before_end`, how many lines of a job that is cancelled or expires have run;
    `models`, those that lines may name (empty: any)."""

    def __init__(self, quirks: Quirks = OPENAI, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        self.quirks = quirks
        self.ran_before_end = 0
        self.models: tuple[str, ...] = ()
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)

    def routes(self) -> list[tuple[str, str, Handler]]:
        at, lines = self.quirks.prefix, self.quirks.lines_prefix or self.quirks.prefix
        found: list[tuple[str, str, Handler]] = [
            ("POST", rf"{at}/files", self._upload),
            ("GET", rf"{at}/files", self._list_files),
            ("GET", rf"{at}/files/([^/]+)", self._retrieve_file),
            ("DELETE", rf"{at}/files/([^/]+)", self._delete_file),
            ("GET", rf"{at}/files/([^/]+)/content", self._content),
            ("POST", rf"{at}/batches", self._create_job),
            ("GET", rf"{at}/batches", self._list_jobs),
            ("GET", rf"{at}/batches/([^/]+)", lambda _, name: self.job_object(self.look(self.job(name)))),
            ("POST", rf"{at}/batches/([^/]+)/cancel", self._cancel_job),
            ("GET", rf"{lines}/models", self._models),
            ("POST", rf"{lines}(/chat/completions|/completions|/embeddings|/responses)", self._run_line),
        ]
        if self.quirks.chat_path:
            found.append(("POST", self.quirks.chat_path, lambda asked: self._run_line(asked, "/chat/completions")))
        return found + (self.container_routes(at) if self.quirks.containers else [])

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        if self.quirks.errors == "detail":
            return {"detail": message}
        if self.quirks.errors == "azure":
            return {"error": {"code": code or ("notFound" if status == 404 else "invalidPayload"), "message": message}}
        return super().refusal_body(status, message, code=code, param=param)

    def is_authorized(self, request: Request) -> bool:
        if self.quirks.auth_header == "api-key" and "api-key" in request.headers:
            return not self.api_key or request.headers["api-key"] == self.api_key
        return super().is_authorized(request)

    def unauthorized(self, request: Request) -> Refusal:
        given = request.headers.get("api-key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        return Refusal(401, f"Incorrect API key provided: {given}.", code="invalid_api_key")

    def instant(self, seconds: int | None) -> Any:
        """Unix seconds, or the ISO-8601 of Azure's pages."""
        if seconds is None or not self.quirks.iso_times:
            return seconds
        return datetime.fromtimestamp(seconds, UTC).isoformat()

    # Lines.

    def _models(self, _: Request) -> Body:
        made = {"object": "model", "created": 1700000000, "owned_by": "fake"}
        return {"object": "list", "data": [{"id": name, **made} for name in self.models or ("fake-model",)]}

    def _run_line(self, request: Request, path: str) -> Body:
        return self.model.routes[f"/v1{path}"](json_of(request))

    # Files.

    def new_file_id(self) -> str:
        return super().new_file_id().replace("file-", self.quirks.file_id)

    def _upload(self, request: Request) -> Response:
        sent, purpose = request.files.get("file"), request.form.get("purpose", "")
        if sent is None:
            raise Refusal(400, "'file' is a required property", param="file")
        if purpose not in self.quirks.purposes:
            raise Refusal(400, f"'{purpose}' is not one of {list(self.quirks.purposes)} - 'purpose'", param="purpose")
        name, data = sent.filename or "upload", sent.read()
        if purpose == "batch" and not name.endswith(".jsonl"):
            raise Refusal(400, "Invalid file format for Batch API. Must be .jsonl")
        if self.quirks.checks_lines and openai_lines.lines_of(data, first=1) is None:
            raise Refusal(400, "The file has a line that is not a request.", param="file")
        expires_at = self._expiry(request.form, purpose)
        file = self.add_file(data, filename=name, purpose=purpose, expires_at=expires_at)
        file.fields["looks"] = self.quirks.looks_until_processed
        body = orjson.dumps(self.file_object(file))
        return Response(body, self.quirks.upload_status, content_type="application/json")

    def _expiry(self, form: Any, purpose: str) -> int | None:
        name = {"brackets": "expires_after[{}]", "dotted": "expires_after.{}"}.get(self.quirks.file_expiry)
        own = {name.format(word) for word in ("anchor", "seconds")} if name else set()
        foreign = {key for key in form if key.startswith("expires_after")} - own
        if foreign and self.quirks.file_expiry != "ignored":
            raise Refusal(400, f"Unknown parameter: '{min(foreign)}'.", param="expires_after")
        if name and name.format("anchor") in form:
            seconds = form.get(name.format("seconds"), "")
            if form[name.format("anchor")] != "created_at" or not (
                seconds.isdigit() and 3600 <= int(seconds) <= 2592000
            ):
                raise Refusal(400, "expires_after.seconds must be from 3600 to 2592000.", param="expires_after")
            return int(time.time()) + int(seconds)
        days = self.quirks.file_days if purpose == "batch" else None
        return None if days is None else int(time.time()) + days * DAY_S

    def file_object(self, file: FakeFile) -> Body:
        found: Body = {
            "id": file.id,
            "object": "file",
            "bytes": len(file.data),
            "created_at": self.instant(file.created_at),
            "filename": file.filename,
            "purpose": file.purpose,
        }
        if self.quirks.file_status:
            waits = file.fields.get("looks", 0)
            found |= {"status": "pending" if waits else "processed", "status_details": None}
        if self.quirks.file_expiry not in ("ignored", "refused"):
            found["expires_at"] = self.instant(file.fields.get("expires_at"))
        return found

    def _list_files(self, request: Request) -> Body:
        purpose = request.args.get("purpose")
        files = [file for file in self.files.values() if purpose in (None, file.purpose)]
        return page(
            request, [self.file_object(file) for file in files], paged=self.quirks.pages, default=10_000, most=10_000
        )

    def _retrieve_file(self, _: Request, name: str) -> Body:
        file = self.file(name)
        found = self.file_object(file)
        file.fields["looks"] = max(file.fields.get("looks", 0) - 1, 0)
        return found

    def _delete_file(self, _: Request, name: str) -> Body:
        del self.files[self.file(name).id]
        return {"id": name, "object": "file", "deleted": True}

    def _content(self, _: Request, name: str) -> bytes:
        file = self.file(name)
        if file.purpose in ("assistants", "user_data", "vision"):
            raise Refusal(400, f"Not allowed to download files of purpose: {file.purpose}")
        return file.data

    # Jobs.

    def _create_job(self, request: Request) -> Body:
        asked = json_of(request)
        openai_lines.check_job(asked, self.quirks)
        file = self.files.get(asked["input_file_id"])
        if file and file.fields.get("looks"):
            raise Refusal(400, f"The file {file.id} is not processed yet.", code="unexpectedEntityState")
        more = {"metadata": asked.get("metadata"), "output_expires_after": asked.get("output_expires_after")}
        job = self.add_job(
            [],
            endpoint=asked["endpoint"],
            model="",
            input_id=asked["input_file_id"],
            fields={"window": asked["completion_window"], **more},
        )
        return self.job_object(job)

    def _list_jobs(self, request: Request) -> Body:
        jobs = [self.job_object(job) for job in self.jobs.values()]
        return page(request, jobs, paged=self.quirks.pages or self.quirks.errors == "azure", default=20, most=100)

    def _cancel_job(self, _: Request, name: str) -> Body:
        job = self.job(name)
        if job.state in OVER:
            raise Refusal(self.quirks.cancel_over, f"Cannot cancel a batch with status '{job.state}'.")
        self.cancel(job)
        self._stamp(job)
        return self.job_object(job)

    def look(self, job: FakeJob) -> FakeJob:
        if job.state == "validating":
            error = self._read_input(job)
            if error:
                job.fields["errors"] = [error]
                job.state, job.ended_at = "failed", int(time.time())
                self._stamp(job)
                return job
        return self._stamp(super().look(job))

    def end(self, job: FakeJob, state: str) -> None:
        if not job.lines:
            self._read_input(job)
        if state in NOT_RUN:
            job.results = [self.run(job, line) for line in job.lines[: self.ran_before_end]]
        super().end(job, state)
        self._stamp(job)

    def _read_input(self, job: FakeJob) -> Body | None:
        file = self.files.get(job.input_id or "")
        if file is None or file.purpose != "batch":
            return {"code": "invalid_request", "message": "The input file is absent.", "param": "file_id", "line": None}
        found = openai_lines.checked_lines(file.data, job.endpoint, self.quirks, self.models)
        if isinstance(found, dict):
            return found
        job.lines, job.model = found, found[0]["body"]["model"]
        return None

    def _stamp(self, job: FakeJob) -> FakeJob:
        job.fields.setdefault(f"{job.state}_at", int(time.time()))
        return job

    def write_results(self, job: FakeJob) -> None:
        lines = openai_lines.result_lines(job, self.quirks, NOT_RUN.get(job.state))
        good, bad = [], []
        for line in lines:
            (good if (line["response"] or {}).get("status_code") == 200 else bad).append(line)
        job.output_id = self._result_file(job, good, "output") if good else None
        job.error_id = self._result_file(job, bad, "error") if bad or self.quirks.empty_error_file else None

    def _result_file(self, job: FakeJob, lines: Sequence[Body], kind: str) -> str:
        expiry = job.fields.get("output_expires_after") or {}
        seconds = expiry.get("seconds", 30 * DAY_S)
        name, own_id = f"{job.id}_{kind}.jsonl", f"{job.id}_{kind}" if self.quirks.deepinfra_rows else ""
        data, expires_at = to_json_lines(lines), int(time.time()) + seconds
        return self.add_file(data, filename=name, purpose="batch_output", file_id=own_id, expires_at=expires_at).id

    def job_object(self, job: FakeJob) -> Body:
        refused = sum(result.status >= 400 for result in job.results)
        counts = {"total": len(job.lines), "completed": len(job.results) - refused, "failed": refused}
        told = self.quirks.counts_at_once or bool(job.lines)
        errors = job.fields.get("errors")
        found: Body = {
            "id": job.id,
            "object": "batch",
            "endpoint": job.endpoint,
            "errors": {"object": "list", "data": errors} if errors else None,
            "input_file_id": job.input_id,
            "completion_window": job.fields["window"],
            "status": job.state.capitalize() if self.quirks.capital_statuses else job.state,
            "output_file_id": job.output_id,
            "error_file_id": job.error_id,
            "created_at": self.instant(job.created_at),
            "expires_at": self.instant(job.created_at + DAY_S) if self.quirks.expires else None,
            "request_counts": counts if told else None,
        }
        found |= {f"{name}_at": self.instant(job.fields.get(f"{name}_at")) for name in STAMPS}
        if self.quirks.metadata:
            found["metadata"] = job.fields.get("metadata")
        if self.quirks.usage:
            found |= {"model": job.model or None, "usage": openai_lines.usage(job.results)}
        return found


def provider_app(provider: str, **options: Any) -> OpenAIProviderApp:
    """The fake of `provider`, with its quirks."""
    return OpenAIProviderApp(QUIRKS[provider], **options)
