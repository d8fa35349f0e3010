"""Mistral (contracts: providers, 9): pages by number, jobs of its own, lines checked at upload, texts as bodies."""

import uuid
from typing import Any

import orjson
from werkzeug import Request

from tests.fakes import model_rules
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
EMBEDDINGS = "/v1/embeddings"
MODERATIONS = "/v1/moderations"
ENDPOINTS = (CHAT, EMBEDDINGS, MODERATIONS, "/v1/ocr")
STATES = {
    "validating": "QUEUED",
    "in_progress": "RUNNING",
    "completed": "SUCCESS",
    "failed": "FAILED",
    "expired": "TIMEOUT_EXCEEDED",
    "cancelling": "CANCELLATION_REQUESTED",
    "cancelled": "CANCELLED",
}
# All fields that Mistral knows, by the SDK's name of the object that has them (`test_mistral_app` compares them).
FIELDS = {
    "ChatCompletionRequest": "model messages temperature top_p max_tokens stream stop random_seed metadata"
    " response_format tools tool_choice presence_penalty frequency_penalty min_tokens repetition_penalty top_k logprobs"
    " top_logprobs prompt_logprobs top_prompt_logprobs n prediction parallel_tool_calls reasoning_effort prompt_mode"
    " guardrails prompt_cache_key service_tier safe_prompt",
    "EmbeddingRequest": "model input metadata output_dimension output_dtype encoding_format",
    "ClassificationRequest": "model input metadata",
    "SystemMessage": "role content",
    "UserMessage": "role content",
    "AssistantMessage": "role content tool_calls prefix",
    "ToolMessage": "role content tool_call_id name",
    "ToolCall": "id type index function",
    "FunctionCall": "name arguments",
    "Tool": "type function",
    "Function": "name description strict parameters",
    "ToolChoice": "type function",
    "FunctionName": "name",
    "ResponseFormat": "type json_schema",
    "JSONSchema": "name description schema strict",
    "Prediction": "type content",
    "TextChunk": "type text",
    "ImageURLChunk": "type image_url",
    "ImageURL": "url detail",
    "DocumentURLChunk": "type document_url document_name",
    "FileChunk": "type file_id",
    "AudioChunk": "type input_audio",
    "ThinkChunk": "type thinking signature closed",
    "ReferenceChunk": "type reference_ids",
}
REQUESTS = {CHAT: "ChatCompletionRequest", EMBEDDINGS: "EmbeddingRequest", MODERATIONS: "ClassificationRequest"}
MESSAGES = {"system": "SystemMessage", "user": "UserMessage", "assistant": "AssistantMessage", "tool": "ToolMessage"}
CHUNKS = {
    "text": "TextChunk",
    "image_url": "ImageURLChunk",
    "document_url": "DocumentURLChunk",
    "file": "FileChunk",
    "input_audio": "AudioChunk",
    "thinking": "ThinkChunk",
    "reference": "ReferenceChunk",
}
TERMINAL = ("completed", "failed", "expired", "cancelled")


class MistralApp(ProviderApp):
    """Mistral's API; it knows no field of a request but its own.

    Switches: `cancelled_lines` (how many lines of a cancelled job have run all the same), `keeps_on` (a job that is
    over is answered as it is when it is cancelled; else the cancel is refused).
    """

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.cancelled_lines = 0
        self.keeps_on = True

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", CHAT, self._complete),
            ("POST", EMBEDDINGS, self._embed),
            ("GET", "/v1/models", lambda _: {"object": "list", "data": [{"id": "mistral-small-latest"}]}),
            ("POST", "/v1/files", self._upload),
            ("GET", "/v1/files", self._list_files),
            ("GET", "/v1/files/([^/]+)", lambda _, file_id: self._file_object(self.file(file_id))),
            ("DELETE", "/v1/files/([^/]+)", self._delete_file),
            ("GET", "/v1/files/([^/]+)/content", lambda _, file_id: self.file(file_id).data),
            ("POST", "/v1/batch/jobs", self._create),
            ("GET", "/v1/batch/jobs", self._list_jobs),
            ("GET", "/v1/batch/jobs/([^/]+)", lambda _, job_id: self._job_object(self.look(self.job(job_id)))),
            ("POST", "/v1/batch/jobs/([^/]+)/cancel", self._cancel),
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

    def _embed(self, request: Request) -> Body:
        body = request.get_json()
        _known("EmbeddingRequest", body)
        return self.model.routes[EMBEDDINGS](body)

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
                    _check_line(line["body"])
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
        job = self.job(job_id)
        if job.state in TERMINAL and not self.keeps_on:
            raise Refusal(409, "Job is already over")
        return self._job_object(self.cancel(job))

    def _delete_job(self, _: Request, job_id: str) -> Body:
        del self.jobs[self.job(job_id).id]
        return {"id": job_id, "object": "batch", "deleted": True}

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        result = super().run(job, line)
        if result.status < 400 and job.endpoint == CHAT:
            result.body = _answer(result.body)
        return result

    def end(self, job: FakeJob, state: str) -> None:
        if state == "cancelled":
            job.results = [self.run(job, line) for line in job.lines[: self.cancelled_lines]]
        super().end(job, state)

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


def _check_line(body: Body) -> None:
    """A line of a file is checked before anybody says which endpoint it is for."""
    if "messages" in body:
        _check_chat(body)
    elif not any(_unknown(kind, body) == set() for kind in ("EmbeddingRequest", "ClassificationRequest")):
        raise Refusal(422, "Invalid file format.")


def _check_chat(body: Body) -> None:
    _known("ChatCompletionRequest", body)
    for message in body["messages"]:
        _check_message(message)
    for tool in body.get("tools") or ():
        _known("Tool", tool)
        _known("Function", tool["function"], needs=("name", "parameters"))
    choice, wanted, guess = body.get("tool_choice"), body.get("response_format"), body.get("prediction")
    if isinstance(choice, dict):
        _known("ToolChoice", choice)
        _known("FunctionName", choice["function"])
    if wanted is not None:
        _known("ResponseFormat", wanted)
        _known("JSONSchema", wanted.get("json_schema", {}))
    if guess is not None:
        _known("Prediction", guess)
        _expect(isinstance(guess["content"], str), "prediction.content")
    _expect(body.get("temperature", 0) <= 1.5, "temperature")
    _expect(body.get("service_tier", "auto") in ("auto", "standard_only"), "service_tier")
    _expect(body.get("reasoning_effort", "none") in ("none", "high"), "reasoning_effort")
    model_rules.mistral(body["messages"])


def _check_message(message: Body) -> None:
    _expect(message.get("role") in MESSAGES, "role")
    _known(MESSAGES[message["role"]], message)
    if isinstance(message.get("content"), list):
        for chunk in message["content"]:
            _expect(chunk.get("type") in CHUNKS, "content.type")
            _known(CHUNKS[chunk["type"]], chunk)
            if isinstance(chunk.get("image_url"), dict):
                _known("ImageURL", chunk["image_url"])
            for name in ("text", "input_audio", "document_url", "file_id"):
                _expect(isinstance(chunk.get(name, ""), str), name)
    for call in message.get("tool_calls") or ():
        _known("ToolCall", call)
        _known("FunctionCall", call["function"])
        _expect(len(call["id"]) == 9 and call["id"].isalnum(), "tool_calls.id")


def _known(kind: str, given: Body, *, needs: tuple[str, ...] = ()) -> None:
    unknown = _unknown(kind, given)
    if unknown:
        raise Refusal(422, f"Extra inputs are not permitted: {', '.join(sorted(unknown))}", param=kind)
    missing = set(needs) - set(given)
    if missing:
        raise Refusal(422, f"Field required: {', '.join(sorted(missing))}", param=kind)


def _unknown(kind: str, given: Body) -> set[str]:
    return set(given) - set(FIELDS[kind].split())


def _expect(holds: bool, name: str) -> None:
    if not holds:
        raise Refusal(422, f"Input is not valid: {name}", param=name)


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
