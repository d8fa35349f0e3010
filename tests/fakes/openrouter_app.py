"""OpenRouter (contracts: providers, 15): batches whose lines and results travel within the batch itself."""

import base64
from datetime import UTC, datetime
from typing import Any

import orjson
from werkzeug import Request, Response

from tests.fakes.anthropic_messages import chat_of, message_of
from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, FakeFile, FakeJob, FakeResult, Handler, ProviderApp

TERMINAL = ("completed", "failed", "expired", "cancelled")
DAY_S = 24 * 3600
# Of files in containers: the same in every answer.
FILES_MADE_AT = 1_790_000_000


class OpenRouterApp(ProviderApp):
    """Switches: `looks_until_seen` (how often a new batch is a 404), `file_shape` (openrouter or openai)."""

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.looks_until_seen = 0
        self.file_shape = "openrouter"
        self.containers: dict[str, dict[str, bytes]] = {}

    def routes(self) -> list[tuple[str, str, Handler]]:
        base = "/api/v1"
        return [
            ("POST", rf"{base}/chat/completions", self._complete),
            ("GET", rf"{base}/models", lambda _: {"data": [{"id": "openai/gpt-5-mini"}]}),
            ("POST", rf"{base}/files", self._upload),
            ("GET", rf"{base}/files", self._list_files),
            ("GET", rf"{base}/files/([^/]+)", lambda _, file_id: self._file_object(self.file(file_id))),
            ("DELETE", rf"{base}/files/([^/]+)", self._delete_file),
            ("GET", rf"{base}/files/([^/]+)/content", self._content),
            ("POST", rf"{base}/batches", self._create),
            ("GET", rf"{base}/batches", self._list_batches),
            ("GET", rf"{base}/batches/([^/]+)", self._retrieve),
            ("DELETE", rf"{base}/batches/([^/]+)", self._delete_batch),
            ("GET", rf"{base}/containers/([^/]+)/files", self._list_container_files),
            ("GET", rf"{base}/containers/([^/]+)/files/([^/]+)", self._container_file),
            ("GET", rf"{base}/containers/([^/]+)/files/([^/]+)/content", self._container_content),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        return {"error": {"code": status, "message": message}}

    def _complete(self, request: Request) -> Body:
        return self.model.routes["/v1/chat/completions"](request.get_json())

    # Files.

    def _upload(self, request: Request) -> Body:
        sent = request.files.get("file")
        if sent is None:
            raise Refusal(400, "A file is required")
        return self._file_object(self.add_file(sent.read(), filename=sent.filename or "", purpose=""))

    def _list_files(self, request: Request) -> Body:
        found = list(self.files.values())
        page, more = _after(found, request, limit=100)
        ends = {"first_id": page[0].id if page else None, "last_id": page[-1].id if page else None, "has_more": more}
        kind = {"cursor": ends["last_id"] if more else None} if self.file_shape == "openrouter" else {"object": "list"}
        data = [self._file_object(file) for file in page]
        return {"_shape": self.file_shape, "data": data, **ends, **kind}

    def _delete_file(self, _: Request, file_id: str) -> Body:
        del self.files[self.file(file_id).id]
        gone: Body = {"type": "file_deleted"}
        if self.file_shape == "openai":
            gone = {"object": "file", "deleted": True}
        return {"_shape": self.file_shape, "id": file_id, **gone}

    def _content(self, _: Request, file_id: str) -> bytes:
        file = self.file(file_id)
        if not file.fields.get("downloadable"):
            raise Refusal(400, "Uploaded files cannot be downloaded")
        return file.data

    def _file_object(self, file: FakeFile) -> Body:
        if self.file_shape == "openai":
            return {
                "_shape": "openai",
                "id": file.id,
                "object": "file",
                "bytes": len(file.data),
                "created_at": file.created_at,
                "filename": file.filename,
                "purpose": "user_data",
                "status": "processed",
            }
        return {
            "_shape": "openrouter",
            "id": file.id,
            "type": "file",
            "size_bytes": len(file.data),
            "created_at": datetime.fromtimestamp(file.created_at, UTC).isoformat().replace("+00:00", "Z"),
            "filename": file.filename,
            "mime_type": "text/plain",
            "downloadable": bool(file.fields.get("downloadable")),
        }

    # Batches.

    def _create(self, request: Request) -> Response:
        raw = request.get_data()
        asked = orjson.loads(raw)
        names = list(asked)
        if not {"endpoint", "model"} <= set(names[: names.index("requests")]):
            raise Refusal(400, "`endpoint` and `model` must come before `requests`")
        lines = asked["requests"]
        if any(line["body"].get("model", asked["model"]) != asked["model"] for line in lines):
            raise Refusal(400, "body.model must equal the batch's model")
        if len({line["custom_id"] for line in lines}) < len(lines):
            raise Refusal(422, "custom_id must be unique")
        job = self.add_job(lines, endpoint=asked["endpoint"], model=asked["model"])
        job.fields["unseen"] = self.looks_until_seen
        return Response(orjson.dumps(batch_object(job)), 202, content_type="application/json")

    def _retrieve(self, _: Request, job_id: str) -> Body:
        job = self.job(job_id)
        if job.fields.get("unseen"):
            job.fields["unseen"] -= 1
            raise Refusal(404, "Batch not found")
        return batch_object(self.look(job), with_results=True)

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        if job.endpoint != "/v1/messages":
            return super().run(job, line)
        try:
            chat = self.model.routes["/v1/chat/completions"](chat_of({"model": job.model, **line["body"]}))
        except Refusal as refusal:
            return FakeResult(line["custom_id"], refusal.status, refusal.body)
        return FakeResult(line["custom_id"], 200, message_of(chat, tier="batch"))

    def _list_batches(self, request: Request) -> Body:
        page, more = _after(list(reversed(self.jobs.values())), request, limit=20)
        return {
            "object": "list",
            "data": [batch_object(job) for job in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": more,
        }

    def _delete_batch(self, _: Request, job_id: str) -> Body:
        job = self.job(job_id)
        if job.state not in TERMINAL:
            raise Refusal(409, "The batch has not ended")
        del self.jobs[job_id]
        targets = {"openrouter": "deleted", "upstream": {"provider": "OpenAI", "status": "unsupported"}}
        return {"id": job_id, "object": "batch", "deletion": targets}

    # Containers.

    def _list_container_files(self, request: Request, container: str) -> Body:
        found = [_container_file(container, path, data) for path, data in self._container(container).items()]
        start = next((n + 1 for n, file in enumerate(found) if file["id"] == request.args.get("after")), 0)
        page = found[start : start + request.args.get("limit", 20, type=int)]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": start + len(page) < len(found),
        }

    def _container_file(self, _: Request, container: str, file_id: str) -> Body:
        path = self._path(container, file_id)
        return _container_file(container, path, self.containers[container][path])

    def _container_content(self, _: Request, container: str, file_id: str) -> bytes:
        return self.containers[container][self._path(container, file_id)]

    def _container(self, container: str) -> dict[str, bytes]:
        if container not in self.containers:
            raise Refusal(404, "Container not found")
        return self.containers[container]

    def _path(self, container: str, file_id: str) -> str:
        for path in self._container(container):
            if _container_file_id(path) == file_id:
                return path
        raise Refusal(404, "File not found")


def batch_object(job: FakeJob, *, with_results: bool = False) -> Body:
    """A batch; its results are in it when it is asked for by id and has ended."""
    failed = sum(1 for result in job.results if result.status >= 400)
    over = job.state in TERMINAL
    given = sum(result.body.get("usage", {}).get("prompt_tokens", 0) for result in job.results)
    made = sum(result.body.get("usage", {}).get("completion_tokens", 0) for result in job.results)
    usage = {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "cost": 0.01,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": job.endpoint,
        "model": job.model,
        "completion_window": "24h",
        "created_at": job.created_at,
        "finalized_at": job.ended_at,
        "expires_at": job.created_at + DAY_S,
        "provider": None if job.state == "validating" else "OpenAI",
        "results": [_row(job, n, result) for n, result in enumerate(job.results)] if with_results and over else None,
        "status": job.state,
        "request_counts": {
            "total": len(job.lines),
            "completed": len(job.results) - failed,
            "failed": failed,
        },
        "error": {"message": job.fields["error"]} if "error" in job.fields else None,
        "usage": usage if over else None,
    }


def _row(job: FakeJob, number: int, result: FakeResult) -> Body:
    row: Body = {"id": f"{job.id}_{number}", "custom_id": result.custom_id, "response": None, "error": None}
    if result.status >= 400:
        told = result.body["error"]
        row["error"] = {**{name: told[name] for name in ("message", "type", "param")}, "error_type": "invalid_request"}
    else:
        body = {**result.body}
        if "choices" in body:
            body["choices"] = [
                {**choice, "native_finish_reason": choice["finish_reason"]} for choice in body["choices"]
            ]
        row["response"] = {"status_code": 200, "request_id": f"gen-{number}", "body": body}
    return row


def _after(items: list[Any], request: Request, *, limit: int) -> tuple[list[Any], bool]:
    start = next((n + 1 for n, item in enumerate(items) if item.id == request.args.get("after")), 0)
    page = items[start : start + request.args.get("limit", limit, type=int)]
    return page, start + len(page) < len(items)


def _container_file(container: str, path: str, data: bytes) -> Body:
    return {
        "id": _container_file_id(path),
        "object": "container.file",
        "container_id": container,
        "bytes": len(data),
        "created_at": FILES_MADE_AT,
        "path": path,
        "source": "assistant",
    }


def _container_file_id(path: str) -> str:
    return "cfile_" + base64.urlsafe_b64encode(path.encode()).decode().rstrip("=")
