"""Replicate: files only, which expire after a day."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from app.connectors.contract.base import Connector, Target
from app.connectors.contract.objects import Download, NativeFile, NewFile, Page
from app.connectors.http.api import Api, fetch_url
from app.connectors.shared import parsing
from app.lib import json

FILES = "/files"
DAY_MS = 24 * 3600 * 1000


class Replicate(Connector):
    """One account at Replicate. The purpose of a file is kept in its metadata."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._api = Api(target)

    @property
    def healthy(self) -> bool:
        """False while the account's breaker is open: new work goes elsewhere."""
        return self._api.healthy

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""
        self._api.close()

    def check(self) -> None:
        """Check the credential with a read-only call. Raises UpstreamError."""
        self.list_files()

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file. It expires after a day, whatever expiry is requested."""
        answer = self._api.upload(
            FILES,
            fields=[("metadata", json.dumps({"purpose": new.purpose}).decode())],
            file_field="content",
            filename=new.filename,
            payload=new.payload,
        )
        return _file(answer)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file."""
        return _file(self._api.get(_at(native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's files, newest first. `after` is the query of the URL that leads to it."""
        query = dict(parse_qsl(after)) if after else None
        answer = parsing.fields(self._api.get(FILES, query=query), "the list")
        following = _following(answer)
        parsing.check_next_page(following, after)
        return parsing.page(answer, "results", _file, following)

    def delete_file(self, native_id: str) -> None:
        """Delete a file. Raises MissingError if it is not there."""
        self._api.delete(_at(native_id))

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file, from a signed URL on the API's own host."""
        file = parsing.fields(self._api.get(_at(native_id)), "the file")
        url = _download_url(parsing.url(parsing.part(file, "urls"), "get"))
        return fetch_url(url, target=self.target, allowed_hosts=(urlsplit(self.target.base_url).netloc.lower(),))


def _at(native_id: str) -> str:
    return f"{FILES}/{quote(native_id, safe='')}"


def _following(page: Mapping[str, Any]) -> str | None:
    """Only the query of the next page's URL is used: the account's base URL says where to call."""
    if parsing.cursor(page, "next") is None:
        return None
    query = urlsplit(parsing.url(page, "next")).query
    if not query:
        raise parsing.bad_answer("next has no query")
    return query


def _download_url(url: str) -> str:
    """`url` itself if it leads to the bytes, else its `/download`: the plain URL gives only the file's description."""
    parts = urlsplit(url)
    if parts.path.endswith("/download"):
        return url
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/download"))


def _file(answer: Any) -> NativeFile:
    file = parsing.fields(answer, "the file")
    created_at = parsing.instant(file, "created_at")
    expires_at = parsing.instant(file, "expires_at")
    return NativeFile(
        id=parsing.native_id(file, "id"),
        filename=parsing.text(file, "name") or "",
        purpose=parsing.text(parsing.part(file, "metadata"), "purpose") or "",
        bytes=parsing.count(file, "size"),
        created_at=created_at,
        expires_at=created_at + DAY_MS if expires_at is None and created_at is not None else expires_at,
    )
