"""Objects in one bucket of S3 or of a compatible server (contracts: providers, 5.1)."""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import quote, unquote, unquote_plus
from xml.etree import ElementTree

from requests.auth import AuthBase

from app.connectors.cloud import places
from app.connectors.cloud.aws import host_suffix
from app.connectors.contract.base import Target
from app.connectors.contract.errors import MissingError, RefusedError
from app.connectors.contract.objects import Download, NativeFile, NewFile, Page
from app.connectors.http.api import ANY_FORM, Api
from app.connectors.http.redaction import Redaction
from app.connectors.http.remote import Remote
from app.connectors.http.wire import Answer
from app.connectors.shared import parsing
from app.lib import json

# The limit of one PUT; more would need a multipart upload.
MAX_BYTES = 5 * 2**30
PER_PAGE = 1000
PURPOSE = "x-amz-meta-purpose"
REFUSED, FORBIDDEN, MISSING, TOO_LARGE = 400, 403, 404, 413
REDIRECTS = (301, 307)
EXPIRED = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
# Errors of HEAD have no body.
SILENT = {REFUSED: "BadRequest", FORBIDDEN: "AccessDenied", MISSING: "NoSuchKey"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(places.Place):
    """A place in S3. `url` is for servers that are not AWS's."""

    region: str
    url: str = ""

    SCHEME = "s3"
    BUCKET = re.compile(r"[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]")
    MISSING_CODE = "NoSuchKey"
    VARIABLE = "AWS_BEDROCK_BUCKET"


class Bucket:
    """One bucket; safe to share between threads. Calls raise UpstreamError as those of `Api` do.

    Ids are `s3://bucket/key`. An id of another bucket, or outside the prefix, raises MissingError without a call.
    """

    def __init__(self, target: Target, place: Place, *, auth: AuthBase, redaction: Redaction) -> None:
        self.place = place
        url, self._root = _address(place)
        self._api = Api(target, Remote(url, redaction, auth, ANY_FORM, reword))

    @property
    def healthy(self) -> bool:
        """False while the breaker is open."""
        return self._api.healthy

    def close(self) -> None:
        """Close idle connections."""
        self._api.close()

    def check(self) -> None:
        """Check that the bucket can be listed."""
        self._listed({"max-keys": 1})

    def put(self, new: NewFile) -> NativeFile:
        """Upload an object with the file's name, below the file's folder or else in a new one."""
        if new.payload.length > MAX_BYTES:
            text = f"This file has {new.payload.length} bytes; S3 takes {MAX_BYTES} at once."
            raise RefusedError(text, status=TOO_LARGE, code="EntityTooLarge", sent=False)
        uri = self.place.uri(self.place.new_key(new))
        self._api.send(
            "PUT",
            self._path(self.place.key(uri)),
            new.payload,
            content_type="application/octet-stream",
            headers={PURPOSE: quote(new.purpose, safe="")},
        )
        return NativeFile(id=uri, filename=new.filename, purpose=new.purpose, bytes=new.payload.length)

    def head(self, uri: str) -> NativeFile:
        """The metadata of an object."""
        key = self.place.key(uri)
        try:
            headers = self._api.answer("HEAD", self._path(key)).headers
        except MissingError:
            return self._sought(key)
        return NativeFile(
            id=uri,
            filename=uri.rpartition("/")[2],
            purpose=unquote(headers.get(PURPOSE, "")),
            bytes=parsing.count(headers, "content-length"),
            created_at=_http_date(headers.get("last-modified")),
        )

    def get(self, uri: str) -> AbstractContextManager[Download]:
        """Stream the bytes of an object."""
        return self._api.download(self._path(self.place.key(uri)))

    def delete(self, uri: str) -> None:
        """Delete an object. Does nothing if it is already deleted."""
        self._api.delete(self._path(self.place.key(uri)))

    def objects(self, *, below: str = "", after: str | None = None) -> Page[NativeFile]:
        """A page of the objects below the prefix and `below`, ordered by key."""
        tree = self._listed({"prefix": self.place.prefix + below, "max-keys": PER_PAGE, "continuation-token": after})
        fields = _texts(tree)
        quoted = fields.get("EncodingType") == "url"
        entries = [_texts(element) for element in tree if _name(element) == "Contents"]
        objects = {"Contents": [entry for entry in entries if not entry.get("Key", "").endswith("/")]}
        more = fields.get("NextContinuationToken") if fields.get("IsTruncated") == "true" else None
        parsing.check_next_page(more, after)
        return parsing.page(objects, "Contents", partial(self._file, quoted=quoted), more or None)

    def _sought(self, key: str) -> NativeFile:
        """An object that HEAD does not find, whose answer does not say if it is the bucket that is missing."""
        page = self.objects(below=key.removeprefix(self.place.prefix))
        found = next((file for file in page.items if file.id == self.place.uri(key)), None)
        if found is None:
            raise MissingError(f"There is no object {key[:200]!r}.", status=MISSING, code=SILENT[MISSING])
        return found

    def _file(self, entry: Mapping[str, str], *, quoted: bool) -> NativeFile:
        fields = parsing.fields(entry, "the object")
        key = parsing.required(fields, "Key")
        key = unquote_plus(key) if quoted else key
        if not key.startswith(self.place.prefix):
            raise parsing.bad_answer("a listed object is outside the requested prefix")
        return NativeFile(
            id=self.place.uri(key),
            filename=key.rpartition("/")[2],
            purpose="",
            bytes=parsing.count(fields, "Size"),
            created_at=parsing.instant(fields, "LastModified"),
        )

    def _listed(self, query: Mapping[str, str | int | None]) -> ElementTree.Element:
        whole_query = {"list-type": 2, "encoding-type": "url", **query}
        self.place.require()
        tree = _tree(self._api.answer("GET", self._root or "/", query=whole_query).body)
        if tree is None or _name(tree) != "ListBucketResult":
            raise parsing.bad_answer("the list is not a ListBucketResult")
        return tree

    def _path(self, key: str) -> str:
        return f"{self._root}/{quote(key)}"


def reword(answer: Answer) -> Answer:
    """An error of S3 as JSON instead of XML. A missing bucket is not reported as a missing object."""
    tree = _tree(answer.body)
    error = _texts(tree) if tree is not None and _name(tree) == "Error" else {}
    code = error.get("Code") or ("" if answer.body else SILENT.get(answer.status, ""))
    if answer.status in REDIRECTS:
        region = answer.headers.get("x-amz-bucket-region") or error.get("Region") or "another region"
        text = f"The bucket is in {region}: set the option region (AWS_REGION) to that."
        return replace(answer, status=REFUSED, body=_json(text, code or "PermanentRedirect"))
    if not code:
        return answer
    status = {"NoSuchBucket": REFUSED, **dict.fromkeys(EXPIRED, FORBIDDEN)}.get(code, answer.status)
    message = error.get("Message") or f"S3 answered {answer.status} ({code}) without a reason."
    return replace(answer, status=status, body=_json(message, code))


def _json(message: str, code: str) -> bytes:
    return json.dumps({"message": message, "code": code})


def _address(place: Place) -> tuple[str, str]:
    """(base URL, prefix of keys in paths). AWS's certificates do not cover bucket names with a dot."""
    if place.url:
        return place.url, f"/{place.bucket}"
    host = f"s3.{place.region}.{host_suffix(place.region)}"
    if "." in place.bucket or not place.bucket:
        return f"https://{host}", f"/{place.bucket}"
    return f"https://{place.bucket}.{host}", ""


def _tree(body: bytes) -> ElementTree.Element | None:
    """The XML document in `body`; None if it is not XML, or has a declaration that S3 never sends."""
    try:
        text = body.decode()
        # Without a doctype there are no custom entities, and decoded text rules out other encodings.
        return None if "<!" in text else ElementTree.fromstring(text)  # noqa: S314
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError):
        return None


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _texts(tree: ElementTree.Element) -> dict[str, str]:
    return {_name(element): element.text or "" for element in tree}


def _http_date(text: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp() * 1000) if text else None
    except (ValueError, OverflowError) as error:
        raise parsing.bad_answer("last-modified is not a point in time") from error
