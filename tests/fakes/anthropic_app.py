"""Anthropic (contracts: providers, 4): files in two shapes of list, Message Batches, messages one by one."""

import base64
import re
import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import orjson
from werkzeug import Request, Response

from tests.fakes import anthropic_messages as messages
from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, FakeFile, FakeJob, FakeResult, Handler, ProviderApp, to_json_lines

# The documented version, and that of the newest SDK.
VERSIONS = ("2023-06-01", "2026-10-21")
LEGACY_FILES = "files-api-2025-04-14"
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TERMINAL = ("completed", "cancelled", "expired")
STATES = {"validating": "in_progress", "in_progress": "in_progress", "cancelling": "canceling"}
DAY_S = 24 * 3600
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
MODELS = ("claude-sonnet-4-5", "claude-opus-5")


class AnthropicApp(ProviderApp):
    """Switch: `cancelled_lines` (how many lines a cancelled batch has answered)."""

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.cancelled_lines = 0

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", "/v1/messages", self._message),
            ("GET", "/v1/models", self._models),
            ("POST", "/v1/files", self._upload),
            ("GET", "/v1/files", self._list_files),
            ("GET", "/v1/files/([^/]+)", lambda _, file_id: _file_object(self.file(file_id))),
            ("DELETE", "/v1/files/([^/]+)", self._delete_file),
            ("GET", "/v1/files/([^/]+)/content", self._content),
            ("POST", "/v1/messages/batches", self._create),
            ("GET", "/v1/messages/batches", self._list_batches),
            ("GET", "/v1/messages/batches/([^/]+)", self._retrieve),
            ("DELETE", "/v1/messages/batches/([^/]+)", self._delete_batch),
            ("POST", "/v1/messages/batches/([^/]+)/cancel", self._cancel),
            ("GET", "/v1/messages/batches/([^/]+)/results", self._results),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        error: Body = {"type": TYPES.get(status, "api_error"), "message": message}
        if code is not None and status != 401:
            error["details"] = {"error_code": code}
        return {"type": "error", "error": error, "request_id": _request_id()}

    def is_authorized(self, request: Request) -> bool:
        if request.headers.get("anthropic-version") not in VERSIONS:
            raise Refusal(400, "anthropic-version: header is required")
        if not self.api_key:
            return True
        # Keys come in either header: the newest SDK sends them as tokens.
        given = request.headers.get("x-api-key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        return given == self.api_key

    def unauthorized(self, request: Request) -> Refusal:
        return Refusal(
            401, f"invalid x-api-key: {request.headers.get('x-api-key') or request.headers.get('Authorization')}"
        )

    def __call__(self, environ: Any, start_response: Any) -> Any:
        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            named = [("request-id" if name.lower() == "x-request-id" else name, value) for name, value in headers]
            return start_response(status, named, *more)

        return super().__call__(environ, started)

    def _message(self, request: Request) -> Body:
        return self._answered(request.get_json(), tier="standard")

    def _answered(self, params: Body, *, tier: str) -> Body:
        if params.get("stream"):
            raise Refusal(400, "stream: streaming is not supported here")
        if "anthropic_version" in params:
            raise Refusal(400, "anthropic_version: Extra inputs are not permitted")
        chat = messages.chat_of(params)
        return messages.message_of(self.model.routes["/v1/chat/completions"](chat), tier=tier)

    def _models(self, _: Request) -> Body:
        found = [
            {"id": name, "type": "model", "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in MODELS
        ]
        return {"data": found, "has_more": False, "first_id": found[0]["id"], "last_id": found[-1]["id"]}

    # Files.

    def new_file_id(self) -> str:
        return f"file_{uuid.uuid4().hex[:24]}"

    def _upload(self, request: Request) -> Body:
        sent = request.files.get("file")
        if sent is None:
            raise Refusal(400, "file: Field required")
        unknown = set(request.form) - {"expires_in_seconds"}
        if unknown:
            raise Refusal(400, f"{min(unknown)}: Extra inputs are not permitted")
        fields: Body = {"mime_type": sent.content_type or "application/octet-stream"}
        if "expires_in_seconds" in request.form:
            seconds = request.form["expires_in_seconds"]
            if not seconds.isdigit() or not 3600 <= int(seconds) <= 7_776_000:
                raise Refusal(400, "expires_in_seconds: must be between 3600 and 7776000")
            fields["expires_at"] = int(time.time()) + int(seconds)
        return _file_object(self.add_file(sent.read(), filename=sent.filename or "unnamed", purpose="", **fields))

    def _list_files(self, request: Request) -> Body:
        found = [_file_object(file) for file in reversed(self.files.values())]
        if LEGACY_FILES in request.headers.get("anthropic-beta", ""):
            _only(request, "limit", "after_id", "before_id", "ids[]")
            return _after(found, request)
        _only(request, "limit", "page", "ids[]")
        if "ids[]" in request.args:
            wanted = request.args.getlist("ids[]")
            return {"data": [file for file in found if file["id"] in wanted], "next_page": None}
        start, limit = _cursor(request.args.get("page")), _limit(request)
        more = len(found) > start + limit
        return {"data": found[start : start + limit], "next_page": _cursor_of(start + limit) if more else None}

    def _delete_file(self, _: Request, file_id: str) -> Body:
        del self.files[self.file(file_id).id]
        return {"id": file_id, "type": "file_deleted"}

    def _content(self, _: Request, file_id: str) -> bytes:
        file = self.file(file_id)
        if not file.fields.get("downloadable"):
            raise Refusal(400, "This file cannot be downloaded.", code="file_not_downloadable")
        return file.data

    # Batches.

    def new_job_id(self) -> str:
        return f"msgbatch_{uuid.uuid4().hex[:24]}"

    def _create(self, request: Request) -> Body:
        asked = request.get_json()
        if set(asked) != {"requests"} or not isinstance(asked["requests"], list) or not asked["requests"]:
            raise Refusal(400, "requests: List should have at least 1 item after validation")
        for number, line in enumerate(asked["requests"]):
            where = f"requests.{number}"
            if not isinstance(line, dict) or set(line) != {"custom_id", "params"}:
                raise Refusal(400, f"{where}: must have custom_id and params and nothing else")
            if not isinstance(line["custom_id"], str) or not CUSTOM_ID.fullmatch(line["custom_id"]):
                raise Refusal(400, f"{where}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
        counts = Counter(line["custom_id"] for line in asked["requests"])
        if max(counts.values()) > 1:
            raise Refusal(400, f"requests: Custom_id {counts.most_common(1)[0][0]!r} is not unique")
        return batch_object(self.add_job(asked["requests"], endpoint="", model="", fields={"host": request.host_url}))

    def _retrieve(self, _: Request, job_id: str) -> Response:
        told = batch_object(self.look(self.job(job_id)))
        headers = {} if told["ended_at"] else {"retry-after": "10"}
        return Response(orjson.dumps(told), headers=headers, content_type="application/json")

    def _list_batches(self, request: Request) -> Body:
        _only(request, "limit", "after_id", "before_id")
        return _after([batch_object(job) for job in reversed(self.jobs.values())], request)

    def _cancel(self, _: Request, job_id: str) -> Body:
        job = self.job(job_id)
        if job.state in TERMINAL:
            raise Refusal(400, f"Batch {job_id} cannot be canceled because it has already ended.")
        job.fields.setdefault("cancel_initiated_at", int(time.time()))
        return batch_object(self.cancel(job))

    def _delete_batch(self, _: Request, job_id: str) -> Body:
        if self.job(job_id).state not in TERMINAL:
            raise Refusal(400, f"Batch {job_id} cannot be deleted because it is still processing.")
        del self.jobs[job_id]
        return {"id": job_id, "type": "message_batch_deleted"}

    def _results(self, _: Request, job_id: str) -> Response:
        job = self.job(job_id)
        if job.state not in TERMINAL:
            raise Refusal(404, f"Batch {job_id} has no available results.")
        rows = [{"custom_id": result.custom_id, "result": result.body} for result in job.results]
        return Response(to_json_lines(rows), content_type="application/x-jsonl")

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        """A row of results: `body` is the result as the provider writes it."""
        try:
            told = {"type": "succeeded", "message": self._answered(line["params"], tier="batch")}
            return FakeResult(line["custom_id"], 200, told)
        except Refusal as refusal:
            error = self.refusal_body(refusal.status, refusal.body["error"]["message"])
            return FakeResult(line["custom_id"], refusal.status, {"type": "errored", "error": error})

    def end(self, job: FakeJob, state: str) -> None:
        if state in ("cancelled", "expired"):
            kind = {"cancelled": "canceled", "expired": "expired"}[state]
            kept = self.cancelled_lines if state == "cancelled" else 0
            job.results = [self.run(job, line) for line in job.lines[:kept]]
            job.results += [FakeResult(line["custom_id"], 0, {"type": kind}) for line in job.lines[kept:]]
        super().end(job, state)


def batch_object(job: FakeJob) -> Body:
    """A MessageBatch; its counts stay where they are until the end."""
    over = job.state in TERMINAL
    kinds = Counter(result.body["type"] for result in job.results)
    names = ("succeeded", "errored", "canceled", "expired")
    return {
        "id": job.id,
        "type": "message_batch",
        "processing_status": "ended" if over else STATES[job.state],
        "request_counts": {
            "processing": 0 if over else len(job.lines),
            **{name: kinds[name] if over else 0 for name in names},
        },
        "created_at": _instant(job.created_at),
        "expires_at": _instant(job.created_at + DAY_S),
        "ended_at": _instant(job.ended_at) if over else None,
        "cancel_initiated_at": _instant(job.fields.get("cancel_initiated_at")),
        "archived_at": None,
        "results_url": f"{job.fields.get('host')}v1/messages/batches/{job.id}/results" if over else None,
    }


def _file_object(file: FakeFile) -> Body:
    return {
        "id": file.id,
        "type": "file",
        "filename": file.filename,
        "mime_type": file.fields.get("mime_type", "text/plain"),
        "size_bytes": len(file.data),
        "created_at": _instant(file.created_at),
        "downloadable": bool(file.fields.get("downloadable")),
        "expires_at": _instant(file.fields.get("expires_at")),
    }


def _instant(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _request_id() -> str:
    return f"req_{uuid.uuid4().hex[:24]}"


def _only(request: Request, *names: str) -> None:
    unknown = set(request.args) - set(names)
    if unknown:
        raise Refusal(400, f"{min(unknown)}: Extra inputs are not permitted")


def _limit(request: Request) -> int:
    limit = request.args.get("limit", "20")
    if not limit.isdigit() or not 1 <= int(limit) <= 1000:
        raise Refusal(400, "limit: Input should be between 1 and 1000")
    return int(limit)


def _after(found: list[Body], request: Request) -> Body:
    places = {item["id"]: place for place, item in enumerate(found)}
    after = request.args.get("after_id")
    if after is not None and after not in places:
        raise Refusal(400, "after_id: no such object")
    start, limit = places[after] + 1 if after else 0, _limit(request)
    page = found[start : start + limit]
    return {
        "data": page,
        "has_more": len(found) > start + limit,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def _cursor_of(start: int) -> str:
    return "page_" + base64.urlsafe_b64encode(str(start).encode()).decode()


def _cursor(page: str | None) -> int:
    if page is None:
        return 0
    if not page.startswith("page_"):
        raise Refusal(400, "page: Invalid cursor")
    return int(base64.urlsafe_b64decode(page.removeprefix("page_")))
