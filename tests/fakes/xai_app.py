"""xAI as its REST surface is told (contracts: providers, 11): token paging, no status, results as pages of JSON."""

import time
from datetime import UTC, datetime
from typing import Any

from werkzeug import Request

from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, FakeFile, FakeJob, FakeResult, Handler, ProviderApp, json_lines

RESPONSE_KEYS = {
    "/v1/chat/completions": "chat_get_completion",
    "/v1/responses": "responses",
    "/v1/images/generations": "image_generation",
}
DAY_S = 24 * 3600
INVALID_ARGUMENT = 3
CANCELLED = 1


class XAIApp(ProviderApp):
    """Batches are made from files whose lines may differ in URL and model."""

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.most_per_page = 1000

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", r"/v1/models", self._models),
            ("POST", r"/v1/chat/completions", self._complete),
            ("POST", r"/v1/files", self._upload),
            ("GET", r"/v1/files", self._list_files),
            ("GET", r"/v1/files/([^/]+)", lambda _, file_id: file_object(self.file(file_id))),
            ("DELETE", r"/v1/files/([^/]+)", self._delete_file),
            ("GET", r"/v1/files/([^/]+)/content", lambda _, file_id: self.file(file_id).data),
            ("POST", r"/v1/batches", self._create),
            ("GET", r"/v1/batches", self._list_batches),
            ("GET", r"/v1/batches/([^/:]+)", lambda _, job_id: batch_object(self.look(self.job(job_id)))),
            ("POST", r"/v1/batches/([^/:]+):cancel", self._cancel),
            ("GET", r"/v1/batches/([^/:]+)/results", self._results),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        return {"code": code or "Client specified an invalid argument", "error": message}

    def new_file_id(self) -> str:
        return super().new_file_id().replace("file-", "file_")

    def _models(self, _: Request) -> Body:
        model = {"id": "grok-4", "object": "model", "created": 1700000000, "owned_by": "xai"}
        return {"object": "list", "data": [model]}

    def _complete(self, request: Request) -> Body:
        return self.model.routes["/v1/chat/completions"](request.get_json())

    def _upload(self, request: Request) -> Body:
        sent = request.files.get("file")
        if sent is None:
            raise Refusal(400, "A file is required.")
        seconds = request.form.get("expires_after")
        expires = {"expires_at": int(time.time()) + int(seconds)} if seconds else {}
        return file_object(self.add_file(sent.read(), filename=sent.filename or "", purpose="", **expires))

    def _list_files(self, request: Request) -> Body:
        page, token = self._page([file_object(file) for file in reversed(self.files.values())], request, limit=100)
        return {"data": page, "pagination_token": token}

    def _delete_file(self, _: Request, file_id: str) -> Body:
        del self.files[self.file(file_id).id]
        return {"id": file_id, "deleted": True}

    def _create(self, request: Request) -> Body:
        asked = request.get_json()
        if not isinstance(asked.get("name"), str):
            raise Refusal(422, "Failed to deserialize the JSON body: missing field `name`")
        source = self.file(asked["input_file_id"])
        job = self.add_job(
            json_lines(source.data), endpoint="", model="", input_id=source.id, fields={"name": asked["name"]}
        )
        return batch_object(job)

    def _list_batches(self, request: Request) -> Body:
        page, token = self._page([batch_object(job) for job in reversed(self.jobs.values())], request, limit=100)
        return {"batches": page, "pagination_token": token}

    def _cancel(self, _: Request, job_id: str) -> Body:
        job = self.cancel(self.job(job_id))
        if job.state == "cancelling":
            job.fields["cancel_time"] = told(time.time())
        return batch_object(job)

    def end(self, job: FakeJob, state: str) -> None:
        super().end(job, state)
        if state == "cancelled":
            job.results = [FakeResult(line["custom_id"], 0, {"code": CANCELLED}) for line in job.lines]

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        job.endpoint = line["url"]
        return super().run(job, line)

    def _results(self, request: Request, job_id: str) -> Body:
        job = self.job(job_id)
        urls = {line["custom_id"]: line["url"] for line in job.lines}
        rows = [_row(result, urls[result.custom_id]) for result in job.results]
        page, token = self._page(rows, request, limit=self.most_per_page)
        return {"results": page, "pagination_token": token}

    def _page(self, items: list[Any], request: Request, *, limit: int) -> tuple[list[Any], str | None]:
        size = min(request.args.get("limit", limit, type=int), limit)
        start = int(request.args.get("pagination_token", "at-0").removeprefix("at-"))
        return items[start : start + size], f"at-{start + size}" if start + size < len(items) else None


def file_object(file: FakeFile) -> Body:
    """The purpose is echoed empty, whatever it was."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.data),
        "created_at": file.created_at,
        "filename": file.filename,
        "purpose": "",
        **file.fields,
    }


def batch_object(job: FakeJob) -> Body:
    """There is no status: it shows in the counts and the times."""
    total = 0 if job.state == "validating" else len(job.lines)
    done = len(job.results)
    failed = sum(1 for result in job.results if result.status >= 400)
    cancelled = sum(1 for result in job.results if not result.status)
    return {
        "batch_id": job.id,
        "name": job.fields["name"],
        "create_time": told(job.created_at),
        "expire_time": job.fields.get("expire_time") or told(job.created_at + DAY_S),
        "cancel_time": job.fields.get("cancel_time"),
        "cancel_by_xai_message": job.fields.get("cancel_by_xai_message"),
        "create_api_key_id": "key_1",
        "state": {
            "num_requests": total,
            "num_pending": max(total - done, 0),
            "num_success": done - failed - cancelled,
            "num_error": failed,
            "num_cancelled": cancelled,
        },
        "cost_breakdown": {"total_cost_usd_ticks": 1000, "endpoint_costs": []},
        "input_file_id": job.input_id,
    }


def told(instant_s: float) -> str:
    """RFC 3339, with microseconds."""
    return datetime.fromtimestamp(instant_s, UTC).isoformat().replace("+00:00", "Z")


def _row(result: FakeResult, url: str) -> Body:
    if not result.status:
        came = {"error": {"code": CANCELLED, "message": "The batch was cancelled."}}
    elif result.status >= 400:
        came = {"error": {"code": INVALID_ARGUMENT, "message": result.body["error"]["message"]}}
    else:
        came = {"response": {RESPONSE_KEYS[url]: result.body}}
    return {"batch_request_id": result.custom_id, "batch_result": came}
