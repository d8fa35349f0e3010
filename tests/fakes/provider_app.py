"""What fake providers have in common: files and jobs in memory, routing, and answers that depend on the input.

A provider's own fake adds its routes and shapes; all of them run lines by the same model, so that the results of one
input are the same everywhere but for the provider's quirks. Jobs move on when they are looked at.
"""

import random
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from werkzeug import Request, Response

from tests.fakes.openai_app import OpenAIApp, Refusal

Body = dict[str, Any]
Handler = Callable[..., Any]


@dataclass
class FakeFile:
    """A file at the provider. `made_by` is a job's id for results."""

    id: str
    data: bytes
    filename: str
    purpose: str
    created_at: int
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class FakeResult:
    """What came of a line; a status of 400 or more is a refusal."""

    custom_id: str
    status: int
    body: Body


@dataclass
class FakeJob:
    """A job at the provider. `state`: validating, in_progress, completed, failed, cancelling, cancelled, expired."""

    id: str
    lines: list[Body]
    endpoint: str
    model: str
    created_at: int
    input_id: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    state: str = "validating"
    looks: int = 0
    results: list[FakeResult] = field(default_factory=list)
    output_id: str | None = None
    error_id: str | None = None
    ended_at: int | None = None


class ProviderApp:
    """A WSGI app. Subclasses give `routes()` and `refusal_body()`, and override what differs.

    Switches: `looks_to_end` (how many looks a job takes to end; None: it never ends by itself), `shuffle` (the order
    of results), `models` (known ones; empty: any).
    """

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        self.api_key = api_key
        self.looks_to_end = looks_to_end
        self.shuffle = random.Random(17)
        self.files: dict[str, FakeFile] = {}
        self.jobs: dict[str, FakeJob] = {}
        self.model = OpenAIApp(models=())
        self.model.stored = self._stored  # type: ignore[method-assign]
        self._routes = [(method, re.compile(pattern), handler) for method, pattern, handler in self.routes()]

    def routes(self) -> list[tuple[str, str, Handler]]:
        """(method, regular expression of the whole path, handler). A handler takes the request and the groups.

        It answers a JSON value, bytes, or a werkzeug Response; it raises Refusal.
        """
        raise NotImplementedError

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        """The error envelope of this provider."""
        return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}

    def is_authorized(self, request: Request) -> bool:
        return not self.api_key or request.headers.get("Authorization") == f"Bearer {self.api_key}"

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._answer(request)
        except Refusal as refusal:
            error = refusal.body["error"]
            body = self.refusal_body(refusal.status, error["message"], code=error["code"], param=error["param"])
            response = Response(orjson.dumps(body), refusal.status, content_type="application/json")
        finally:
            request.close()  # uploads lie in temporary files
        response.headers.setdefault("x-request-id", f"req_{uuid.uuid4().hex[:12]}")
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if not self.is_authorized(request):
            raise self.unauthorized(request)
        matched = False
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match:
                matched = True
                if method == request.method:
                    made = handler(request, *match.groups())
                    if isinstance(made, Response):
                        return made
                    if isinstance(made, bytes):
                        return Response(made, content_type="application/octet-stream")
                    return Response(orjson.dumps(made), content_type="application/json")
        raise Refusal(405 if matched else 404, f"Invalid URL ({request.method} {request.path})")

    def unauthorized(self, request: Request) -> Refusal:
        """The refusal of a bad key; it repeats the key, as some providers do, so that leaks show."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return Refusal(401, f"Incorrect API key provided: {given}.", code="invalid_api_key")

    # Files.

    def _stored(self, file_id: str) -> bytes | None:
        file = self.files.get(file_id)
        return None if file is None else file.data

    def add_file(self, data: bytes, *, filename: str, purpose: str, file_id: str = "", **fields: Any) -> FakeFile:
        file = FakeFile(file_id or self.new_file_id(), data, filename, purpose, int(time.time()), fields)
        self.files[file.id] = file
        return file

    def new_file_id(self) -> str:
        return f"file-{uuid.uuid4().hex[:24]}"

    def file(self, file_id: str) -> FakeFile:
        if file_id not in self.files:
            raise Refusal(404, f"No such File object: {file_id}", param="id")
        return self.files[file_id]

    # Jobs.

    def add_job(self, lines: list[Body], *, endpoint: str, model: str, job_id: str = "", **more: Any) -> FakeJob:
        job = FakeJob(job_id or self.new_job_id(), lines, endpoint, model, int(time.time()), **more)
        self.jobs[job.id] = job
        return job

    def new_job_id(self) -> str:
        return f"batch_{uuid.uuid4().hex[:24]}"

    def job(self, job_id: str) -> FakeJob:
        if job_id not in self.jobs:
            raise Refusal(404, f"No batch found with id '{job_id}'.")
        return self.jobs[job_id]

    def look(self, job: FakeJob) -> FakeJob:
        """A job that is looked at moves on by one step."""
        job.looks += 1
        if job.state == "cancelling":
            self.end(job, "cancelled")
        elif job.state in ("validating", "in_progress"):
            job.state = "in_progress"
            if self.looks_to_end is not None and job.looks >= self.looks_to_end:
                self.end(job, "completed")
        return job

    def cancel(self, job: FakeJob) -> FakeJob:
        if job.state in ("validating", "in_progress"):
            job.state = "cancelling"
        return job

    def end(self, job: FakeJob, state: str) -> None:
        """End a job; a completed one has run all its lines, in any order."""
        job.state, job.ended_at = state, int(time.time())
        if state == "completed":
            lines = list(job.lines)
            self.shuffle.shuffle(lines)
            job.results = [self.run(job, line) for line in lines]
        self.write_results(job)

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        """One line by the model that all fakes share."""
        body = {"model": job.model, **line["body"]}
        handler = self.model.routes[job.endpoint if job.endpoint.startswith("/v1/") else f"/v1{job.endpoint}"]
        try:
            return FakeResult(line["custom_id"], 200, handler(body))
        except Refusal as refusal:
            return FakeResult(line["custom_id"], refusal.status, refusal.body)

    def write_results(self, job: FakeJob) -> None:
        """Keep the results where this provider has them; by default nowhere."""


def json_lines(data: bytes) -> list[Body]:
    """The lines of a JSONL file."""
    return [orjson.loads(line) for line in data.splitlines() if line.strip()]


def to_json_lines(lines: Iterable[Any]) -> bytes:
    """A JSONL file of `lines`."""
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)
