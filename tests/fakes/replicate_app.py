"""Replicate's files (contracts: providers, 26): cursor URLs, a signed download, and a day to live."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from werkzeug import Request, Response

from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, FakeFile, Handler, ProviderApp

DAY_S = 24 * 3600
PAGE = 3


class ReplicateApp(ProviderApp):
    """Only files. The download takes its signature instead of the key."""

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", r"/v1/account", lambda _: {"type": "organization", "username": "acme", "name": "Acme"}),
            ("POST", r"/v1/files", self._upload),
            ("GET", r"/v1/files", self._list),
            ("GET", r"/v1/files/([^/]+)", lambda request, file_id: file_object(self.file(file_id), request)),
            ("DELETE", r"/v1/files/([^/]+)", self._delete),
            ("GET", r"/v1/files/([^/]+)/download", self._download),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        return {"title": "Refused", "detail": message, "status": status}

    def is_authorized(self, request: Request) -> bool:
        return request.path.endswith("/download") or super().is_authorized(request)

    def _upload(self, request: Request) -> Response:
        sent = request.files.get("content")
        if sent is None:
            raise Refusal(400, "Missing content")
        metadata = orjson.loads(request.form.get("metadata", "{}"))
        kind = sent.content_type or "application/octet-stream"
        file = self.add_file(
            sent.read(), filename=sent.filename or "", purpose="", metadata=metadata, content_type=kind
        )
        return Response(orjson.dumps(file_object(file, request)), 201, content_type="application/json")

    def _list(self, request: Request) -> Body:
        start = int(request.args.get("cursor", "0"))
        files = list(reversed(self.files.values()))
        following = f"{_origin(request)}/v1/files?{urlencode({'cursor': start + PAGE})}"
        return {
            "previous": None,
            "next": following if start + PAGE < len(files) else None,
            "results": [file_object(file, request) for file in files[start : start + PAGE]],
        }

    def _delete(self, _: Request, file_id: str) -> Response:
        del self.files[self.file(file_id).id]
        return Response(status=204)

    def _download(self, request: Request, file_id: str) -> bytes:
        file = self.file(file_id)
        if request.args.get("signature") != _signature(file):
            raise Refusal(403, "The signature is wrong.")
        return file.data


def file_object(file: FakeFile, request: Request) -> Body:
    """A file as the API tells it; where it is downloaded is on the host that was asked."""
    query = urlencode({"owner": "acme", "expiry": file.created_at + 3600, "signature": _signature(file)})
    return {
        "id": file.id,
        "name": file.filename,
        "content_type": file.fields["content_type"],
        "size": len(file.data),
        "etag": hashlib.md5(file.data).hexdigest(),
        "checksums": {"sha256": hashlib.sha256(file.data).hexdigest(), "md5": hashlib.md5(file.data).hexdigest()},
        "metadata": file.fields["metadata"],
        "created_at": _told(file.created_at),
        "expires_at": _told(file.created_at + DAY_S),
        "urls": {"get": f"{_origin(request)}/v1/files/{file.id}/download?{query}"},
    }


def _origin(request: Request) -> str:
    parts = urlsplit(request.base_url)
    return f"{parts.scheme}://{request.headers.get('Host', parts.netloc)}"


def _signature(file: FakeFile) -> str:
    return hashlib.sha256(f"signed {file.id}".encode()).hexdigest()


def _told(instant_s: float) -> str:
    return datetime.fromtimestamp(instant_s, UTC).isoformat().replace("+00:00", "Z")
