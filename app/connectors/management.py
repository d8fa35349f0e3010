"""Management calls of one account: JSON in and out, every failure an UpstreamError, the credential in none of them."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from app.connectors import answers
from app.connectors.base import (
    MissingError,
    RefusedError,
    Target,
    UpstreamError,
    UpstreamServerError,
)
from app.connectors.breaker import Breaker
from app.connectors.http import Answer, HttpClient
from app.connectors.multipart import form
from app.connectors.native import Download, Payload
from app.lib import json
from app.lib.clock import Clock

T = TypeVar("T")
Query = Mapping[str, str | int | None] | None

ATTEMPTS = 3
PAUSE_S = 0.1
OVERLOAD = answers.OVERLOAD_STATUSES
TOO_MANY = 429
MISSING = 404
# An answer that describes something is never larger.
MAX_ANSWER_BYTES = 64 * 2**20
MAX_QUOTED_BYTES = 4096


class Api:
    """Calls to the management API of one account; safe to share between threads. Paths are quoted by the caller.

    Every call raises RefusedError (MissingError for a 404), OverloadedError, UpstreamTimeoutError or
    UpstreamServerError, without the credential in any text.
    """

    def __init__(
        self,
        target: Target,
        *,
        headers: Mapping[str, str],
        authorize: Callable[[], Mapping[str, str]] | None = None,
        base_url: str | None = None,
        secrets: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._target = target
        self._more_secrets = secrets  # looked at when an error is told: tokens come and go
        self.breaker = Breaker(clock=clock)
        self.http = HttpClient(
            base_url or target.base_url,
            headers=headers,
            authorize=authorize,
            connect_timeout_s=target.connect_timeout_s,
            max_idle=target.max_concurrency,
            max_answer_bytes=MAX_ANSWER_BYTES,
        )

    @property
    def healthy(self) -> bool:
        """False while the breaker is open."""
        return self.breaker.state != "open"

    def get(self, path: str, *, query: Query = None) -> Any:
        """The JSON that a GET answers. Repeated twice at most when the connection breaks or the provider fails."""
        return self._repeated("GET", _with_query(path, query))

    def delete(self, path: str, *, query: Query = None) -> Any:
        """The JSON that a DELETE answers, None for an empty answer. Repeated as a GET is."""
        return self._repeated("DELETE", _with_query(path, query))

    def post(
        self, path: str, body: Any = None, *, query: Query = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON that a POST of JSON answers, None for an empty answer.

        Sent once, unless nothing of it left this machine.
        """
        data = b"" if body is None else json.dumps(body)

        def call() -> Answer:
            return self.http.request(
                "POST", _with_query(path, query), body=data, headers=headers, timeout_s=self._target.call_timeout_s
            )

        return self._json(self._once(call))

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
        kind, body = form(fields, file_field=file_field, filename=filename, payload=payload, content_type=content_type)
        return self.send("POST", path, body, content_type=kind, query=query)

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
        """The JSON that a streamed body answers, None for an empty answer. Sent as a POST is."""
        target = self._target

        def call() -> Answer:
            return self.http.send(
                method,
                _with_query(path, query),
                payload,
                headers={"Content-Type": content_type, **(headers or {})},
                silence_s=target.silence_timeout_s,
                timeout_s=target.call_timeout_s,
            )

        return self._json(self._once(call))

    @contextmanager
    def download(
        self, path: str, *, query: Query = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[Download]:
        """The bytes that a GET answers, as they come in. One that is cut short raises while it is read."""
        with self._streamed(_with_query(path, query), headers) as download:
            yield download

    def close(self) -> None:
        """Close idle connections."""
        self.http.close()

    @property
    def _secrets(self) -> tuple[str, ...]:
        return tuple(secret for secret in (self._target.credential, *self._more_secrets) if secret)

    def redacted(self, text: str) -> str:
        """`text` without the account's secrets."""
        for secret in self._secrets:
            text = answers.redacted_text(text, secret=secret)
        return text

    def _repeated(self, method: str, path: str) -> Any:
        deadline = time.monotonic() + self._target.call_timeout_s
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._json(self._guarded(lambda: self._within(method, path, deadline)))
            except UpstreamServerError:
                pause = PAUSE_S * attempt * random.uniform(0.5, 1.0)  # noqa: S311 - keeps repeats apart
                if attempt == ATTEMPTS or time.monotonic() + pause >= deadline:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _within(self, method: str, path: str, deadline: float) -> Answer:
        return self.http.request(method, path, timeout_s=max(0.001, deadline - time.monotonic()))

    def _once(self, call: Callable[[], Answer]) -> Answer:
        try:
            return self._guarded(call)
        except UpstreamServerError as error:
            if error.sent:
                raise
            return self._guarded(call)

    def _guarded(self, call: Callable[[], Answer]) -> Answer:
        """The answer of a call, 2xx; what it comes to is told to the breaker."""
        self.breaker.enter()
        try:
            answer = call()
            self._judge(answer)
        except UpstreamError as error:
            self._note(error)
            raise self._without_secrets(error) from None
        except BaseException:
            self.breaker.failed("The call broke off.")
            raise
        self.breaker.succeeded()
        return answer

    @contextmanager
    def _streamed(self, path: str, headers: Mapping[str, str] | None) -> Iterator[Download]:
        self.breaker.enter()
        target = self._target
        try:
            with self.http.stream(
                path, headers=headers, silence_s=target.silence_timeout_s, timeout_s=target.call_timeout_s
            ) as (head, pieces):
                if not 200 <= head.status < 300:
                    self._judge(Answer(head.status, head.headers, _beginning(pieces)))
                length = head.headers.get("content-length", "")
                self.breaker.succeeded()
                yield Download(
                    length=int(length) if length.isdigit() else None,
                    content_type=head.headers.get("content-type", ""),
                    chunks=pieces,
                )
        except UpstreamError as error:
            self._note(error)
            raise self._without_secrets(error) from None

    def _note(self, error: UpstreamError) -> None:
        if isinstance(error, RefusedError) or error.status == TOO_MANY:
            self.breaker.succeeded()
        else:
            self.breaker.failed(self.redacted(error.message))

    def _judge(self, answer: Answer) -> None:
        """Return for 2xx; raise what any other status means."""
        if 200 <= answer.status < 300:
            return
        answers.raise_unless_final(answer, secret="")
        error = answers.error_body(answer, secret="")["error"]
        kind = MissingError if answer.status == MISSING else RefusedError
        raise kind(
            error["message"],
            status=answer.status,
            code=error["code"] or "",
            param=error["param"],
            body=answer.body[:MAX_QUOTED_BYTES],
            request_id=answer.request_id,
        )

    def _json(self, answer: Answer) -> Any:
        if not answer.body.strip():
            return None
        try:
            return json.loads(answer.body)
        except json.JSONDecodeError:
            text = self.redacted(f"The provider answered {answers.kind_of(answer)} instead of JSON.")
            self.breaker.failed(text)
            raise UpstreamServerError(
                text, status=answer.status, code="bad_answer", request_id=answer.request_id
            ) from None

    def _without_secrets(self, error: UpstreamError) -> UpstreamError:
        error.message, error.code = self.redacted(error.message), self.redacted(error.code)
        error.param = None if error.param is None else self.redacted(error.param)
        error.request_id = self.redacted(error.request_id)
        error.args = (error.message,)
        for secret in self._secrets:
            error.body = answers.redacted(error.body, secret=secret)
        return error


@contextmanager
def fetch_url(url: str, *, target: Target, allowed_hosts: Sequence[str]) -> Iterator[Download]:
    """The bytes behind a signed URL; no credential is sent and no redirect followed.

    `allowed_hosts` are whole names, with or without a port, or `.suffix` for all below it. Raises
    UpstreamError, also when the provider names another host.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        raise UpstreamServerError("The provider names a URL that is none.", code="bad_answer") from None
    named = (host, parts.netloc.lower())
    allowed = any(name in named or (name.startswith(".") and host.endswith(name)) for name in allowed_hosts)
    if parts.scheme not in ("http", "https") or not allowed or "@" in parts.netloc:
        raise UpstreamServerError(f"The provider names a host that is not allowed: {host[:100]!r}.", code="bad_answer")
    plain = Target(
        provider=target.provider,
        base_url=f"{parts.scheme}://{parts.netloc}",
        connect_timeout_s=target.connect_timeout_s,
        call_timeout_s=target.call_timeout_s,
        silence_timeout_s=target.silence_timeout_s,
    )
    api = Api(plain, headers={}, secrets=(target.credential, parts.query))
    try:
        with api.download(f"{parts.path}?{parts.query}" if parts.query else parts.path) as download:
            yield download
    finally:
        api.close()


def expect_object(value: Any) -> dict[str, Any]:
    """`value`, which must be a JSON object. Raises UpstreamServerError."""
    if not isinstance(value, dict):
        raise UpstreamServerError("The provider answered JSON that is not an object.", code="bad_answer")
    return value


def expect_list(value: Any) -> list[Any]:
    """`value`, which must be a JSON list. Raises UpstreamServerError."""
    if not isinstance(value, list):
        raise UpstreamServerError("The provider answered JSON that is not a list.", code="bad_answer")
    return value


def _with_query(path: str, query: Query) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    if not given:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(given)}"


def _beginning(pieces: Iterator[bytes]) -> bytes:
    """As much of a refusal as is worth reading."""
    data = b""
    for piece in pieces:
        data += piece
        if len(data) >= MAX_QUOTED_BYTES:
            break
    return data[:MAX_QUOTED_BYTES]
