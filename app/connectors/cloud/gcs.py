"""Objects in one bucket of Google Cloud Storage, by its JSON API (contracts: providers, 7)."""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from app.connectors.cloud import places
from app.connectors.contract.base import Target
from app.connectors.contract.errors import MissingError, RefusedError
from app.connectors.contract.objects import Download, NativeFile, NewFile, Page, Payload
from app.connectors.contract.paging import each_page, whole
from app.connectors.http.api import Api
from app.connectors.http.remote import Remote
from app.connectors.http.wire import Answer
from app.connectors.shared import parsing
from app.lib import json

URL = "https://storage.googleapis.com"
PER_PAGE = 1000
# Larger payloads use an upload session, as Google recommends.
AT_ONCE_BYTES = 5 * 2**20
MAX_BYTES = 5 * 2**40
PURPOSE = "purpose"
KIND = "application/octet-stream"
REFUSED, MISSING, TOO_LARGE = 400, 404, 413


class Place(places.Place):
    """A place in Google Cloud Storage."""

    __slots__ = ()

    SCHEME = "gs"
    BUCKET = re.compile(r"[a-z0-9][-_.a-z0-9]{1,220}[a-z0-9]")
    MISSING_CODE = "notFound"
    VARIABLE = "VERTEX_BUCKET"


class Bucket:
    """One bucket; safe to share between threads. Calls raise UpstreamError as those of `Api` do.

    Ids are `gs://bucket/key`. An id of another bucket, or outside the prefix, raises MissingError without a call. An id
    that ends with a slash stands for all objects below it, as one file in the order of their keys.
    """

    def __init__(self, target: Target, place: Place, remote: Remote) -> None:
        self.place = place
        self._api = Api(target, replace(remote, reword=reword))
        self._url = remote.base_url

    @property
    def healthy(self) -> bool:
        """False while the breaker is open."""
        return self._api.healthy

    def close(self) -> None:
        """Close idle connections."""
        self._api.close()

    def check(self) -> None:
        """Check that the bucket can be listed."""
        self._listed({"maxResults": 1})

    def put(self, new: NewFile) -> NativeFile:
        """Upload an object with the file's name, below the file's folder or else in a new one."""
        size = new.payload.length
        if size > MAX_BYTES:
            text = f"This file has {size} bytes; Google Cloud Storage takes {MAX_BYTES}."
            raise RefusedError(text, status=TOO_LARGE, code="uploadTooLarge", sent=False)
        key = self.place.new_key(new)
        metadata = {"name": key, "contentType": KIND, "metadata": {PURPOSE: new.purpose}}
        made = (
            self._put_at_once(metadata, new.payload) if size <= AT_ONCE_BYTES else self._put_big(metadata, new.payload)
        )
        return self._file(made, key)

    def head(self, uri: str) -> NativeFile:
        """The metadata of an object."""
        if uri.endswith("/"):
            files = list(self.below(uri))
            if not files:
                raise MissingError(f"There are no objects below {uri[:200]!r}.", status=MISSING, code="notFound")
            size = sum(file.bytes or 0 for file in files)
            return NativeFile(uri, uri[:-1].rpartition("/")[2], "", size, created_at=files[0].created_at)
        key = self.place.key(uri)
        return self._file(self._api.get(self._path(key)), key)

    @contextmanager
    def get(self, uri: str) -> Iterator[Download]:
        """Stream the bytes of an object."""
        if not uri.endswith("/"):
            with self._download(self.place.key(uri)) as download:
                yield download
            return
        files = list(self.below(uri))
        yield Download(sum(file.bytes or 0 for file in files), KIND, self._chained(files))

    def delete(self, uri: str) -> None:
        """Delete an object, or all below a folder. Raises MissingError for an object that is not there."""
        if not uri.endswith("/"):
            self._api.delete(self._path(self.place.key(uri)))
            return
        for file in list(self.below(uri)):
            self._api.delete(self._path(self.place.key(file.id)), missing_ok=True)

    def below(self, uri: str) -> Iterator[NativeFile]:
        """All objects below a native id that ends with a slash, ordered by key."""
        for page in each_page(partial(self.objects, below=self.place.key(uri))):
            yield from whole(page).items

    def objects(self, *, below: str | None = None, after: str | None = None) -> Page[NativeFile]:
        """A page of the objects below the account's prefix, or below `below`, ordered by key."""
        prefix = self.place.prefix if below is None else below
        listed = self._listed({"prefix": prefix or None, "maxResults": PER_PAGE, "pageToken": after})

        def read(item: Any) -> NativeFile | None:
            key = parsing.required(parsing.fields(item, "the object"), "name")
            if not key.startswith(prefix):
                raise parsing.bad_answer("a listed object is outside the requested prefix")
            return None if key.endswith("/") or places.climbs(key) else self._file(item, key)

        more = parsing.cursor(listed, "nextPageToken")
        parsing.check_next_page(more, after)
        page = parsing.page(listed, "items", read, more)
        return Page([file for file in page.items if file is not None], more, page.unread)

    def _put_at_once(self, metadata: Mapping[str, Any], payload: Payload) -> Any:
        mark = secrets.token_hex(16)
        head = b"--%b\r\nContent-Type: application/json\r\n\r\n%b\r\n" % (mark.encode(), json.dumps(metadata))
        head += b"--%b\r\nContent-Type: %b\r\n\r\n" % (mark.encode(), KIND.encode())
        tail = b"\r\n--%b--\r\n" % mark.encode()

        def pieces() -> Iterator[bytes]:
            yield head
            yield from payload.open()
            yield tail

        body = Payload(len(head) + payload.length + len(tail), pieces)
        kind = f"multipart/related; boundary={mark}"
        return self._api.send("POST", self._uploads(), body, content_type=kind, query={"uploadType": "multipart"})

    def _put_big(self, metadata: Mapping[str, Any], payload: Payload) -> Any:
        """Upload in a session; an abandoned session expires and creates nothing."""
        name = str(metadata["name"])
        headers = {"X-Upload-Content-Type": KIND, "X-Upload-Content-Length": str(payload.length)}
        query = {"uploadType": "resumable", "name": name}
        begun = self._api.post_answer(self._uploads(), metadata, query=query, headers=headers)
        session = self._session(begun.headers.get("location", ""))
        last = f"bytes 0-{payload.length - 1}/{payload.length}"
        return self._api.send("PUT", session, payload, content_type=KIND, headers={"Content-Range": last})

    def _session(self, url: str) -> str:
        """The path of an upload session, which must be on the bucket's host: the account's token is sent there."""
        parts, own = urlsplit(parsing.url({"location": url}, "location")), urlsplit(self._url)
        if (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
            raise parsing.bad_answer("the upload session is at another host")
        path = parts.path.removeprefix(own.path.rstrip("/"))
        return f"{path}?{parts.query}" if parts.query else path

    @contextmanager
    def _download(self, key: str) -> Iterator[Download]:
        with self._api.download(self._path(key), query={"alt": "media"}) as download:
            yield download

    def _chained(self, files: Sequence[NativeFile]) -> Iterator[bytes]:
        for file in files:
            with self._download(self.place.key(file.id)) as download:
                yield from download.chunks

    def _file(self, answer: Any, key: str) -> NativeFile:
        fields = parsing.fields(answer, "the object")
        return NativeFile(
            id=self.place.uri(key),
            filename=key.rpartition("/")[2],
            purpose=parsing.text(parsing.part(fields, "metadata"), PURPOSE) or "",
            bytes=parsing.count(fields, "size"),
            created_at=parsing.instant(fields, "timeCreated"),
        )

    def _listed(self, query: Mapping[str, str | int | None]) -> Mapping[str, Any]:
        self.place.require()
        return parsing.fields(self._api.get(f"/storage/v1/b/{self.place.bucket}/o", query=query), "the list")

    def _uploads(self) -> str:
        return f"/upload/storage/v1/b/{self.place.bucket}/o"

    def _path(self, key: str) -> str:
        return f"/storage/v1/b/{self.place.bucket}/o/{quote(key, safe='')}"


def reword(answer: Answer) -> Answer:
    """An error with the right status: a missing bucket is not a missing object."""
    if answer.status == MISSING and b"bucket does not exist" in answer.body:
        return replace(answer, status=REFUSED)
    return answer
