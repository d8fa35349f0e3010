"""Calls the gateway over HTTP, as any client does."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import requests

from app.cli.shared.profile import Profile
from app.cli.shared.refusal import Refused
from app.cli.shared.text import plain
from app.lib import json, multipart

PIECE_BYTES = 64 * 1024
# How often a transfer is tried that the gateway does not answer, or asks to repeat later: over about a minute, in which
# it may have been deployed anew.
ATTEMPTS = 8
FIRST_WAIT_S, MAX_WAIT_S = 0.25, 60.0
CONNECT_S = 10
ANSWER_S = 120
# What the messages of the operating system mean to someone who typed a URL.
REASONS = {
    "refused": "nothing listens there",
    "resolve": "its name cannot be resolved",
    "name resolution": "its name cannot be resolved",
    "Name or service not known": "its name cannot be resolved",
    "closed connection": "it closed the connection without an answer",
    "reset": "it closed the connection without an answer",
}
TRANSIENT = (429, 502, 503, 504)

CORRECT_URL = "Correct --base-url or BATCHGATE_BASE_URL: it is the gateway's URL, with or without /v1."

Answer = TypeVar("Answer")
Sent = Callable[[int], None]
Sleep = Callable[[float], None]


class AwayError(Exception):
    """The gateway is unreachable or asks the client to retry; a later attempt may succeed."""

    def __init__(self, message: str, *, retry_after_s: float = 0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StatusError(Refused):
    """The gateway refuses the request, with this status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Gateway:
    """The OpenAI-compatible API of one gateway. Methods raise Refused with the gateway's message, or AwayError."""

    def __init__(self, profile: Profile) -> None:
        self.base_url = profile.base_url
        self._session = requests.Session()
        # As `auth`, not as a header: requests lets an entry in ~/.netrc replace the header.
        self._session.auth = Bearer(profile.api_key)

    def greet(self) -> None:
        """Check that the gateway is there and accepts the key, before anything large is sent."""
        if self.call("GET", "/batches?limit=1", names_url=True).get("object") != "list":
            raise Refused(f"{self.base_url} answers, but not as a gateway does. {CORRECT_URL}")

    def upload(
        self,
        path: Path,
        *,
        provider: str | None,
        sent: Sent,
        fields: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Upload `path`, as a batch input unless `fields` say otherwise, and return its file object.

        `sent` gets the size of each piece sent. With a `key` the same upload may be sent again.
        """
        named = {"purpose": "batch", **(fields or {}), **({"provider": provider} if provider else {})}
        return self.send_file("/files", path, fields=named, sent=sent, content_type="application/jsonl", key=key)

    def send_file(
        self,
        url_path: str,
        path: Path,
        *,
        fields: Mapping[str, str],
        sent: Sent,
        content_type: str = "application/octet-stream",
        key: str | None = None,
    ) -> dict[str, Any]:
        """Post a form with a file as its last field."""
        with path.open("rb") as file:
            size = file.seek(0, 2)
            form = multipart.form(
                list(fields.items()),
                file_field="file",
                filename=path.name,
                content_type=content_type,
                file_bytes=size,
                open_file=lambda: pieces(file, 0, size, sent),
            )
            headers = {"Content-Type": form.content_type} | ({"Idempotency-Key": key} if key else {})
            return self.call("POST", url_path, data=form, headers=headers, timeout=None)

    def delete_file(self, file_id: str) -> None:
        """Delete a file."""
        self.call("DELETE", f"/files/{file_id}")

    def estimate(self, file_id: str, *, provider: str | None, model: str | None) -> dict[str, Any]:
        """The gateway's estimate of what a batch of this file would cost and take."""
        query = {"provider": provider, "model": model}
        params = {name: value for name, value in query.items() if value}
        return self.call("GET", f"/files/{file_id}/estimate", params=params)

    def create_batch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a batch. It is retried once after a lost answer; the idempotency key prevents a second batch."""
        return self.post_once("/batches", body)

    def post_once(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post what must not happen twice: it is sent again, once, only under the same key."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        try:
            return self.call("POST", path, json=body, headers=headers)
        except AwayError:
            return self.call("POST", path, json=body, headers=headers)

    def open(self, path: str, **options: Any) -> requests.Response:
        """A response whose body is read piece by piece, with `read`. Content that lies in a bucket comes from there."""
        return self._request("GET", path, stream=True, **options)

    def head(self, path: str) -> requests.Response:
        """What a GET would answer, without its body."""
        return self._request("HEAD", path)

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The JSON object that the gateway answers. `path` begins after `/v1`; `options` are those of requests."""
        with self._request(method, path, **options) as response:
            try:
                answer = json.loads(response.content)
            except ValueError as error:
                raise _not_a_gateway(response) from error
        if not isinstance(answer, dict):
            raise _not_a_gateway(response)
        return answer

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        timeout, names_url = options.pop("timeout", ANSWER_S), options.pop("names_url", False)
        url = f"{self.base_url}/v1{path}"
        try:
            response = self._session.request(
                method, url, timeout=(CONNECT_S, timeout), allow_redirects=False, **options
            )
        except requests.exceptions.SSLError as error:
            text = f"{self.base_url} does not speak TLS, or its certificate is not trusted ({_cause(error)})."
            raise Refused(f"{text} {CORRECT_URL}") from error
        except (requests.ConnectionError, requests.Timeout) as error:
            text = f"No gateway answers at {self.base_url}: {_why(error)}. Is it running?"
            raise AwayError(f"{text} `make run` starts one here. Otherwise: {CORRECT_URL}") from error
        except requests.RequestException as error:
            raise Refused(f"The request to {url} cannot be sent: {error}") from error
        if response.status_code == 302 and options.get("stream"):
            # A signed URL of the bucket: the key stays here.
            return self._request_elsewhere(response.headers["Location"])
        # A 409 with Retry-After: the same request is still in progress, and its answer will be ours.
        if response.status_code in TRANSIENT or (response.status_code == 409 and "Retry-After" in response.headers):
            raise AwayError(_message(response), retry_after_s=_retry_after(response))
        if names_url and response.status_code in (404, 405):
            raise Refused(f"{response.url} does not exist ({_message(response)}). {CORRECT_URL}")
        if response.status_code >= 300:
            raise StatusError(_message(response), response.status_code)
        return response

    @staticmethod
    def _request_elsewhere(url: str) -> requests.Response:
        try:
            response = requests.get(url, stream=True, timeout=(CONNECT_S, ANSWER_S), allow_redirects=False)
        except requests.RequestException as error:
            raise AwayError(f"The blob store of the gateway does not answer: {_why(error)}.") from error
        if response.status_code != 200:
            raise AwayError(f"The blob store of the gateway answers {response.status_code} {plain(response.reason)}.")
        return response


def read(response: requests.Response) -> Iterator[bytes]:
    """The body, piece by piece. Raises AwayError when it is cut off."""
    try:
        yield from response.iter_content(PIECE_BYTES)
    except requests.RequestException as error:
        raise AwayError(f"The download was cut off: {plain(_cause(error))}.") from error


def patiently(call: Callable[[], Answer], *, sleep: Sleep = time.sleep) -> Answer:
    """Calls again, later, while the gateway is away, for about a minute: once it is known to be there."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except AwayError as error:
            sleep(min(max(error.retry_after_s, FIRST_WAIT_S * 2**attempt), MAX_WAIT_S))
    return call()


def segment(object_id: str) -> str:
    """An id as a part of a path. Raises Refused for what is none."""
    if object_id in ("", ".", "..") or not object_id.isprintable():
        raise Refused(f"{object_id!r:.80} is not an id.")
    return quote(object_id, safe="")


class Bearer(requests.auth.AuthBase):
    """Sends a virtual key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def pieces(file: BinaryIO, start: int, size: int, sent: Sent) -> Iterator[bytes]:
    """`size` bytes of the file from `start` on: what is appended meanwhile is not part of the announced length."""
    file.seek(start)
    left = size
    while left and (piece := file.read(min(PIECE_BYTES, left))):
        left -= len(piece)
        yield piece
        sent(len(piece))
    if left:
        raise Refused("The input file was truncated during the upload. Leave it unchanged until the upload ends.")


def _cause(error: BaseException) -> BaseException:
    """The innermost cause of an error of requests, which wraps it several times."""
    inner = [*error.args, getattr(error, "reason", None), error.__cause__]
    causes = [each for each in inner if isinstance(each, BaseException)]
    return _cause(causes[0]) if causes else error


def _why(error: requests.RequestException) -> str:
    if isinstance(error, requests.ReadTimeout):
        return f"it accepts connections, but did not answer within {ANSWER_S} s"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_S} s"
    text = str(_cause(error))
    for sign, meaning in REASONS.items():
        if sign in text:
            return meaning
    return text[:200] or type(error).__name__


def _not_a_gateway(response: requests.Response) -> Refused:
    return Refused(f"The answer of {response.url} is not a gateway's. Check the base URL.")


def _message(response: requests.Response) -> str:
    """The message of the error envelope, with the status and the event id that the operator can look up."""
    try:
        body = json.loads(response.content)
        error = body["error"]
        text, event = plain(error["message"]), body.get("event_id")
    except (ValueError, KeyError, TypeError, AttributeError):
        # The answer to HEAD has no body.
        return f"{response.url} answers {response.status_code} {plain(response.reason)}. Check the base URL."
    named = f", event {plain(event)}" if event else ""
    return f"{text} (HTTP {response.status_code}{named})"


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
