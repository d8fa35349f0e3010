"""The XML API of Google Cloud Storage, as far as a blob store needs it: objects, ranges, conditions, uploads in parts.

fake-gcs-server writes by the JSON API only. Like the real one this takes object names with escaped slashes, answers 412
when `x-goog-if-generation-match: 0` finds an object, and shows nothing of an upload in parts before it is completed.
"""

import hashlib
import itertools
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from flask import Flask, Response, request

LEAST_PART_BYTES = 5 * 2**20
XML = "application/xml"


@dataclass
class Bucket:
    """What is stored: `objects` by name, `uploads` that were begun by their ids."""

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)


class GcsXml:
    """A server with one bucket, called `bucket`. `app` is its WSGI application."""

    def __init__(self, bucket: str) -> None:
        self.name = bucket
        self.bucket = Bucket()
        self._lock = threading.Lock()
        self._numbers: Iterator[int] = itertools.count(1)
        self.app = Flask(__name__)
        self.app.add_url_rule("/<bucket>/<path:name>", view_func=self._serve, methods=["GET", "PUT", "POST", "DELETE"])

    def _serve(self, bucket: str, name: str) -> Response:
        if bucket != self.name:
            return _error(404, "NoSuchBucket")
        body = request.get_data()
        with self._lock:
            if request.method == "PUT":
                return self._put_part(body) if "uploadId" in request.args else self._put(name, body)
            if request.method == "POST":
                return self._complete(name, body) if "uploadId" in request.args else self._begin(name)
            if request.method == "DELETE":
                return self._abort() if "uploadId" in request.args else self._delete(name)
            return self._get(name)

    def _put(self, name: str, body: bytes) -> Response:
        if request.headers.get("x-goog-if-generation-match") == "0" and name in self.bucket.objects:
            return _error(412, "PreconditionFailed")
        self.bucket.objects[name] = body
        return Response(headers=self._headers(body))

    def _get(self, name: str) -> Response:
        data = self.bucket.objects.get(name)
        if data is None:
            return _error(404, "NoSuchKey")
        headers = self._headers(data)
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if span is None:
            return Response(data, headers=headers)
        start, stop = int(span[1]), min(int(span[2] or len(data)) + 1, len(data))
        if start >= len(data):
            return _error(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return Response(data[start:stop], 206, headers=headers)

    def _delete(self, name: str) -> Response:
        return _error(404, "NoSuchKey") if self.bucket.objects.pop(name, None) is None else Response(status=204)

    def _begin(self, name: str) -> Response:
        upload = f"upload-{next(self._numbers)}"
        self.bucket.uploads[upload] = {}
        text = f"<Bucket>{self.name}</Bucket><Key>{name}</Key><UploadId>{upload}</UploadId>"
        return Response(f"<InitiateMultipartUploadResult>{text}</InitiateMultipartUploadResult>", mimetype=XML)

    def _put_part(self, body: bytes) -> Response:
        parts = self.bucket.uploads.get(request.args["uploadId"])
        if parts is None:
            return _error(404, "NoSuchUpload")
        parts[int(request.args["partNumber"])] = body
        return Response(headers={"ETag": _etag(body)})

    def _complete(self, name: str, body: bytes) -> Response:
        parts = self.bucket.uploads.get(request.args["uploadId"])
        if parts is None:
            return _error(404, "NoSuchUpload")
        found = re.findall(r"<Part>(.*?)</Part>", body.decode().replace("&quot;", '"'), re.DOTALL)
        listed = [(int(_tag(part, "PartNumber")), _tag(part, "ETag")) for part in found]
        if any(number not in parts or _etag(parts[number]) != etag for number, etag in listed):
            return _error(400, "InvalidPart")
        if any(len(parts[number]) < LEAST_PART_BYTES for number, _ in listed[:-1]):
            return _error(400, "EntityTooSmall")
        del self.bucket.uploads[request.args["uploadId"]]
        data = self.bucket.objects[name] = b"".join(parts[number] for number, _ in listed)
        text = f"<CompleteMultipartUploadResult><ETag>{_etag(data)}</ETag></CompleteMultipartUploadResult>"
        return Response(text, mimetype=XML, headers=self._headers(b""))

    def _abort(self) -> Response:
        found = self.bucket.uploads.pop(request.args["uploadId"], None)
        return _error(404, "NoSuchUpload") if found is None else Response(status=204)

    def _headers(self, data: bytes) -> dict[str, str]:
        return {
            "ETag": _etag(data),
            "Last-Modified": "Mon, 30 Nov 2026 09:00:00 GMT",
            "x-goog-generation": str(next(self._numbers)),
        }


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    assert found is not None, text
    return found[1].strip()


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _error(status: int, code: str) -> Response:
    return Response(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>", status, mimetype=XML)
