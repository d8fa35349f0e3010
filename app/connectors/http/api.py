"""Management calls of one account: JSON in and out, every failure an UpstreamError that holds no secret."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from app.connectors.contract.base import Target
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError, UpstreamServerError
from app.connectors.contract.objects import Download, Payload
from app.connectors.contract.refusals import Kind
from app.connectors.http import judging
from app.connectors.http.breaker import Breaker
from app.connectors.http.failures import BAD_PAYLOAD
from app.connectors.http.redaction import MAX_MESSAGE, MAX_QUOTED_BYTES, Redaction
from app.connectors.http.remote import Remote, with_bearer
from app.connectors.http.transport import IDEMPOTENT, Client
from app.connectors.http.wire import Answer
from app.lib import json, multipart
from app.lib.clock import Clock

T = TypeVar("T")
Query = Mapping[str, str | int | None] | None

ATTEMPTS = 3
# Before the first retry, unless the target says otherwise; twice as long before the second.
PAUSE_S = 0.1
MAX_DIGITS = 20
# Far more than is quoted, so that a secret at the end is cut off with it.
MAX_ERROR_BYTES = 16 * MAX_QUOTED_BYTES
# A shorter part of a signed URL is no secret; redacting it would redact ordinary words.
MIN_SECRET_CHARACTERS = 16
# What a download asks for: a file is in whatever form it is.
ANY_FORM = {"Accept": "*/*"}


class Api:
    """Calls to the management API of one account; safe to share between threads. Paths are quoted by the caller.

    Every call raises RefusedError (MissingError for a 404), OverloadedError, UpstreamTimeoutError or
    UpstreamServerError. Calls are counted by a breaker, which refuses them for a while after failures in a row.
    """

    def __init__(self, target: Target, remote: Remote | None = None, *, clock: Clock | None = None) -> None:
        self._target = target
        self.remote = remote or with_bearer(target)
        self._client = Client(connect_timeout_s=target.connect_timeout_s)
        self.breaker = Breaker(clock=clock)

    @property
    def healthy(self) -> bool:
        """False while the breaker is open."""
        return self.breaker.state != "open"

    def get(self, path: str, *, query: Query = None) -> Any:
        """The JSON that a GET answers; an empty answer is an error.

        Retried twice at most, when the connection breaks, the provider fails, or it refuses what may pass.
        """
        return self._retried("GET", _with_query(path, query), judging.json_value)

    def answer(self, method: str, path: str, *, query: Query = None) -> Answer:
        """The 2xx answer to a GET or HEAD, whatever its body is. Retried as a GET is."""
        return self._retried(method, _with_query(path, query), _same)

    def delete(self, path: str, *, query: Query = None, missing_ok: bool = False) -> Any:
        """The JSON that a DELETE answers; None for an empty answer. Retried as a GET is.

        `missing_ok` gives None for an object that is missing, too.
        """
        try:
            return self._retried("DELETE", _with_query(path, query), _value)
        except MissingError:
            if not missing_ok:
                raise
            return None

    def post(
        self, path: str, body: Any = None, *, query: Query = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON that a POST of JSON, or without a body, answers; None for an empty answer.

        Sent once, unless nothing of it left this machine.
        """
        return self._once(
            "POST", path, _json_body(body), _value, query=query, headers={**_kind(body), **(headers or {})}
        )

    def post_answer(
        self, path: str, body: Any = None, *, query: Query = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The 2xx answer to a POST of JSON, for callers who need its headers. Sent as a POST is."""
        return self._once(
            "POST", path, _json_body(body), _same, query=query, headers={**_kind(body), **(headers or {})}
        )

    def upload(
        self,
        path: str,
        *,
        fields: Sequence[tuple[str, str]],
        file_field: str,
        filename: str,
        payload: Payload,
        content_type: str = "application/octet-stream",
        query: Query = None,
    ) -> Any:
        """The JSON that a POST of a form with a file answers. The file streams; sent as a POST is."""
        form = multipart.form(
            fields,
            file_field=file_field,
            filename=filename,
            content_type=content_type,
            file_bytes=payload.length,
            open_file=payload.open,
        )
        body = Payload(len(form), form.__iter__)
        return self.send("POST", path, body, content_type=form.content_type, query=query)

    def send(
        self,
        method: str,
        path: str,
        payload: Payload,
        *,
        content_type: str,
        query: Query = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON that a streamed body answers; None for an empty answer. Sent as a POST is."""
        return self._once(
            method, path, payload, _value, query=query, headers={"Content-Type": content_type, **(headers or {})}
        )

    def fetch(self, path: str, *, timeout_s: float) -> Answer:
        """The answer to one GET, whatever its status; the breaker neither refuses nor counts it."""
        remote = self.remote
        with remote.redaction.in_errors():
            answer = self._client.send(
                "GET", remote.url(path), headers=remote.headers, auth=remote.auth, timeout_s=timeout_s
            )
            return remote.readable(answer)

    @contextmanager
    def download(
        self, path: str, *, query: Query = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[Download]:
        """The bytes that a GET answers, as they come in. A body that is cut short raises while it is read."""
        decides = self.breaker.enter()
        with ExitStack() as stack:
            with self._reported():
                head, pieces = stack.enter_context(self._stream(_with_query(path, query), headers))
                if not head.is_success:
                    self._check("GET", replace(head, body=_beginning(pieces)))
            if decides:
                self.breaker.succeeded()  # others need not wait for the last byte
            yield Download(
                length=_length(head.headers),
                content_type=head.headers.get("content-type", ""),
                chunks=self._watched(pieces),
            )

    def close(self) -> None:
        """Close idle connections. The client stays usable."""
        self._client.close()

    def _retried(self, method: str, path: str, read: Callable[[Answer], T]) -> T:
        return self._guarded(lambda: self._attempts(method, path, read))

    def _attempts(self, method: str, path: str, read: Callable[[Answer], T]) -> T:
        deadline = time.monotonic() + self._target.call_timeout_s
        for attempt in range(1, ATTEMPTS + 1):
            try:
                left = max(0.001, deadline - time.monotonic())
                return read(self._check(method, self._sent(method, path, b"", {}, timeout_s=left)))
            except (UpstreamServerError, RefusedError) as error:
                if isinstance(error, RefusedError) and error.kind is not Kind.AGAIN:
                    raise
                pause = self._pause_s() * attempt * random.uniform(0.5, 1.0)  # noqa: S311 - keeps retries apart
                late = attempt == ATTEMPTS or time.monotonic() + pause >= deadline
                if late or error.code == judging.REDIRECT or not self.healthy:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _once(
        self,
        method: str,
        path: str,
        body: bytes | Payload,
        read: Callable[[Answer], T],
        *,
        query: Query,
        headers: Mapping[str, str],
    ) -> T:
        """Sent again only if nothing of it left this machine."""
        path, timeout_s = _with_query(path, query), self._target.call_timeout_s

        def call() -> T:
            return read(self._check(method, self._sent(method, path, body, headers, timeout_s=timeout_s)))

        def call_again_if_unsent() -> T:
            try:
                return call()
            except UpstreamServerError as error:
                if error.sent:
                    raise
            return call()

        return self._guarded(call_again_if_unsent)

    def _sent(
        self, method: str, path: str, body: bytes | Payload, headers: Mapping[str, str], *, timeout_s: float
    ) -> Answer:
        remote = self.remote
        return self._client.send(
            method,
            remote.url(path),
            body,
            headers={**remote.headers, **headers},
            auth=remote.auth,
            timeout_s=timeout_s,
            silence_s=self._target.silence_timeout_s if isinstance(body, Payload) else None,
        )

    def _stream(self, path: str, headers: Mapping[str, str] | None) -> Any:
        remote, target = self.remote, self._target
        return self._client.stream(
            remote.url(path),
            headers={**ANY_FORM, **remote.headers, **(headers or {})},
            auth=remote.auth,
            timeout_s=target.call_timeout_s,
            silence_s=target.silence_timeout_s,
        )

    def _check(self, method: str, answer: Answer) -> Answer:
        """A 2xx itself; any other status raises what it means."""
        answer = self.remote.readable(answer)
        asks = method in IDEMPOTENT
        judging.raise_unless_success(answer, provider=self._target.provider, asks_for_object=asks)
        return answer

    def _guarded(self, call: Callable[[], T]) -> T:
        """The result of a call with all its retries, reported to the breaker as one."""
        self.breaker.enter()
        with self._reported():
            value = call()
        self.breaker.succeeded()
        return value

    def _watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        with self._reported():
            yield from pieces
        self.breaker.succeeded()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Report failures of the provider within the block to the breaker, and raise them without secrets."""
        try:
            with self.remote.redaction.in_errors():
                yield
        except UpstreamError as error:
            self._report(error)
            raise
        except BaseException:
            self.breaker.left()
            raise

    def _report(self, error: UpstreamError) -> None:
        if isinstance(error, RefusedError) or error.status == judging.TOO_MANY:
            self.breaker.succeeded()
        elif error.code == BAD_PAYLOAD:
            self.breaker.left()
        else:
            self.breaker.failed(error.message[:MAX_MESSAGE])

    def _pause_s(self) -> float:
        return PAUSE_S if self._target.retry_pause_s is None else self._target.retry_pause_s


@contextmanager
def fetch_url(url: str, *, target: Target, allowed_hosts: Sequence[str]) -> Iterator[Download]:
    """The bytes behind a signed URL. No credential is sent, and no redirect followed.

    `allowed_hosts` are whole names, with or without a port, or `.suffix` for all names below it. Raises UpstreamError,
    also when the provider names another host.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        valid = parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        valid = False
    if not valid:
        raise UpstreamServerError("The provider returned an invalid URL.", code="bad_answer")
    names = (host, parts.netloc.lower())
    allowed = any(name in names or (name.startswith(".") and host.endswith(name)) for name in allowed_hosts)
    if parts.scheme not in ("http", "https") or not allowed or "@" in parts.netloc:
        text = "The provider returned a URL on a host that is not allowed."
        raise UpstreamServerError(text, code="bad_answer", where=repr(host[:100]))
    redaction = Redaction(target.credential, _signatures(parts.query))
    api = Api(target, Remote(f"{parts.scheme}://{parts.netloc}", redaction))
    try:
        with api.download(
            parts._replace(scheme="", netloc="", fragment="", path=parts.path or "/").geturl()
        ) as download:
            yield download
    finally:
        api.close()


def _value(answer: Answer) -> Any:
    return judging.json_value(answer) if answer.body.strip() else None


def _same(answer: Answer) -> Answer:
    return answer


def _json_body(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body)


def _kind(body: Any) -> dict[str, str]:
    """The type of a body; nothing for a call that has none."""
    return {} if body is None else {"Content-Type": "application/json"}


def _with_query(path: str, query: Query) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    if not given:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(given, quote_via=quote, safe='')}"


def _length(headers: Mapping[str, str]) -> int | None:
    declared = headers.get("content-length", "")
    valid = declared.isascii() and declared.isdigit() and len(declared) < MAX_DIGITS
    return int(declared) if valid and "transfer-encoding" not in headers else None


def _signatures(query: str) -> list[str]:
    """What opens a signed URL, in all spellings that an error could repeat."""
    values = [part.partition("=")[2] for part in query.split("&")]
    values += [value for _, value in parse_qsl(query)]
    return [query, *(value for value in values if len(value) >= MIN_SECRET_CHARACTERS)]


def _beginning(pieces: Iterator[bytes]) -> bytes:
    """As much of a refusal as is worth reading."""
    data = b""
    for piece in pieces:
        data += piece
        if len(data) >= MAX_ERROR_BYTES:
            break
    return data
