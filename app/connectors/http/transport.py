"""Management calls over HTTP: `requests` with streamed bodies, a total deadline, and no retries.

A client keeps one adapter (the pooled connections) and gives each thread a session on it. Proxies, credentials of the
environment and cookies are never used, and redirects are neither followed nor looked into.
"""

import http.client
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import Payload
from app.connectors.http import failures
from app.connectors.http.connections import CURRENT, POOLS, Call, Connect, Upload, WatchedSocket, pools_by
from app.connectors.http.wire import COMMON_HEADERS, MAX_ANSWER_BYTES, Answer, check_headers, tls_context

PIECE_BYTES = 256 * 1024
# Connections that one host may keep idle: more than a process has threads, because urllib3 logs each one it discards.
MAX_IDLE = 256
MAX_HOSTS = 4
# Repeating these is harmless, so they may use a connection that the server is just closing.
IDEMPOTENT = frozenset({"GET", "HEAD", "DELETE"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# requests and urllib3 wrap most of what is raised below them, but not all.
ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


class Client:
    """HTTP calls to whole URLs; safe to share between threads and over a fork.

    Every HTTP status is an answer, and nothing is sent twice. Calls raise OverloadedError (refused, unreachable),
    UpstreamTimeoutError or UpstreamServerError (reset, cut short, too large, not HTTP); `sent` is false on these only
    when no connection could be made. What `auth` raises passes through, as does what reading a payload raises.
    """

    def __init__(self, *, connect_timeout_s: float = 10.0, connect: Connect | None = None) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._pools = POOLS if connect is None else pools_by(connect)
        self._begin()

    def send(
        self,
        method: str,
        url: str,
        body: bytes | Payload = b"",
        *,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
        timeout_s: float,
        silence_s: float | None = None,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """The whole answer, within `timeout_s` and of at most `max_bytes`.

        A Payload streams out: `silence_s` bounds each pause, and `timeout_s` the answer after the last byte. The type
        of a body is what `headers` say.
        """
        request = _prepared(method, url, body, headers, auth)
        upload = _upload(request)
        silence_s = timeout_s if silence_s is None else silence_s
        call = Call(timeout_s, silence_s=silence_s, fresh=method not in IDEMPOTENT, streams=upload is not None)
        with self._open(request, call, timeout_s) as (head, pieces):
            declared = head.headers.get("content-length", "") if method != "HEAD" else ""
            data = _joined(declared, pieces, _where(url), max_bytes)
        if head.is_success and upload is not None and not upload.is_complete:
            text = "The provider answered before it had received the whole body."
            raise UpstreamServerError(text, status=head.status, code="connection_broken", where=_where(url))
        return Answer(head.status, head.headers, data)

    @contextmanager
    def stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
        timeout_s: float,
        silence_s: float,
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """GET: the head within `timeout_s` (its body is empty), then the body in pieces, each within `silence_s`.

        Only the body of a 2xx may take longer than `timeout_s` in all: an error is no download. A body that is cut
        short raises UpstreamServerError while it is read.
        """
        request = _prepared("GET", url, b"", headers, auth)
        call = Call(timeout_s, silence_s=silence_s, fresh=True)
        with self._open(request, call, timeout_s) as (head, pieces):
            if head.is_success:
                call.be_patient()
            yield head, pieces

    def status(self, url: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float) -> int:
        """POST `body`; the status of the answer, within `timeout_s`. Its body is not read, however long it is."""
        request = _prepared("POST", url, body, headers, None)
        with self._open(request, Call(timeout_s, silence_s=timeout_s, fresh=True), timeout_s) as (head, _):
            return head.status

    def close(self) -> None:
        """Close idle connections. The client stays usable."""
        self._adapter.close()

    @contextmanager
    def _open(
        self, request: requests.PreparedRequest, call: Call, timeout_s: float
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """The head of the answer, and its body in pieces. What is not read is dropped with its connection."""
        where = _where(str(request.url))
        response = None
        try:
            response = self._sent(request, call, timeout_s, where)
            headers = {name.lower(): value for name, value in response.headers.items()}
            yield Answer(response.status, headers, b""), _pieces(response, call, where)
        finally:
            call.finish()
            if response is not None:
                response.close()

    def _sent(self, request: requests.PreparedRequest, call: Call, timeout_s: float, where: str) -> Any:
        """urllib3's response, whose body is still to be read."""
        if timeout_s <= 0:
            raise failures.no_time_left()
        upload = _upload(request)
        times = (min(self._connect_timeout_s, timeout_s), timeout_s)
        # Reading a payload may make calls, too.
        outer, CURRENT.call = CURRENT.call, call
        try:
            response = self._session().send(request, stream=True, timeout=times, allow_redirects=False, proxies={})
        except ERRORS as error:
            if upload is not None and upload.error is not None:
                raise upload.error from None
            if call.connect_error is not None:
                cause = call.connect_error if call.error(where) is None else TimeoutError()
                raise failures.not_connected(where, cause, timeout_s=self._connect_timeout_s) from error
            raise call.error(where) or failures.broken(where, error) from error
        finally:
            CURRENT.call = outer
        if upload is not None and upload.error is not None:
            response.close()
            raise upload.error  # urllib3 takes a broken pipe for the server's
        return response.raw

    def _session(self) -> requests.Session:
        if self._pid != os.getpid():
            self._begin()  # a forked child must not share the parent's connections
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session(self._adapter)
        return session

    def _begin(self) -> None:
        self._local = threading.local()
        self._adapter = _Adapter(pool_connections=MAX_HOSTS, pool_maxsize=MAX_IDLE)
        self._adapter.poolmanager.pool_classes_by_scheme = self._pools
        self._pid = os.getpid()


class _Session(requests.Session):
    """Calls through one adapter; nothing from the environment, no cookies, no redirects."""

    def __init__(self, adapter: HTTPAdapter) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies = _NoCookies()
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, _resp: requests.Response) -> None:
        """None: requests would read the whole body of a redirect, and its target, to offer the next request."""
        return


class _NoCookies(RequestsCookieJar):
    """Stays empty: a cookie of one call must not go out with another."""

    def extract_cookies(self, *_: Any) -> None:
        return


class _Adapter(HTTPAdapter):
    """Does not retry (requests' default); on connections that can be watched, with one TLS context for all."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=tls_context(WatchedSocket), **more)

    def cert_verify(self, *_: Any) -> None:
        """Leave it to the context; requests would have each connection load the authorities again (30 ms)."""


def _prepared(
    method: str, url: str, body: bytes | Payload, headers: Mapping[str, str] | None, auth: AuthBase | None
) -> requests.PreparedRequest:
    """The request as it goes out. Raises ValueError for a header that is not printable ASCII.

    Not by `requests.Request.prepare`, which rewrites the URL: what is signed is what is sent.
    """
    fields = {"Host": urlsplit(url).netloc, **COMMON_HEADERS}
    length = body.length if isinstance(body, Payload) else len(body)
    if length or method in WITH_BODY:
        fields["Content-Length"] = str(length)
    request = requests.PreparedRequest()
    request.method, request.url = method, url
    request.headers = CaseInsensitiveDict({**fields, **(headers or {})})
    request.body = Upload(body) if isinstance(body, Payload) else body or None  # type: ignore[assignment]
    if auth is not None:
        request = auth(request)
    check_headers(request.headers)
    return request


def _upload(request: requests.PreparedRequest) -> Upload | None:
    body: Any = request.body
    return body if isinstance(body, Upload) else None


def _pieces(response: Any, call: Call, where: str) -> Iterator[bytes]:
    # What a chunk claims to hold is not believed: `read1` takes what is there.
    read = response.read1 if response.chunked else response.read
    try:
        while data := read(PIECE_BYTES, decode_content=False):
            yield data
    except ERRORS as error:
        raise call.error(where) or failures.broken(where, error) from error
    # A call that was ended looks like one whose body ends with the connection.
    if ended := call.error(where):
        raise ended


def _joined(declared: str, pieces: Iterator[bytes], where: str, max_bytes: int) -> bytes:
    """The body, of which `declared` is the length that the head names."""
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > max_bytes:
        raise failures.too_large(where, max_bytes)
    parts, count = [], 0
    for piece in pieces:
        count += len(piece)
        if count > max_bytes:
            raise failures.too_large(where, max_bytes)
        parts.append(piece)
    return b"".join(parts)


def _where(url: str) -> str:
    """Scheme and host of a URL: what errors may tell of it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
