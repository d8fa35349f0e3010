"""Cohere (contracts: providers, 6): datasets that are checked for a while, batches by name, results in Avro."""

import hashlib
import hmac
import io
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import fastavro
import orjson
from werkzeug import Request, Response

from tests.fakes import cohere_rows as rows
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
ENDPOINTS = {"batch-chat-v2-input": CHAT, "batch-embed-v2-input": EMBEDDINGS}
STATES = {
    "validating": "QUEUED",
    "in_progress": "IN_PROGRESS",
    "completed": "COMPLETED",
    "failed": "FAILED",
    "cancelling": "CANCELING",
    "cancelled": "CANCELED",
}
SIGNED_FOR_S = 3600
SECRET = b"cohere-storage-key"


def _maybe(kind: Any) -> list[Any]:
    return ["null", kind]


def _record(name: str, /, **fields: Any) -> Body:
    described = [{"name": field, "type": kind} for field, kind in fields.items()]
    return {"type": "record", "name": name, "fields": described}


def _many(kind: Any) -> Body:
    return {"type": "array", "items": kind}


UNITS = {"input_tokens": _maybe("double"), "output_tokens": _maybe("double")}
CALL = _record("call", id="string", type="string", function=_record("function", name="string", arguments="string"))
PART = _record("part", type="string", text=_maybe("string"), thinking=_maybe("string"))
MESSAGE = _record(
    "message",
    role="string",
    content=_maybe(_many(PART)),
    tool_calls=_maybe(_many(CALL)),
    tool_plan=_maybe("string"),
)
USAGE = _record(
    "usage",
    billed_units=_maybe(_record("billed", **UNITS)),
    tokens=_maybe(_record("tokens", **UNITS)),
    cached_tokens=_maybe("double"),
)
VECTORS = _record("embeddings", float=_maybe(_many(_many("double"))))
META = _record("meta", billed_units=_maybe(_record("billed", **UNITS)))
BODIES = {
    CHAT: _record("body", id="string", finish_reason="string", message=MESSAGE, usage=_maybe(USAGE)),
    EMBEDDINGS: _record("body", id="string", embeddings=VECTORS, texts=_maybe(_many("string")), meta=_maybe(META)),
}


class CohereApp(ProviderApp):
    """Switches: `looks_until_validated` (of any dataset), `cancel_path` (what stands behind a batch's id), `origin`
    (where signed URLs lead; by default to the host that was asked), `part_rows` (in one file of the results),
    `bodies` (record or json: how an answer stands in its row), `form` (avro or jsonl), `codec` (of Avro)."""

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.looks_until_validated = 1
        self.cancel_path = ":cancel"
        self.origin = ""
        self.part_rows = 30
        self.bodies = "record"
        self.form = "avro"
        self.codec = "deflate"

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", r"/v2/chat", self._chat),
            ("POST", r"/v2/embed", self._embed),
            ("GET", r"/v1/models", self._models),
            ("POST", r"/v1/datasets", self._create_dataset),
            ("GET", r"/v1/datasets", self._list_datasets),
            ("GET", r"/v1/datasets/([^/]+)", self._dataset),
            ("DELETE", r"/v1/datasets/([^/]+)", self._delete_dataset),
            ("POST", r"/v2/batches", self._create),
            ("GET", r"/v2/batches", self._list_batches),
            ("GET", r"/v2/batches/([^/:]+)", lambda _, name: {"batch": self._batch_object(self.look(self.job(name)))}),
            ("POST", r"/v2/batches/([^/:]+)([:/]cancel)", self._cancel),
            ("GET", r"/signed/([^/]+)/(\d+)", self._signed),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        return {"id": str(uuid.uuid4()), "message": message}

    def is_authorized(self, request: Request) -> bool:
        return request.path.startswith("/signed/") or super().is_authorized(request)

    def unauthorized(self, request: Request) -> Refusal:
        return Refusal(401, f"invalid api token: {request.headers.get('Authorization', '').removeprefix('Bearer ')}")

    # Single calls.

    def _chat(self, request: Request) -> Body:
        body = request.get_json()
        return rows.from_chat(self.model.routes[CHAT]({**rows.to_chat(body, is_row=False), "model": body["model"]}))

    def _embed(self, request: Request) -> Body:
        body = request.get_json()
        made = {**rows.to_embedding(body, is_row=False), "model": body["model"]}
        return rows.from_embedding(self.model.routes[EMBEDDINGS](made), body["texts"])

    def _models(self, _: Request) -> Body:
        model = {"name": "command-a-03-2025", "endpoints": ["chat"], "finetuned": False, "context_length": 256000.0}
        return {"models": [model], "next_page_token": None}

    # Datasets.

    def new_file_id(self) -> str:
        return f"dataset-{uuid.uuid4().hex[:8]}"

    def file(self, file_id: str) -> FakeFile:
        if file_id not in self.files:
            raise Refusal(404, f"dataset with id {file_id} not found")
        return self.files[file_id]

    def _create_dataset(self, request: Request) -> Body:
        asked, sent = request.args, request.files.get("data")
        rows.expect(sent is not None, "invalid request: data is required")
        rows.expect(bool(asked.get("name")), "invalid request: name is required")
        rows.expect(asked.get("type") in ENDPOINTS, "invalid dataset type")
        assert sent is not None
        kept = {"keep_fields": asked.getlist("keep_fields"), "original": asked.get("keep_original_file") == "true"}
        made = self.add_dataset(sent.read(), name=asked["name"], kind=asked["type"], **kept)
        return {"id": made.id}

    def add_dataset(self, data: bytes, *, name: str, kind: str, **fields: Any) -> FakeFile:
        """A dataset of the caller's, in one file."""
        fields = {"parts": [data], "looks": self.looks_until_validated, "keep_fields": ["custom_id"], **fields}
        return self.add_file(data, filename=name, purpose=kind, error=_fault(data, kind, fields), **fields)

    def _dataset(self, request: Request, name: str) -> Body:
        file = self.file(name)
        told = self._dataset_object(file, request)
        file.fields["looks"] -= 1
        return {"dataset": told}

    def _list_datasets(self, request: Request) -> Body:
        found = [self._dataset_object(file, request) for file in reversed(self.files.values())]
        start, limit = request.args.get("offset", 0, type=int), min(request.args.get("limit", 50, type=int), 50)
        return {"datasets": found[start : start + limit]}

    def _delete_dataset(self, _: Request, name: str) -> Body:
        del self.files[self.file(name).id]
        return {}

    def _dataset_object(self, file: FakeFile, request: Request) -> Body:
        status = "processing" if file.fields["looks"] > 0 else "failed" if file.fields.get("error") else "validated"
        parts = [self._part(file, number, request) for number in range(len(file.fields["parts"]))]
        return {
            "id": file.id,
            "name": file.filename,
            "created_at": _told(file.created_at),
            "updated_at": _told(file.created_at),
            "dataset_type": file.purpose,
            "validation_status": status,
            "validation_error": (file.fields.get("error") or "") if status == "failed" else "",
            "schema": "",
            "required_fields": [],
            "preserve_fields": file.fields["keep_fields"],
            "dataset_parts": parts[::-1] if status == "validated" else [],  # their order is told by the index
            "validation_warnings": [],
        }

    def _part(self, file: FakeFile, number: int, request: Request) -> Body:
        data = file.fields["parts"][number]
        path = f"/signed/{file.id}/{number}"
        expires = int(time.time()) + SIGNED_FOR_S
        origin = self.origin or f"http://{request.headers['Host']}"
        url = f"{origin}{path}?X-Goog-Expires={expires}&X-Goog-Signature={_signature(path, expires)}"
        return {
            "id": f"{file.id}-{number}",
            "name": f"part-{number:03}.avro",
            "url": url,
            "index": number,
            "size_bytes": len(data),
            "num_rows": None,
            "original_url": url if file.fields.get("original") else None,
            "samples": [],
        }

    def _signed(self, request: Request, name: str, number: str) -> Response:
        expires = request.args.get("X-Goog-Expires", 0, type=int)
        right = hmac.compare_digest(_signature(request.path, expires), request.args.get("X-Goog-Signature", ""))
        if "Authorization" in request.headers or not right or expires < time.time():
            told = b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code></Error>"
            return Response(told, 403, content_type="application/xml")
        return Response(self.file(name).fields["parts"][int(number)], content_type="application/octet-stream")

    # Batches.

    def job(self, job_id: str) -> FakeJob:
        if job_id not in self.jobs:
            raise Refusal(404, f"batch with id {job_id} not found")
        return self.jobs[job_id]

    def _create(self, request: Request) -> Body:
        asked = request.get_json()
        rows.known(
            asked, dict.fromkeys(("name", "input_dataset_id", "model"), (str,)), "name", "input_dataset_id", "model"
        )
        source = self.file(asked["input_dataset_id"])
        if source.fields["looks"] > 0 or source.fields.get("error"):
            raise Refusal(400, f"dataset {source.id} is not validated")
        endpoint, lines = ENDPOINTS[source.purpose], json_lines(source.data)
        job = self.add_job(lines, endpoint=endpoint, model=asked["model"], input_id=source.id)
        job.fields["name"] = asked["name"]
        return {"batch": self._batch_object(job)}

    def _list_batches(self, request: Request) -> Body:
        """The oldest first."""
        found = [self._batch_object(job) for job in self.jobs.values()]
        size = min(request.args.get("page_size", 50, type=int), 1000)
        start = int(request.args.get("page_token") or "0")
        return {
            "batches": found[start : start + size],
            "next_page_token": str(start + size) if start + size < len(found) else "",
        }

    def _cancel(self, _: Request, job_id: str, ending: str) -> Body:
        if ending != self.cancel_path:
            raise Refusal(404, "page not found")
        job = self.job(job_id)
        if job.state not in ("validating", "in_progress", "cancelling"):
            raise Refusal(400, f"batch {job_id} can't be canceled")
        self.cancel(job)
        return {}

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        """One row by the model that all fakes share."""
        body = line["body"]
        try:
            if job.endpoint == CHAT:
                asked = {**rows.to_chat(body, is_row=True), "model": job.model}
                return FakeResult(line["custom_id"], 200, rows.from_chat(self.model.routes[CHAT](asked)))
            asked = {**rows.to_embedding(body, is_row=True), "model": job.model}
            made = rows.from_embedding(self.model.routes[EMBEDDINGS](asked), body["texts"])
            return FakeResult(line["custom_id"], 200, made)
        except Refusal as refusal:
            return FakeResult(line["custom_id"], refusal.status, refusal.body)

    def write_results(self, job: FakeJob) -> None:
        if job.state != "completed":
            return
        found = [_row(result) for result in job.results]
        parts = [
            self._packed(found[at : at + self.part_rows], job.endpoint) for at in range(0, len(found), self.part_rows)
        ]
        looks = {"looks": self.looks_until_validated, "keep_fields": []}
        kind = "batch-chat-v2-output" if job.endpoint == CHAT else "batch-embed-v2-output"
        job.output_id = self.add_file(b"", filename=f"{job.id}-output", purpose=kind, parts=parts, **looks).id

    def _packed(self, found: list[Body], endpoint: str) -> bytes:
        """A file of the results."""
        body = BODIES[endpoint]
        if self.bodies == "json":
            body = "string"
            found = [{**row, "body": orjson.dumps(row["body"]).decode()} for row in found]
        if self.form == "jsonl":
            return to_json_lines(found)
        schema = _record("row", custom_id="string", error="string", body=_maybe(body))
        file = io.BytesIO()
        fastavro.writer(file, fastavro.parse_schema(schema), found, codec=self.codec, sync_interval=2000)
        return file.getvalue()

    def _batch_object(self, job: FakeJob) -> Body:
        bad = sum(1 for result in job.results if result.status >= 400)
        given, made = (sum(_tokens(result, kind) for result in job.results) for kind in ("input", "output"))
        return {
            "id": job.id,
            "name": job.fields["name"],
            "creator_id": "user-1",
            "org_id": "org-1",
            "status": f"BATCH_STATUS_{STATES[job.state]}",
            "created_at": _told(job.created_at),
            "updated_at": _told(job.ended_at or job.created_at),
            "input_dataset_id": job.input_id,
            "output_dataset_id": job.output_id or "",
            "input_tokens": str(given),
            "output_tokens": str(made),
            "model": job.model,
            "num_records": len(job.lines) if job.looks else 0,
            "num_successful_records": len(job.results) - bad,
            "num_failed_records": bad,
            "status_reason": job.fields.get("reason", ""),
        }


def _fault(data: bytes, kind: str, fields: Body) -> str:
    """What is wrong with the rows of a dataset; nothing when it is valid."""
    try:
        found = json_lines(data)
        rows.expect("custom_id" in fields["keep_fields"] and bool(found), "custom_id must be kept")
        for row in found:
            rows.expect(isinstance(row, dict) and set(row) == {"custom_id", "body"}, "a row has custom_id and body")
            rows.expect(isinstance(row["custom_id"], str) and bool(row["custom_id"]), "custom_id must be a string")
            check = rows.to_chat if ENDPOINTS[kind] == CHAT else rows.to_embedding
            check(row["body"], is_row=True)
        rows.expect(len({row["custom_id"] for row in found}) == len(found), "custom_id must be unique")
    except Refusal as refusal:
        return str(refusal)
    except orjson.JSONDecodeError:
        return "a row is not JSON"
    return ""


def _row(result: FakeResult) -> Body:
    if result.status >= 400:
        return {"custom_id": result.custom_id, "error": result.body["error"]["message"], "body": None}
    return {"custom_id": result.custom_id, "error": "", "body": result.body}


def _tokens(result: FakeResult, kind: str) -> int:
    told = result.body.get("usage") or result.body.get("meta") or {}
    return int(told.get("billed_units", {}).get(f"{kind}_tokens", 0))


def _signature(path: str, expires: int) -> str:
    return hmac.new(SECRET, f"{path}:{expires}".encode(), hashlib.sha256).hexdigest()


def _told(instant_s: float) -> str:
    return datetime.fromtimestamp(instant_s, UTC).isoformat().replace("+00:00", "Z")
