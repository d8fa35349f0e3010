"""Fireworks (contracts: providers, 13): datasets, jobs under ids of the caller's choice, results behind signed URLs."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from werkzeug import Request

from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, FakeFile, FakeJob, Handler, ProviderApp, json_lines, to_json_lines

GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8}
STATES = {
    "validating": "VALIDATING",
    "in_progress": "RUNNING",
    "completed": "COMPLETED",
    "failed": "FAILED",
    "expired": "EXPIRED",
    "cancelling": "DELETING_CLEANING_UP",
}
RESULTS = "BIJOutputSet.jsonl"
REFUSED = "error-data"
DAY_S = 24 * 3600


class FireworksApp(ProviderApp):
    """Switches: `looks_until_ready` (of a dataset after its upload), `origin` (where signed URLs lead; by default to
    the host that was asked), `error_rows` (how a refused line is written: object, text or nested)."""

    def __init__(self, *, api_key: str = "", account: str = "acme", looks_to_end: int | None = 2) -> None:
        self.account = account
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.looks_until_ready = 0
        self.origin = ""
        self.error_rows = "object"

    def routes(self) -> list[tuple[str, str, Handler]]:
        account = f"/v1/accounts/{self.account}"
        return [
            ("POST", r"/inference/v1/chat/completions", self._complete),
            ("GET", r"/inference/v1/models", lambda _: {"object": "list", "data": []}),
            ("GET", r"/v1/accounts", self._accounts),
            ("POST", rf"{account}/datasets", self._create_dataset),
            ("GET", rf"{account}/datasets", self._list_datasets),
            ("GET", rf"{account}/datasets/([^/:]+)", self._dataset),
            ("DELETE", rf"{account}/datasets/([^/:]+)", self._delete_dataset),
            ("POST", rf"{account}/datasets/([^/:]+):upload", self._upload),
            ("GET", rf"{account}/datasets/([^/:]+):getDownloadEndpoint", self._download_endpoint),
            ("POST", rf"{account}/batchInferenceJobs", self._create_job),
            ("GET", rf"{account}/batchInferenceJobs", self._list_jobs),
            ("GET", rf"{account}/batchInferenceJobs/([^/:]+)", self._job),
            ("DELETE", rf"{account}/batchInferenceJobs/([^/:]+)", self._delete_job),
            ("GET", r"/signed/([^/]+)/([^/]+)", self._signed),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        if code == "UNAUTHORIZED":
            return {
                "error": {"message": message, "param": None, "code": code, "type": "error"},
                "request_id": "req-1",
            }
        return {"code": GRPC_CODES.get(status, 2), "message": message, "details": []}

    def unauthorized(self, request: Request) -> Refusal:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return Refusal(403, f"The API key {given} is not valid.", code="UNAUTHORIZED")

    def is_authorized(self, request: Request) -> bool:
        return request.path.startswith("/signed/") or super().is_authorized(request)

    def file(self, file_id: str) -> FakeFile:
        if file_id not in self.files:
            raise Refusal(404, f"dataset accounts/{self.account}/datasets/{file_id} not found")
        return self.files[file_id]

    def job(self, job_id: str) -> FakeJob:
        if job_id not in self.jobs:
            raise Refusal(404, f"batch inference job {job_id} not found")
        return self.jobs[job_id]

    def _complete(self, request: Request) -> Body:
        return self.model.routes["/v1/chat/completions"](request.get_json())

    def _accounts(self, _: Request) -> Body:
        account = {"name": f"accounts/{self.account}", "email": "a@example.com", "state": "READY"}
        return {"accounts": [account], "nextPageToken": "", "totalSize": 1}

    # Datasets.

    def _create_dataset(self, request: Request) -> Body:
        asked = request.get_json()
        name, described = asked.get("datasetId"), asked.get("dataset", {})
        if not isinstance(name, str) or not isinstance(described.get("exampleCount"), str):
            raise Refusal(400, "dataset_id and example_count are required")
        if name in self.files:
            raise Refusal(409, f"dataset {name} already exists")
        fields = {"displayName": described.get("displayName", ""), "exampleCount": described["exampleCount"]}
        return self._dataset_object(
            self.add_file(b"", filename="", purpose="", file_id=name, state="UPLOADING", **fields)
        )

    def _upload(self, request: Request, name: str) -> Body:
        file, sent = self.file(name), request.files.get("file")
        if sent is None:
            raise Refusal(400, "file is required")
        file.data, file.filename = sent.read(), sent.filename or ""
        file.fields["looks"] = self.looks_until_ready
        return {
            "id": file.id,
            "object": "file",
            "bytes": len(file.data),
            "created_at": file.created_at,
            "filename": file.filename,
            "purpose": "dataset",
        }

    def _dataset(self, _: Request, name: str) -> Body:
        file = self.file(name)
        if file.fields.get("looks") == 0:
            file.fields["state"] = "READY"
        elif "looks" in file.fields:
            file.fields["looks"] -= 1
        return self._dataset_object(file)

    def _list_datasets(self, request: Request) -> Body:
        found = [self._dataset_object(file) for file in reversed(self.files.values())]
        page, token = _page(found, request)
        return {"datasets": page, "nextPageToken": token, "totalSize": len(found)}

    def _delete_dataset(self, _: Request, name: str) -> Body:
        del self.files[self.file(name).id]
        return {}

    def _dataset_object(self, file: FakeFile) -> Body:
        return {
            "name": f"accounts/{self.account}/datasets/{file.id}",
            "displayName": file.fields.get("displayName", ""),
            "createTime": _told(file.created_at),
            "state": file.fields.get("state", "READY"),
            "status": {"code": "OK", "message": ""},
            "exampleCount": file.fields.get("exampleCount", "0"),
            "userUploaded": {},
            "format": "FORMAT_UNSPECIFIED",
            "createdBy": "a@example.com",
            "updateTime": _told(file.created_at),
        }

    def _download_endpoint(self, request: Request, name: str) -> Body:
        file = self.file(name)
        parts = file.fields.get("parts") or {file.filename: file.data}
        origin = self.origin or f"http://{request.headers['Host']}"
        signature = hashlib.sha256(name.encode()).hexdigest()
        urls = {f"dataset/{name}/{part}": f"{origin}/signed/{name}/{part}?sig={signature}" for part in parts}
        return {"filenameToSignedUrls": urls}

    def _signed(self, request: Request, name: str, part: str) -> bytes:
        if "Authorization" in request.headers:
            raise Refusal(400, "Signed URLs take no credential")
        file = self.file(name)
        return (file.fields.get("parts") or {file.filename: file.data})[part]

    # Jobs.

    def _create_job(self, request: Request) -> Body:
        asked, slug = request.get_json(), request.args.get("batchInferenceJobId") or self.new_job_id()
        source = self.file(asked["inputDatasetId"].rpartition("/")[2])
        if source.fields.get("state") != "READY":
            raise Refusal(400, f"dataset {source.id} is not ready")
        if slug in self.jobs:
            raise Refusal(409, f"batch inference job {slug} already exists")
        fields = {"displayName": asked.get("displayName", "")}
        lines, model = json_lines(source.data), asked["model"]
        job = self.add_job(lines, endpoint="/v1/chat/completions", model=model, job_id=slug, input_id=source.id)
        job.fields = fields
        return self._job_object(job)

    def _job(self, _: Request, slug: str) -> Body:
        job = self.job(slug)
        if job.state == "cancelling":
            if job.fields.pop("seen_deleting", None):
                del self.jobs[slug]
                raise Refusal(404, f"batch inference job {slug} not found")
            job.fields["seen_deleting"] = True
            return self._job_object(job)
        return self._job_object(self.look(job))

    def _list_jobs(self, request: Request) -> Body:
        found = [self._job_object(job) for job in reversed(self.jobs.values())]
        page, token = _page(found, request)
        return {"batchInferenceJobs": page, "nextPageToken": token, "totalSize": len(found)}

    def _delete_job(self, _: Request, slug: str) -> Body:
        job = self.job(slug)
        if self.cancel(job).state != "cancelling":
            del self.jobs[slug]
        return {}

    def write_results(self, job: FakeJob) -> None:
        if job.state != "completed":
            return
        good = [{"custom_id": row.custom_id, "response": row.body} for row in job.results if row.status < 400]
        bad = [self._error_row(row.custom_id, row.status, row.body) for row in job.results if row.status >= 400]
        parts = {RESULTS: to_json_lines(good), REFUSED: to_json_lines(bad)}
        made = self.add_file(b"", filename=RESULTS, purpose="", file_id=f"{job.id}-output", parts=parts)
        job.output_id = made.id

    def _error_row(self, custom_id: str, status: int, body: Body) -> Body:
        message = body["error"]["message"]
        if self.error_rows == "text":
            return {"custom_id": custom_id, "error": message}
        if self.error_rows == "nested":
            return {"custom_id": custom_id, "response": {"status_code": status, "body": body}}
        return {"custom_id": custom_id, "error": {"message": message, "code": "INVALID_ARGUMENT"}}

    def _job_object(self, job: FakeJob) -> Body:
        resource = f"accounts/{self.account}"
        failed = sum(1 for result in job.results if result.status >= 400)
        given = sum(result.body.get("usage", {}).get("prompt_tokens", 0) for result in job.results)
        made = sum(result.body.get("usage", {}).get("completion_tokens", 0) for result in job.results)
        progress = {
            "percent": 100 if job.results else 0,
            "totalInputRequests": len(job.lines),
            "totalProcessedRequests": len(job.results),
            "successfullyProcessedRequests": len(job.results) - failed,
            "failedRequests": failed,
            "outputRows": len(job.results) - failed,
            "inputTokens": str(given),
            "outputTokens": str(made),
            "cachedInputTokenCount": "0",
        }
        lifecycle = {"validatedTime": _told(job.created_at), "runStartTime": _told(job.created_at)}
        if job.ended_at:
            lifecycle["endTime"] = _told(job.ended_at)
        running = job.state != "validating"
        return {
            "name": f"{resource}/batchInferenceJobs/{job.id}",
            "displayName": job.fields["displayName"],
            "createTime": _told(job.created_at),
            "updateTime": _told(job.ended_at or job.created_at),
            "expireTime": _told(job.created_at + DAY_S),
            "createdBy": "a@example.com",
            "state": f"JOB_STATE_{STATES[job.state]}",
            "status": job.fields.get("status") or {"code": "OK", "message": ""},
            "model": job.model,
            "inputDatasetId": f"{resource}/datasets/{job.input_id}",
            "outputDatasetId": f"{resource}/datasets/{job.id}-output",
            "inferenceParameters": None,
            "systemPrompt": "",
            "precision": "PRECISION_UNSPECIFIED",
            "jobProgress": progress if running else None,
            "lifecycle": lifecycle if running else None,
            "waitingOnCapacity": False,
        }


def _page(items: list[Any], request: Request) -> tuple[list[Any], str]:
    size = min(request.args.get("pageSize", 50, type=int), 200)
    start = int(request.args.get("pageToken") or "0")
    return items[start : start + size], str(start + size) if start + size < len(items) else ""


def _told(instant_s: float) -> str:
    return datetime.fromtimestamp(instant_s, UTC).isoformat().replace("+00:00", "Z")
