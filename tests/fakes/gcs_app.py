"""A small Google Cloud Storage (contracts: providers, 7): the JSON API for objects of any bucket, in memory."""

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote, unquote

import orjson
import requests
from werkzeug import Request, Response

from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, Handler

CHUNK_BYTES = 256 * 1024
METADATA = {"name", "contentType", "metadata"}


class Store(Protocol):
    """Where a job reads and writes."""

    def get(self, bucket: str, key: str) -> bytes | None: ...

    def put(self, bucket: str, key: str, data: bytes) -> None: ...


@dataclass
class Stored:
    """An object in a bucket."""

    data: bytes
    kind: str = "application/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)
    created: float = field(default_factory=time.time)


class Memory:
    """Buckets and their objects."""

    def __init__(self, *buckets: str) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {name: {} for name in buckets}

    def get(self, bucket: str, key: str) -> bytes | None:
        found = self.buckets.get(bucket, {}).get(key)
        return found.data if found else None

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self.buckets[bucket][key] = Stored(data)


class Remote:
    """Objects of a server that speaks the JSON API, such as fake-gcs-server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, bucket: str, key: str) -> bytes | None:
        url = f"{self.url}/storage/v1/b/{bucket}/o/{quote(key, safe='')}"
        answer = requests.get(url, params={"alt": "media"}, timeout=10)
        return answer.content if answer.status_code == 200 else None

    def put(self, bucket: str, key: str, data: bytes) -> None:
        query = {"uploadType": "media", "name": key}
        requests.post(
            f"{self.url}/upload/storage/v1/b/{bucket}/o", params=query, data=data, timeout=10
        ).raise_for_status()


class GCS:
    """Routes for `memory`'s objects. `page` is the most that a list holds, `origin` where uploads are sent to."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.page = 1000
        self.origin = ""
        self.sessions: dict[str, Body] = {}

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", r"(?:/resumable)?/upload/storage/v1/b/([^/]+)/o", self._upload),
            ("PUT", r"(?:/resumable)?/upload/storage/v1/b/([^/]+)/o", self._continue),
            ("GET", r"/storage/v1/b/([^/]+)/o", self._list),
            ("GET", r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)", self._get),
            ("DELETE", r"/storage/v1/b/([^/]+)/o/([^/]+)", self._delete),
        ]

    def objects(self, bucket: str) -> dict[str, Stored]:
        """What is in a bucket, by name."""
        if bucket not in self.memory.buckets:
            raise Refusal(404, "The specified bucket does not exist.", code="notFound")
        return self.memory.buckets[bucket]

    def _upload(self, request: Request, bucket: str) -> Any:
        kind, name = request.args.get("uploadType"), request.args.get("name")
        if kind == "media":
            _expect(name, "Required object name cannot be empty.")
            return self._store(bucket, str(name), request.get_data(), request.content_type or "", {})
        if kind == "multipart":
            told, data = _parts(request)
            return self._store(bucket, told["name"], data, told.get("contentType", ""), told.get("metadata", {}))
        _expect(kind == "resumable", "Invalid upload type.")
        told = _metadata(request.get_data() or b"{}")
        name = name or told.get("name")
        _expect(name, "Required object name cannot be empty.")
        self.objects(bucket)
        session = uuid.uuid4().hex
        length = request.headers.get("X-Upload-Content-Length")
        self.sessions[session] = {**told, "name": name, "data": b"", "length": length}
        origin = self.origin or f"http://{request.headers['Host']}"
        return Response(b"", headers={"Location": f"{origin}{request.path}?uploadType=resumable&upload_id={session}"})

    def _continue(self, request: Request, bucket: str) -> Any:
        session = self.sessions.get(request.args.get("upload_id", ""))
        if session is None:
            raise Refusal(404, "The upload session was not found.", code="notFound")
        span, _, total = request.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        data = request.get_data()
        if span and span != "*":
            first, last = map(int, span.split("-"))
            _expect(last - first + 1 == len(data), "Content-Range does not match Content-Length.")
            _expect(first == len(session["data"]), "Invalid request. The offset is not where the upload is.")
        session["data"] += b"" if span == "*" else data
        held = len(session["data"])
        if total in ("", str(held)):
            _expect(session["length"] in (None, str(held)), "The upload has not the length that it was to have.")
            del self.sessions[request.args["upload_id"]]
            kind, metadata = session.get("contentType", ""), session.get("metadata", {})
            return self._store(bucket, session["name"], session["data"], kind, metadata)
        _expect(span == "*" or len(data) % CHUNK_BYTES == 0, "Chunks must be multiples of 256 KiB.")
        return Response(b"", 308, headers={"Range": f"bytes=0-{held - 1}"} if held else {})

    def _store(self, bucket: str, name: str, data: bytes, kind: str, metadata: dict[str, str]) -> Body:
        _expect(0 < len(name.encode()) <= 1024 and not {"\r", "\n"} & set(name), "Invalid object name.")
        made = Stored(data, kind or "application/octet-stream", metadata)
        self.objects(bucket)[name] = made
        return _told(bucket, name, made)

    def _list(self, request: Request, bucket: str) -> Body:
        args = request.args
        known = {"prefix", "maxResults", "pageToken", "startOffset", "projection", "prettyPrint", "fields", "alt"}
        _expect(set(args) <= known, "Unknown query parameter.")
        objects = self.objects(bucket)
        after, prefix = args.get("pageToken", ""), args.get("prefix", "")
        names = sorted(name for name in objects if name.startswith(prefix) and name > after)
        shown = names[: min(self.page, args.get("maxResults", 1000, type=int))]
        told: Body = {"kind": "storage#objects"}
        if shown:
            told["items"] = [_told(bucket, name, objects[name]) for name in shown]
        if len(names) > len(shown):
            told["nextPageToken"] = shown[-1]
        return told

    def _get(self, request: Request, bucket: str, quoted: str) -> Any:
        name = unquote(quoted)
        found = self._object(bucket, name)
        return (
            Response(found.data, content_type=found.kind)
            if request.args.get("alt") == "media"
            else _told(bucket, name, found)
        )

    def _delete(self, _: Request, bucket: str, quoted: str) -> Response:
        self._object(bucket, unquote(quoted))
        del self.objects(bucket)[unquote(quoted)]
        return Response(status=204)

    def _object(self, bucket: str, name: str) -> Stored:
        objects = self.objects(bucket)
        if name not in objects:
            raise Refusal(404, f"No such object: {bucket}/{name}", code="notFound")
        return objects[name]


def _parts(request: Request) -> tuple[Body, bytes]:
    """The metadata and the bytes of a multipart/related upload."""
    kind, _, boundary = (request.content_type or "").partition("boundary=")
    _expect(kind.startswith("multipart/related") and boundary, "Invalid multipart request.")
    mark = b"--" + boundary.strip("\"'").encode()
    start, first, rest = request.get_data().split(mark, 2)
    second, _, end = rest.rpartition(b"\r\n" + mark)
    _expect(not start.strip() and end.strip() == b"--", "Invalid multipart request.")
    return _metadata(first.partition(b"\r\n\r\n")[2]), second.partition(b"\r\n\r\n")[2]


def _metadata(data: bytes) -> Body:
    told = orjson.loads(data)
    _expect(isinstance(told, dict) and set(told) <= METADATA | {"bucket", "crc32c", "md5Hash"}, "Invalid metadata.")
    texts = told.get("metadata", {})
    _expect(all(isinstance(text, str) for text in texts.values()), "Custom metadata must be strings.")
    return dict(told)


def _told(bucket: str, name: str, found: Stored) -> Body:
    created = datetime.fromtimestamp(found.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/1",
        "name": name,
        "bucket": bucket,
        "generation": "1",
        "metageneration": "1",
        "contentType": found.kind,
        "storageClass": "STANDARD",
        "size": str(len(found.data)),
        "timeCreated": created,
        "updated": created,
        **({"metadata": found.metadata} if found.metadata else {}),
    }


def _expect(holds: Any, message: str) -> None:
    if not holds:
        raise Refusal(400, message, code="invalid")
