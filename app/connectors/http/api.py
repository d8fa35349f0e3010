"""Management calls of one account: JSON in and out, every failure an UpstreamError, the credential in none of them."""

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
from app.connectors.http import judging
from app.connectors.http.breaker import Breaker
from app.connectors.http.lines import BAD_PAYLOAD, Answer, HttpClient
from app.connectors.http.outgoing import Sign
from app.lib import json, multipart
from app.lib.clock import Clock

T = TypeVar("T")
Query = Mapping[str, str | int | None] | None

ATTEMPTS = 3
PAUSE_S = 0.1
TOO_MANY = 429
MISSING = 404
REDIRECT = "redirect"
MOST_DIGITS = 20
# An answer that describes something is never larger.
MAX_ANSWER_BYTES = 64 * 2**20
MAX_QUOTED_BYTES = 4096
MAX_MESSAGE = 4096
MAX_WORD = 256
# Far more than is quoted, so that a secret at the end is cut off with it.
MAX_ERROR_BYTES = 16 * MAX_QUOTED_BYTES
# A shorter part of a signed URL is no secret; hiding it would hide words.
MIN_SECRET_CHARACTERS = 16


class Api:
    """Calls to the management API of one account; safe to share between threads. Paths are quoted by the caller.

    `reword` makes JSON of refusals that come in another form.

    Every call raises RefusedError (MissingError for a 404), OverloadedError, UpstreamTimeoutError or
    UpstreamServerError, without the credential in any text.
    """

    def __init__(
        self,
        target: Target,
        *,
        headers: Mapping[str, str],
        authorize: Callable[[], Mapping[str, str]] | None = None,
        sign: Sign | None = None,
        reword: Callable[[Answer], Answer] | None = None,
        base_url: str | None = None,
        secrets: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._target = target
        self._reword = reword
        self._more_secrets = secrets  # looked at when an error is told: tokens come and go
        self.breaker = Breaker(clock=clock)
        self.http = HttpClient(
            base_url or target.base_url,
            headers=headers,
            authorize=authorize,
            sign=sign,
            connect_timeout_s=target.connect_timeout_s,
            max_idle=target.max_concurrency,
            max_answer_bytes=MAX_ANSWER_BYTES,
        )

    @property
    def healthy(self) -> bool:
        """False while the breaker is open."""
        return self.breaker.state != "open"

    def get(self, path: str, *, query: Query = None) -> Any:
        """The JSON that a GET answers, which must be some.

        Repeated twice at most when the connection breaks or the provider fails.
        """
        return self._repeated("GET", _with_query(path, query), needed=True)

    def answer(self, method: str, path: str, *, query: Query = None) -> Answer:
        """The 2xx answer to a GET or HEAD, whatever its body is. Repeated as a GET is."""
        return self._guarded(lambda: self._attempts(method, _with_query(path, query), self._fine))

    def delete(self, path: str, *, query: Query = None) -> Any:
        """The JSON that a DELETE answers, None for an empty answer. Repeated as a GET is."""
        return self._repeated("DELETE", _with_query(path, query))

    def post(
        self, path: str, body: Any = None, *, query: Query = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON that a POST of JSON answers, None for an empty answer.

        Sent once, unless nothing of it left this machine.
        """
        return self._once(self._posting(path, body, query, headers), self._value)

    def post_answer(
        self, path: str, body: Any = None, *, query: Query = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The 2xx answer to a POST of JSON, for those whose headers tell something. Sent as a POST is."""
        return self._once(self._posting(path, body, query, headers), self._fine)

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

        return self._once(call, self._value)

    def line(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None, timeout_s: float) -> Answer:
        """What a POST of one line's JSON answers: 2xx, or a 4xx that repeating would not change, without secrets.

        Sent once, whatever the breaker says, which is for management calls. Raises UpstreamError for all else.
        """
        try:
            answer = self.http.request("POST", path, body=json.dumps(body), headers=headers, timeout_s=timeout_s)
            answer = answer if answer.status < 300 else self._told(answer)
            judging.raise_unless_final(answer, secret="")
        except UpstreamError as error:
            raise self._without_secrets(error) from None
        return answer

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

    def redacted(self, text: str) -> str:
        """`text` without the account's secrets."""
        for secret in self._secrets:
            text = judging.redacted_text(text, secret=secret)
        return text

    @property
    def _secrets(self) -> list[str]:
        found = {secret for secret in (self._target.credential, *self._more_secrets) if secret}
        return sorted(found, key=len, reverse=True)  # one may be a part of another

    def _repeated(self, method: str, path: str, *, needed: bool = False) -> Any:
        return self._guarded(lambda: self._attempts(method, path, lambda answer: self._value(answer, needed=needed)))

    def _attempts(self, method: str, path: str, read: Callable[[Answer], T]) -> T:
        deadline = time.monotonic() + self._target.call_timeout_s
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self.http.request(method, path, timeout_s=max(0.001, deadline - time.monotonic()))
                return read(answer)
            except UpstreamServerError as error:
                pause = PAUSE_S * attempt * random.uniform(0.5, 1.0)  # noqa: S311 - keeps repeats apart
                late = attempt == ATTEMPTS or time.monotonic() + pause >= deadline
                if late or error.code == REDIRECT or not self.healthy:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _posting(self, path: str, body: Any, query: Query, headers: Mapping[str, str] | None) -> Callable[[], Answer]:
        data = b"" if body is None else json.dumps(body)
        where, within_s = _with_query(path, query), self._target.call_timeout_s
        return lambda: self.http.request("POST", where, body=data, headers=headers, timeout_s=within_s)

    def _once(self, call: Callable[[], Answer], read: Callable[[Answer], T]) -> T:
        def again_if_unsent() -> T:
            try:
                return read(call())
            except UpstreamServerError as error:
                if error.sent:
                    raise
            return read(call())

        return self._guarded(again_if_unsent)

    def _guarded(self, call: Callable[[], T]) -> T:
        """What a call gives, with all its repeats; what it comes to is told to the breaker."""
        self.breaker.enter()
        with self._blamed():
            value = call()
        self.breaker.succeeded()
        return value

    @contextmanager
    def _streamed(self, path: str, headers: Mapping[str, str] | None) -> Iterator[Download]:
        decides = self.breaker.enter()
        target = self._target
        with ExitStack() as stack:
            with self._blamed():
                stream = self.http.stream(
                    path, headers=headers, silence_s=target.silence_timeout_s, timeout_s=target.call_timeout_s
                )
                head, pieces = stack.enter_context(stream)
                if not 200 <= head.status < 300:
                    self._judge(Answer(head.status, head.headers, _beginning(pieces)))
            if decides:
                self.breaker.succeeded()  # others need not wait for the last byte
            yield Download(
                length=_length(head.headers),
                content_type=head.headers.get("content-type", ""),
                chunks=self._watched(pieces),
            )

    def _watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        with self._blamed():
            yield from pieces
        self.breaker.succeeded()

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Tell the breaker of what the provider does wrong within the block, and raise it without secrets."""
        try:
            yield
        except UpstreamError as error:
            self._note(error)
            raise self._without_secrets(error) from None
        except BaseException:
            self.breaker.left()
            raise

    def _note(self, error: UpstreamError) -> None:
        if isinstance(error, RefusedError) or error.status == TOO_MANY:
            self.breaker.succeeded()
        elif error.code == BAD_PAYLOAD:
            self.breaker.left()
        else:
            self.breaker.failed(self.redacted(error.message)[:MAX_MESSAGE])

    def _judge(self, answer: Answer) -> None:
        """Return for 2xx; raise what any other status means."""
        if 200 <= answer.status < 300:
            return
        answer = self._told(answer)
        judging.raise_unless_final(answer, secret="")
        error = judging.error_body(answer, secret="")["error"]
        kind = MissingError if answer.status == MISSING else RefusedError
        raise kind(
            error["message"],
            status=answer.status,
            code=error["code"] or "",
            param=error["param"],
            body=answer.body[:MAX_QUOTED_BYTES],
            request_id=answer.request_id,
        )

    def _told(self, answer: Answer) -> Answer:
        """What is no 2xx, in JSON and without secrets, which go first: what is cut may leave a part of one."""
        answer = replace(answer, body=self._clean(answer.body))
        return answer if self._reword is None else self._reword(answer)

    def _fine(self, answer: Answer) -> Answer:
        self._judge(answer)
        return answer

    def _value(self, answer: Answer, *, needed: bool = False) -> Any:
        self._judge(answer)
        if not needed and not answer.body.strip():
            return None
        try:
            return json.loads(answer.body)
        except json.JSONDecodeError:
            text = f"The provider answered {judging.kind_of(answer)} instead of JSON."
            raise UpstreamServerError(
                text, status=answer.status, code="bad_answer", request_id=answer.request_id
            ) from None

    def _without_secrets(self, error: UpstreamError) -> UpstreamError:
        error.message = self.redacted(error.message)[:MAX_MESSAGE]
        error.code = self.redacted(error.code)[:MAX_WORD]
        error.param = None if error.param is None else self.redacted(error.param)[:MAX_WORD]
        error.request_id = self.redacted(error.request_id)[:MAX_WORD]
        error.args = (error.message,)
        error.body = self._clean(error.body)
        return error

    def _clean(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = judging.redacted(data, secret=secret)
        return data


@contextmanager
def fetch_url(url: str, *, target: Target, allowed_hosts: Sequence[str]) -> Iterator[Download]:
    """The bytes behind a signed URL; no credential is sent and no redirect followed.

    `allowed_hosts` are whole names, with or without a port, or `.suffix` for all below it. Raises
    UpstreamError, also when the provider names another host.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        sound = parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        sound = False
    if not sound:
        raise UpstreamServerError("The provider names a URL that is none.", code="bad_answer")
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
    api = Api(plain, headers={}, secrets=(target.credential, *_signatures(parts.query)))
    try:
        with api.download(f"{parts.path}?{parts.query}" if parts.query else parts.path) as download:
            yield download
    finally:
        api.close()


def _with_query(path: str, query: Query) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    if not given:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(given, quote_via=quote, safe='')}"


def _length(headers: Mapping[str, str]) -> int | None:
    told = headers.get("content-length", "")
    counts = told.isascii() and told.isdigit() and len(told) < MOST_DIGITS and "transfer-encoding" not in headers
    return int(told) if counts else None


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
