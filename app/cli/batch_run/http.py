"""Calls the gateway over HTTP, as any client does."""

import math
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import requests

from app.cli.shared.profile import Profile
from app.cli.shared.refusal import Refused
from app.lib import json, multipart

PIECE_BYTES = 64 * 1024
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

WORKER_SEEN = "worker_seen_seconds_ago"
CORRECT_URL = "Correct --base-url or BATCHGATE_BASE_URL: it is the gateway's URL, with or without /v1."

Sent = Callable[[int], None]


class AwayError(Exception):
    """The gateway is unreachable or asks the client to retry; a later attempt may succeed."""

    def __init__(self, message: str, *, retry_after_s: float = 0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Gateway:
    """The OpenAI-compatible API of one gateway. Methods raise Refused with the gateway's message, or AwayError."""

    def __init__(self, profile: Profile) -> None:
        self.base_url = profile.base_url
        self._session = requests.Session()
        # As `auth`, not as a header: requests lets an entry in ~/.netrc replace the header.
        self._session.auth = _Bearer(profile.api_key)

    def greet(self) -> None:
        """Check that the gateway is there and accepts the key, before anything large is sent."""
        if self._json("GET", "/batches?limit=1", missing_ok=True).get("object") != "list":
            raise Refused(f"{self.base_url} answers, but not as a gateway does. {CORRECT_URL}")

    def seconds_without_worker(self) -> float | None:
        """How long no worker has been seen; infinite if none ever was, None if the gateway does not say."""
        try:
            with self._session.get(f"{self.base_url}/readyz", timeout=CONNECT_S, allow_redirects=False) as response:
                report = json.loads(response.content)
        except (requests.RequestException, ValueError):
            return None
        if not isinstance(report, dict) or WORKER_SEEN not in report:
            return None
        seen = report[WORKER_SEEN]
        return float(seen) if isinstance(seen, int | float) else math.inf

    def upload(self, path: Path, *, provider: str | None, sent: Sent) -> dict[str, Any]:
        """Upload `path` as a batch input and return its file object. `sent` gets the size of each piece sent."""
        fields = [("purpose", "batch"), *([("provider", provider)] if provider else [])]
        with path.open("rb") as file:
            size = file.seek(0, 2)
            form = multipart.form(
                fields,
                file_field="file",
                filename=path.name,
                content_type="application/jsonl",
                file_bytes=size,
                open_file=lambda: _pieces(file, size, sent),
            )
            return self._json("POST", "/files", data=form, headers={"Content-Type": form.content_type}, timeout=None)

    def delete_file(self, file_id: str) -> None:
        """Delete a file."""
        self._json("DELETE", f"/files/{file_id}")

    def estimate(self, file_id: str, *, provider: str | None, model: str | None) -> dict[str, Any]:
        """The gateway's estimate of what a batch of this file would cost and take."""
        query = {"provider": provider, "model": model}
        params = {name: value for name, value in query.items() if value}
        return self._json("GET", f"/files/{file_id}/estimate", params=params)

    def create_batch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a batch. It is retried once after a lost answer; the idempotency key prevents a second batch."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        try:
            return self._json("POST", "/batches", json=body, headers=headers)
        except AwayError:
            return self._json("POST", "/batches", json=body, headers=headers)

    def batch(self, batch_id: str) -> dict[str, Any]:
        """The current batch object."""
        return self._json("GET", f"/batches/{batch_id}")

    def download(self, file_id: str, target: BinaryIO) -> None:
        """Write a file's content to `target`."""
        with self._request("GET", f"/files/{file_id}/content", stream=True) as response:
            try:
                target.writelines(response.iter_content(PIECE_BYTES))
            except requests.RequestException as error:
                raise AwayError(f"The download of {file_id} was interrupted: {error}") from error

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        with self._request(method, path, **options) as response:
            try:
                answer = json.loads(response.content)
            except ValueError as error:
                raise _not_a_gateway(response) from error
        if not isinstance(answer, dict):
            raise _not_a_gateway(response)
        return answer

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        timeout, missing_ok = options.pop("timeout", ANSWER_S), options.pop("missing_ok", False)
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
        # A 409 with Retry-After: the same request is still in progress, and its answer will be ours.
        if response.status_code in TRANSIENT or (response.status_code == 409 and "Retry-After" in response.headers):
            raise AwayError(_message(response), retry_after_s=_retry_after(response))
        if missing_ok and response.status_code in (404, 405):
            raise Refused(f"{response.url} does not exist ({_message(response)}). {CORRECT_URL}")
        if response.status_code >= 300:
            raise Refused(_message(response))
        return response


class _Bearer(requests.auth.AuthBase):
    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _pieces(file: BinaryIO, size: int, sent: Sent) -> Iterator[bytes]:
    """The first `size` bytes of the file: what is appended meanwhile is not part of the announced length."""
    file.seek(0)
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
        text, event = str(error["message"]), body.get("event_id")
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{response.url} answers {response.status_code} {response.reason}. Check the base URL."
    return f"{text} (HTTP {response.status_code}, event {event})" if event else f"{text} (HTTP {response.status_code})"


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
