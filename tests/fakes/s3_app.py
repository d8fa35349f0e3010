"""A small S3 (contracts: providers, 5.1): objects in memory, addressed by path. Signatures are checked."""

import hashlib
import time
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from werkzeug import Request, Response

from tests.fakes import aws_wire

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
META = "x-amz-meta-"
MESSAGES = {
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "SignatureDoesNotMatch": (403, "The request signature we calculated does not match the signature you provided."),
    "ExpiredToken": (400, "The provided token has expired."),
    "XAmzContentSHA256Mismatch": (400, "The provided 'x-amz-content-sha256' header does not match what was computed."),
}


@dataclass
class Stored:
    """An object in a bucket."""

    data: bytes
    meta: dict[str, str] = field(default_factory=dict)
    modified: float = field(default_factory=time.time)

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'


class Memory:
    """Buckets and their objects; what a job reads and writes."""

    def __init__(self, *buckets: str) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {name: {} for name in buckets}

    def get(self, bucket: str, key: str) -> bytes | None:
        found = self.buckets.get(bucket, {}).get(key)
        return found.data if found else None

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self.buckets[bucket][key] = Stored(data)

    def keys(self, bucket: str, prefix: str) -> list[str]:
        return sorted(key for key in self.buckets.get(bucket, {}) if key.startswith(prefix))


class S3:
    """Answers requests for `memory`'s objects. `page` is the most that a list holds."""

    def __init__(self, memory: Memory, *, access_key_id: str, region: str) -> None:
        self.memory = memory
        self.access_key_id = access_key_id
        self.region = region
        self.page = 1000

    def answer(self, request: Request, secret: str) -> Response:
        """What S3 answers to a request for `/bucket/key`."""
        signed = {"access_key_id": self.access_key_id, "secret": secret, "service": "s3", "region": self.region}
        wrong = aws_wire.complaint(request, **signed) if secret else None
        if wrong is not None:
            return error(wrong, request)
        bucket, _, key = request.environ["PATH_INFO"].removeprefix("/").partition("/")
        objects = self.memory.buckets.get(bucket)
        if objects is None:
            return error("NoSuchBucket", request)
        key = unquote(key)
        if not key:
            return self._list(request, bucket) if request.method == "GET" else error("MethodNotAllowed", request)
        if request.method == "PUT":
            meta = {name.lower(): value for name, value in request.headers.items() if name.lower().startswith(META)}
            objects[key] = Stored(request.get_data(), meta)
            return Response(status=200, headers={"ETag": objects[key].etag})
        if request.method == "DELETE":
            objects.pop(key, None)
            return Response(status=204)
        if key not in objects:
            return error("NoSuchKey", request)
        found = objects[key]
        headers = {"ETag": found.etag, "Last-Modified": formatdate(found.modified, usegmt=True), **found.meta}
        answer = Response(found.data, headers=headers, content_type="application/octet-stream")
        if request.method == "HEAD":
            answer.headers["Content-Length"] = str(len(found.data))
            answer.automatically_set_content_length = False
        return answer

    def _list(self, request: Request, bucket: str) -> Response:
        args = request.args
        if args.get("list-type") != "2" or set(args) - {
            "list-type", "prefix", "max-keys", "continuation-token", "start-after", "encoding-type", "delimiter"
        }:  # fmt: skip
            return error("NotImplemented", request)
        start = args.get("continuation-token", args.get("start-after", ""))
        keys = [key for key in self.memory.keys(bucket, args.get("prefix", "")) if key > start]
        most = min(self.page, args.get("max-keys", 1000, type=int))
        shown, more = keys[:most], len(keys) > most
        quoted = args.get("encoding-type") == "url"
        rows = "".join(self._row(bucket, key, quoted=quoted) for key in shown)
        next_token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more and shown else ""
        xml = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{NAMESPACE}"><Name>{bucket}</Name>'
            f"<Prefix>{escape(_text(args.get('prefix', ''), quoted=quoted))}</Prefix><KeyCount>{len(shown)}</KeyCount>"
            f"<MaxKeys>{most}</MaxKeys>{'<EncodingType>url</EncodingType>' if quoted else ''}{next_token}"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{rows}</ListBucketResult>"
        )
        return Response(xml, content_type="application/xml")

    def _row(self, bucket: str, key: str, *, quoted: bool) -> str:
        found = self.memory.buckets[bucket][key]
        when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(found.modified))
        return (
            f"<Contents><Key>{escape(_text(key, quoted=quoted))}</Key><LastModified>{when}</LastModified>"
            f"<ETag>{escape(found.etag)}</ETag><Size>{len(found.data)}</Size><StorageClass>STANDARD</StorageClass>"
            "</Contents>"
        )


def error(code: str, request: Request) -> Response:
    """A refusal as S3 words it; to HEAD without a body."""
    status, message = MESSAGES.get(code, (501 if code == "NotImplemented" else 403, "Access Denied"))
    xml = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(message)}</Message>'
        f"<RequestId>{uuid.uuid4().hex[:16]}</RequestId></Error>"
    )
    return Response(b"" if request.method == "HEAD" else xml, status, content_type="application/xml")


def _text(key: str, *, quoted: bool) -> str:
    return quote(key, safe="/*-_.").replace("%20", "+") if quoted else key
