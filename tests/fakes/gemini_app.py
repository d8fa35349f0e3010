"""Gemini's Developer API (contracts: providers, 8): uploads in two steps, and batches that are operations."""

import base64
import hashlib
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from werkzeug import Request, Response

from tests.fakes import gemini_dialect as dialect
from tests.fakes import model_rules
from tests.fakes.gemini_dialect import expect, message, wrong
from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, FakeFile, FakeJob, FakeResult, Handler, ProviderApp, to_json_lines

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
KEPT_S = 48 * 3600
MOST_INLINE_BYTES = 20 * 2**20
CHUNK_BYTES = 8 * 2**20
LINES_TYPES = ("application/jsonl", "jsonl", "text/plain")
STATES = {
    "validating": "PENDING",
    "in_progress": "RUNNING",
    "completed": "SUCCEEDED",
    "failed": "FAILED",
    "cancelling": "RUNNING",
    "cancelled": "CANCELLED",
    "expired": "EXPIRED",
}
OVER = ("completed", "failed", "cancelled", "expired")
ENDS = {"failed": (3, "The input is malformed."), "cancelled": (1, "Cancelled."), "expired": (4, "Expired.")}
STATUSES = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 499: 1, 500: 13, 503: 14, 504: 4}
TYPES = "type.googleapis.com/google.ai.generativelanguage.v1beta."
FILE: Body = {"displayName": str, "mimeType": str, "name": str, "sizeBytes": (str, int)}
BATCH: Body = {"displayName": str, "inputConfig": dict, "priority": (str, int), "webhookConfig": dict, "model": str}
INPUT: Body = {"fileName": str, "requests": dict}


class GeminiApp(ProviderApp):
    """Switches: `looks_until_active` (of a new file), `places` (where the results of a batch are told: response,
    output), `origin` (where uploads are sent to; by default the host that was asked), `chunk_bytes`."""

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.looks_until_active = 1
        self.places = ("response", "output")
        self.origin = ""
        self.chunk_bytes = CHUNK_BYTES
        self.uploads: dict[str, Body] = {}

    def routes(self) -> list[tuple[str, str, Handler]]:
        base, batch = r"/(?:v1|v1beta|v1alpha)", r"/(batches/[^/:]+)"
        models = rf"{base}/models/([^/:]+)"
        return [
            ("POST", rf"/upload{base}/files", self._upload),
            ("GET", rf"{base}/files", self._list_files),
            ("GET", rf"{base}/(files/[^/:]+)", self._file),
            ("DELETE", rf"{base}/(files/[^/:]+)", self._delete_file),
            ("GET", rf"(?:/download)?{base}/(files/[^/:]+):download", self._content),
            ("GET", rf"{base}/models", lambda _: {"models": [{"name": "models/gemini-2.5-flash"}]}),
            ("POST", rf"{models}:generateContent", lambda r, model: self._generate(r.get_json(), model)),
            ("POST", rf"{models}:embedContent", lambda r, model: self._embed(r.get_json(), counted="usageMetadata")),
            ("POST", rf"{models}:batchEmbedContents", self._embed_many),
            ("POST", rf"{models}:batchGenerateContent", lambda r, model: self._create(r, model, CHAT)),
            ("POST", rf"{models}:asyncBatchEmbedContent", lambda r, model: self._create(r, model, EMBEDDINGS)),
            ("GET", rf"{base}/batches", self._list_batches),
            ("GET", rf"{base}{batch}", lambda _, name: self._operation(self.look(self.job(name)))),
            ("POST", rf"{base}{batch}:cancel", self._cancel),
            ("DELETE", rf"{base}{batch}", self._delete_batch),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        error: Body = {"code": status, "message": message, "status": code or STATUSES.get(status, "UNKNOWN")}
        if code == "API_KEY_INVALID":
            info = {"reason": code, "domain": "googleapis.com", "metadata": {"service": "generativelanguage"}}
            error |= {"status": "INVALID_ARGUMENT"}
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
        return {"error": error}

    def is_authorized(self, request: Request) -> bool:
        given = request.headers.get("x-goog-api-key") or request.args.get("key")
        return not self.api_key or given == self.api_key or request.args.get("upload_id") in self.uploads

    def unauthorized(self, request: Request) -> Refusal:
        given = request.headers.get("x-goog-api-key", "")
        return Refusal(400, f"API key not valid. Please pass a valid API key: {given}", code="API_KEY_INVALID")

    # Single calls.

    def _generate(self, request: Any, model: str) -> Body:
        chat = {**dialect.to_chat(request, model), "model": model}
        model_rules.gemini(request, model, vertex=False)
        if dialect.is_blocked(chat):
            return dialect.blocked(model)
        return dialect.from_chat([self.model.routes[CHAT](chat) for _ in range(chat.get("n", 1))], model)

    def _embed(self, request: Any, *, counted: str) -> Body:
        """The vector of a text; `counted`: where the tokens are told."""
        answer = self.model.routes[EMBEDDINGS]({"model": "m", "input": dialect.text_to_embed(request)})
        tokens = answer["usage"]["prompt_tokens"]
        told = {"usageMetadata": {"promptTokenCount": tokens}, "tokenCount": str(tokens)}
        return {"embedding": {"values": answer["data"][0]["embedding"]}, counted: told[counted]}

    def _embed_many(self, request: Request, model: str) -> Body:
        asked = message(request.get_json(), {"requests": list}, "")["requests"]
        expect(all(item.get("model") == f"models/{model}" for item in asked), "requests[].model must be the model")
        return {"embeddings": [self._embed(item, counted="tokenCount")["embedding"] for item in asked]}

    # Files.

    def new_file_id(self) -> str:
        return f"files/{uuid.uuid4().hex[:12]}"

    def file(self, file_id: str) -> FakeFile:
        if file_id not in self.files:
            name = file_id.removeprefix("files/")
            raise Refusal(403, f"You do not have permission to access the File {name} or it may not exist.")
        return self.files[file_id]

    def _upload(self, request: Request) -> Response:
        if "upload_id" in request.args:
            return self._chunk(request, self.uploads[request.args["upload_id"]])
        told = request.headers
        expect(told.get("X-Goog-Upload-Protocol") == "resumable", "Unknown upload protocol")
        expect(told.get("X-Goog-Upload-Command") == "start", "Unknown upload command")
        length = told.get("X-Goog-Upload-Header-Content-Length", "")
        expect(length.isdigit() and int(length) <= 2 * 10**9, "X-Goog-Upload-Header-Content-Length must be a length")
        kind = told.get("X-Goog-Upload-Header-Content-Type", "")
        expect("/" in kind, "X-Goog-Upload-Header-Content-Type must be a type")
        file = message(message(request.get_json(), {"file": dict}, "").get("file", {}), FILE, "file")
        expect(file.get("mimeType", kind) == kind, "mimeType does not match the header")
        upload = uuid.uuid4().hex
        self.uploads[upload] = {"length": int(length), "type": kind, "data": b"", **file}
        origin = self.origin or f"http://{request.headers['Host']}"
        url = f"{origin}{request.path}?upload_id={upload}&upload_protocol=resumable"
        return Response(b"", headers={"x-goog-upload-url": url, "x-goog-upload-status": "active"})

    def _chunk(self, request: Request, upload: Body) -> Response:
        command = request.headers.get("X-Goog-Upload-Command", "")
        if command == "query":
            size = str(len(upload["data"]))
            return Response(b"", headers={"x-goog-upload-status": "active", "x-goog-upload-size-received": size})
        expect(command in ("upload", "upload, finalize"), "Unknown upload command")
        offset = request.headers.get("X-Goog-Upload-Offset", "")
        expect(offset == str(len(upload["data"])), "The offset is not where the upload is")
        data = request.get_data()
        if command == "upload":
            expect(bool(data) and not len(data) % self.chunk_bytes, "Chunks must be multiples of the granularity")
        upload["data"] += data
        expect(len(upload["data"]) <= upload["length"], "The upload is longer than it was said to be")
        if command == "upload":
            return Response(b"", headers={"x-goog-upload-status": "active"})
        expect(len(upload["data"]) == upload["length"], "The upload is shorter than it was said to be")
        made = self.add_file(
            upload["data"],
            filename=upload.get("displayName", ""),
            purpose="UPLOADED",
            file_id=upload.get("name", ""),
            type=upload["type"],
            looks=self.looks_until_active,
        )
        body = orjson.dumps({"file": self._file_object(made)})
        return Response(body, headers={"x-goog-upload-status": "final"}, content_type="application/json")

    def _file(self, _: Request, name: str) -> Body:
        file = self.file(name)
        told = self._file_object(file)
        file.fields["looks"] -= 1
        return told

    def _list_files(self, request: Request) -> Body:
        return _page(request, "files", list(reversed(self.files.values())), self._file_object)

    def _delete_file(self, _: Request, name: str) -> Body:
        del self.files[self.file(name).id]
        return {}

    def _content(self, request: Request, name: str) -> bytes:
        file = self.file(name)
        expect(request.args.get("alt") == "media", "alt must be media")
        if file.purpose != "GENERATED":
            raise Refusal(400, "Only generated files can be downloaded.", code="FAILED_PRECONDITION")
        return file.data

    def _file_object(self, file: FakeFile) -> Body:
        told: Body = {
            "name": file.id,
            "mimeType": file.fields["type"],
            "sizeBytes": str(len(file.data)),
            "createTime": _told(file.created_at),
            "updateTime": _told(file.created_at),
            "expirationTime": _told(file.created_at + KEPT_S),
            "sha256Hash": base64.b64encode(hashlib.sha256(file.data).hexdigest().encode()).decode(),
            "uri": f"https://generativelanguage.googleapis.com/v1beta/{file.id}",
            "state": "PROCESSING" if file.fields["looks"] > 0 else "ACTIVE",
            "source": file.purpose,
        }
        if file.filename:
            told["displayName"] = file.filename
        if file.purpose == "GENERATED":
            told["downloadUri"] = f"https://generativelanguage.googleapis.com/v1beta/{file.id}:download?alt=media"
        return told

    # Batches.

    def new_job_id(self) -> str:
        return f"batches/{uuid.uuid4().hex[:24]}"

    def job(self, job_id: str) -> FakeJob:
        if job_id not in self.jobs:
            raise Refusal(404, "Requested entity was not found.", code="NOT_FOUND")
        return self.jobs[job_id]

    def _create(self, request: Request, model: str, endpoint: str) -> Body:
        raw = request.get_data()
        expect(len(raw) < MOST_INLINE_BYTES, f"Request payload size exceeds the limit: {MOST_INLINE_BYTES} bytes.")
        batch = message(message(orjson.loads(raw), {"batch": dict}, "").get("batch", {}), BATCH, "batch")
        expect(bool(batch.get("displayName")), "batch.display_name: must be set")
        source = message(batch.get("inputConfig", {}), INPUT, "batch.input_config")
        expect(len(source) == 1, "batch.input_config: set either file_name or requests")
        fields = {"name": batch["displayName"]}
        if "fileName" in source:
            lines = self._lines(source["fileName"])
            made = self.add_job(lines or [], endpoint=endpoint, model=model, input_id=source["fileName"], fields=fields)
            if lines is None:
                self.end(made, "failed")
            return self._operation(made)
        listed = message(source["requests"], {"requests": list}, "batch.input_config.requests").get("requests", [])
        expect(bool(listed), "batch.input_config.requests: must not be empty")
        lines = []
        for number, item in enumerate(listed):
            known = {"request": dict, "metadata": dict}
            told = message(item, known, f"batch.input_config.requests.requests[{number}]")
            lines.append({"custom_id": told.get("metadata", {}).get("key"), "body": told.get("request")})
        return self._operation(self.add_job(lines, endpoint=endpoint, model=model, fields=fields))

    def _lines(self, name: str) -> list[Body] | None:
        """The lines of an input file; None when it has one that is none."""
        file = self.file(name)
        if file.fields["looks"] > 0:
            raise Refusal(400, "The file is not in an ACTIVE state.", code="FAILED_PRECONDITION")
        expect(file.fields["type"] in LINES_TYPES, f"Unsupported MIME type: {file.fields['type']}")
        found = []
        for line in file.data.splitlines():
            try:
                told = message(orjson.loads(line), {"key": str, "request": dict}, "line")
                found.append({"custom_id": told["key"], "body": told["request"]})
            except (orjson.JSONDecodeError, Refusal, KeyError):
                return None
        return found or None

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        try:
            if job.endpoint == CHAT:
                body = self._generate(line["body"], job.model)
            else:
                body = self._embed(line["body"], counted="usageMetadata" if job.input_id else "tokenCount")
        except Refusal as refusal:
            return FakeResult(line["custom_id"], refusal.status, refusal.body)
        return FakeResult(line["custom_id"], 200, body)

    def write_results(self, job: FakeJob) -> None:
        if job.state == "completed" and job.input_id is not None:
            rows = [{"key": result.custom_id, **_outcome(result)} for result in job.results]
            name = f"files/batch-{job.id.removeprefix('batches/')}"
            made = {"filename": "", "purpose": "GENERATED", "file_id": name}
            job.output_id = self.add_file(to_json_lines(rows), **made, type="application/jsonl", looks=0).id

    def _list_batches(self, request: Request) -> Body:
        return _page(request, "operations", list(reversed(self.jobs.values())), self._operation)

    def _cancel(self, _: Request, name: str) -> Body:
        job = self.job(name)
        if job.state in OVER:
            raise Refusal(400, "The batch has ended already.", code="FAILED_PRECONDITION")
        self.cancel(job)
        return {}

    def _delete_batch(self, _: Request, name: str) -> Body:
        del self.jobs[self.job(name).id]
        return {}

    def _operation(self, job: FakeJob) -> Body:
        refused = sum(result.status >= 400 for result in job.results)
        stats = {
            "requestCount": len(job.lines),
            "successfulRequestCount": len(job.results) - refused,
            "failedRequestCount": refused,
            "pendingRequestCount": len(job.lines) - len(job.results),
        }
        kind = "GenerateContentBatch" if job.endpoint == CHAT else "EmbedContentBatch"
        metadata: Body = {
            "@type": f"{TYPES}{kind}",
            "model": f"models/{job.model}",
            "displayName": job.fields["name"],
            "state": f"BATCH_STATE_{STATES[job.state]}",
            "createTime": _told(job.created_at),
            "updateTime": _told(job.ended_at or job.created_at),
            "batchStats": {name: str(count) for name, count in stats.items() if count},
            "name": job.id,
        }
        if job.input_id is not None:
            metadata["inputConfig"] = {"fileName": job.input_id}
        told: Body = {"name": job.id, "metadata": metadata}
        if job.state not in OVER:
            return told
        metadata["endTime"] = _told(job.ended_at or job.created_at)
        told["done"] = True
        if job.state in ENDS:
            code, text = ENDS[job.state]
            return {**told, "error": {"code": code, "message": text}}
        output = self._results(job)
        if "output" in self.places:
            metadata["output"] = output
        if "response" in self.places:
            told["response"] = {"@type": f"{TYPES}{kind}Output", **output}
        return told

    def _results(self, job: FakeJob) -> Body:
        if job.output_id is not None:
            return {"responsesFile": job.output_id}
        keys = [{"metadata": {"key": name}} if (name := result.custom_id) else {} for result in job.results]
        rows = [{**key, **_outcome(result)} for key, result in zip(keys, job.results, strict=True)]
        return {"inlinedResponses": {"inlinedResponses": rows}}


def _outcome(result: FakeResult) -> Body:
    if result.status < 400:
        return {"response": result.body}
    return {"error": {"code": CODES[result.status], "message": result.body["error"]["message"]}}


def _page(request: Request, name: str, found: list[Any], item: Callable[[Any], Body]) -> Body:
    size = request.args.get("pageSize", 10, type=int)
    if not 0 < size <= 100:
        raise wrong("page_size must be at most 100")
    start = int(request.args.get("pageToken") or 0)
    page: Body = {name: [item(one) for one in found[start : start + size]]} if found else {}
    return {**page, "nextPageToken": str(start + size)} if len(found) > start + size else page


def _told(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s or time.time(), UTC).isoformat().replace("+00:00", ".123456789Z")
