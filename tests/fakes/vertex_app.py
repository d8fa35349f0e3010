"""Vertex (contracts: providers, 7): jobs whose lines lie in a bucket, single calls, and the tokens that open both."""

import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from werkzeug import Request

from tests.fakes import google_keys, vertex_lines
from tests.fakes.gcs_app import GCS, Memory, Store
from tests.fakes.gemini_dialect import expect, message
from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, FakeJob, FakeResult, Handler, ProviderApp, json_lines, to_json_lines

PROJECT, NUMBER, LOCATION, BUCKET = "acme-tests", "123456789012", "us-central1", "acme-batches"
MOST_LINES = 200_000
STATES = {
    "validating": "PENDING",
    "in_progress": "RUNNING",
    "completed": "SUCCEEDED",
    "failed": "FAILED",
    "cancelling": "CANCELLING",
    "cancelled": "CANCELLED",
    "expired": "EXPIRED",
}
OVER = ("completed", "failed", "cancelled", "expired")
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
}
MODEL = re.compile(r"(projects/[^/]+/locations/[^/]+/)?(publishers/[^/]+/)?models/[^/]+")
FILTER = re.compile(r'labels\.([a-z][a-z0-9_-]*)="?([a-z0-9_-]*)"?')
URI = re.compile(r"gs://([^/]+)/(.+)")
JOB: Body = {"displayName": str, "model": str, "inputConfig": dict, "outputConfig": dict, "labels": dict}
INPUT: Body = {"instancesFormat": str, "gcsSource": dict}
OUTPUT: Body = {"predictionsFormat": str, "gcsDestination": dict}


class VertexApp(ProviderApp):
    """Its bytes lie in `store`: memory of its own behind the API of GCS, unless a test puts another there.

    Switches: `part_rows` (in one file of the results), `page` (the most jobs in a list), `lifetime_s` (of tokens).
    `api_key` is the token that the account's key is given; `gcs` has its own switches.
    """

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        self.memory = Memory(BUCKET)
        self.store: Store = self.memory
        self.gcs = GCS(self.memory)
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.token = api_key or "ya29.anything"
        self.lifetime_s = 3600
        self.tokens_given = 0
        self.part_rows = 30
        self.page = 100

    def routes(self) -> list[tuple[str, str, Handler]]:
        base = rf"/(?:v1|v1beta1)/projects/(?:{PROJECT}|{NUMBER})/locations/{LOCATION}"
        jobs = rf"{base}/batchPredictionJobs"
        google, anthropic = (
            rf"{base}/publishers/google/models/([^/:]+)",
            rf"{base}/publishers/anthropic/models/([^/:]+)",
        )
        return [
            ("POST", r"/token", self._token),
            ("POST", jobs, self._create),
            ("GET", jobs, self._list_jobs),
            ("GET", rf"{jobs}/(\d+)", lambda _, name: self._job_object(self.look(self.job(name)))),
            ("POST", rf"{jobs}/(\d+):cancel", self._cancel),
            ("DELETE", rf"{jobs}/(\d+)", self._delete_job),
            ("POST", rf"{google}:generateContent", lambda r, m: vertex_lines.generated(self.model, r.get_json(), m)),
            ("POST", rf"{google}:embedContent", lambda r, _: vertex_lines.embedded(self.model, r.get_json())),
            ("POST", rf"{google}:batchEmbedContents", lambda r, _: vertex_lines.many(self.model, r.get_json())),
            ("POST", rf"{google}:predict", lambda r, _: vertex_lines.predicted(self.model, r.get_json())),
            ("POST", rf"{anthropic}:rawPredict", lambda r, m: vertex_lines.messaged(self.model, r.get_json(), m)),
            *self.gcs.routes(),
        ]

    def environment(self, url: str) -> dict[str, str]:
        """What an operator sets for an account here; `url` is where this app is served."""
        return {
            "VERTEX_CREDENTIALS": google_keys.service_account(f"{url}/token"),
            "VERTEX_BASE_URL": url,
            "VERTEX_STORAGE_URL": url,
            "VERTEX_BUCKET": BUCKET,
            "VERTEX_PREFIX": "gateway",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        if code in ("notFound", "invalid"):
            reasons = [{"message": message, "domain": "global", "reason": code}]
            return {"error": {"code": status, "message": message, "errors": reasons}}
        if code == "invalid_grant":
            return {"error": code, "error_description": message}
        known = code or STATUSES.get(status, "UNKNOWN")
        return {"error": {"code": status, "message": message, "status": known}}

    def is_authorized(self, request: Request) -> bool:
        return request.path == "/token" or super().is_authorized(request)

    def unauthorized(self, request: Request) -> Refusal:
        given = request.headers.get("Authorization", "")
        return Refusal(401, f"Request had invalid authentication credentials: {given}.", code="UNAUTHENTICATED")

    def _token(self, request: Request) -> Body:
        wrong = google_keys.complaint(request.form)
        if wrong is not None:
            raise Refusal(400, wrong, code="invalid_grant")
        self.tokens_given += 1
        return {"access_token": self.token, "expires_in": self.lifetime_s, "token_type": "Bearer"}

    # Jobs.

    def new_job_id(self) -> str:
        return str(uuid.uuid4().int)[:19]

    def job(self, job_id: str) -> FakeJob:
        if job_id not in self.jobs:
            raise Refusal(404, f"The BatchPredictionJob does not exist: {job_id}.", code="NOT_FOUND")
        return self.jobs[job_id]

    def _create(self, request: Request) -> Body:
        asked = message(request.get_json(), JOB, "batch_prediction_job")
        expect(0 < len(asked.get("displayName", "")) <= 128, "display_name must have 1 to 128 characters")
        expect(bool(MODEL.fullmatch(asked.get("model", ""))), "model must be the name of a model")
        vertex_lines.check_labels(asked.get("labels", {}))
        source = message(asked.get("inputConfig", {}), INPUT, "input_config")
        target = message(asked.get("outputConfig", {}), OUTPUT, "output_config")
        expect(source.get("instancesFormat") == "jsonl", "instances_format must be jsonl")
        expect(target.get("predictionsFormat") == "jsonl", "predictions_format must be jsonl")
        uris = message(source.get("gcsSource", {}), {"uris": list}, "gcs_source").get("uris", [])
        prefix = message(target.get("gcsDestination", {}), {"outputUriPrefix": str}, "gcs_destination")
        expect(len(uris) == 1 and isinstance(uris[0], str) and bool(URI.fullmatch(uris[0])), "uris must be gs:// URIs")
        expect(bool(URI.fullmatch(prefix.get("outputUriPrefix", ""))), "output_uri_prefix must be a gs:// URI")
        lines, wrong = self._lines(uris[0])
        job = self.add_job(lines, endpoint="", model=asked["model"], input_id=uris[0], fields={"asked": asked})
        if wrong is not None:
            job.fields["error"] = wrong
            self.end(job, "failed")
        return self._job_object(job)

    def _lines(self, uri: str) -> tuple[list[Body], Body | None]:
        """The lines of an input, and what is wrong with it, if anything is."""
        match = URI.fullmatch(uri)
        data = self.store.get(match[1], match[2]) if match else None
        if data is None:
            return [], {"code": 5, "message": f"The input was not found: {uri}"}
        try:
            lines = json_lines(data)
        except orjson.JSONDecodeError:
            return [], {"code": 3, "message": "Failed to parse the input as JSONL."}
        if not 0 < len(lines) <= MOST_LINES or not all(isinstance(line, dict) for line in lines):
            return [], {"code": 3, "message": f"The input must have 1 to {MOST_LINES} JSON objects."}
        return lines, None

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        status, row = vertex_lines.row(self.model, line, job.model)
        return FakeResult("", status, row)

    def write_results(self, job: FakeJob) -> None:
        if not job.results:
            return
        moment = datetime.fromtimestamp(job.ended_at or 0, UTC).isoformat().replace("+00:00", f".{job.id[-6:]}Z")
        prefix = job.fields["asked"]["outputConfig"]["gcsDestination"]["outputUriPrefix"].rstrip("/")
        job.output_id = f"{prefix}/prediction-model-{moment}"
        match = URI.fullmatch(job.output_id)
        assert match is not None
        rows = [result.body for result in job.results]
        parts = [rows[at : at + self.part_rows] for at in range(0, len(rows), self.part_rows)]
        for number, part in enumerate(parts):
            name = f"predictions_{number:05}.jsonl" if number else "predictions.jsonl"
            self.store.put(match[1], f"{match[2]}/{name}", to_json_lines(part))

    def _list_jobs(self, request: Request) -> Body:
        expect(set(request.args) <= {"filter", "pageSize", "pageToken", "readMask"}, "Unknown query parameter")
        wanted = self._filter(request.args.get("filter", ""))
        found = [self._job_object(job) for job in reversed(self.jobs.values()) if wanted(job)]
        size = min(request.args.get("pageSize", 50, type=int) or 50, self.page)
        start = int(request.args.get("pageToken") or 0)
        told: Body = {"batchPredictionJobs": found[start : start + size]} if found else {}
        return {**told, "nextPageToken": str(start + size)} if len(found) > start + size else told

    def _filter(self, text: str) -> Callable[[FakeJob], bool]:
        if not text:
            return lambda _: True
        match = FILTER.fullmatch(text)
        expect(match is not None, f"Invalid filter: {text}")
        assert match is not None
        name, value = match.groups()
        return lambda job: bool(job.fields["asked"].get("labels", {}).get(name) == value)

    def _cancel(self, request: Request, name: str) -> Body:
        job = self.job(name)
        expect(request.get_json(silent=True) in ({}, None), "Unknown name in the body")
        if job.state in OVER:
            raise Refusal(400, f"The job is in state {STATES[job.state]}.", code="FAILED_PRECONDITION")
        self.cancel(job)
        return {}

    def _delete_job(self, _: Request, name: str) -> Body:
        job = self.job(name)
        if job.state not in OVER:
            raise Refusal(400, "The job must be over to be deleted.", code="FAILED_PRECONDITION")
        del self.jobs[job.id]
        kind = "type.googleapis.com/google.protobuf.Empty"
        operation = f"projects/{NUMBER}/locations/{LOCATION}/operations/{uuid.uuid4().int % 10**18}"
        return {"name": operation, "done": True, "response": {"@type": kind}}

    def _job_object(self, job: FakeJob) -> Body:
        asked = job.fields["asked"]
        told: Body = {
            "name": f"projects/{NUMBER}/locations/{LOCATION}/batchPredictionJobs/{job.id}",
            **asked,
            "state": f"JOB_STATE_{job.fields.get('state') or STATES[job.state]}",
            "createTime": _told(job.created_at),
            "updateTime": _told(job.ended_at or job.created_at),
            "modelVersionId": "1",
        }
        if job.looks:
            told["startTime"] = _told(job.created_at)
        if job.state in OVER:
            told["endTime"] = _told(job.ended_at or job.created_at)
            bad = sum(result.status >= 400 for result in job.results)
            left = len(job.lines) - len(job.results)
            counts = {
                "successfulCount": len(job.results) - bad,
                "failedCount": bad,
                "incompleteCount": left if job.lines else -1,
            }
            told["completionStats"] = {name: str(count) for name, count in counts.items() if count}
        if job.state == "cancelled":
            told["error"] = {"code": 1, "message": "CANCELED"}
        if "error" in job.fields:
            told["error"] = job.fields["error"]
        if job.fields.get("partial"):
            told["partialFailures"] = job.fields["partial"]
        if job.output_id is not None:
            told["outputInfo"] = {"gcsOutputDirectory": job.output_id}
        return told


def _told(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s or time.time(), UTC).isoformat().replace("+00:00", ".123456Z")
