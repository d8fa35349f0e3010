"""The gateway over HTTP, as any client sees it."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import requests

from app.cli.shared.context import Refused
from app.cli.shared.profile import Profile
from app.lib import json

PIECE_BYTES = 64 * 1024
CONNECT_S = 10
ANSWER_S = 120
TRANSIENT = (429, 502, 503, 504)

Sent = Callable[[int], None]


class AwayError(Exception):
    """The gateway cannot be reached or asks to come back; asking again later may help."""

    def __init__(self, message: str, *, retry_after_s: float = 0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Gateway:
    """Calls of the native face. Every method raises Refused with the gateway's own message, or AwayError."""

    def __init__(self, profile: Profile) -> None:
        self.base_url = profile.base_url
        self._session = requests.Session()
        # As `auth` and not as a header: requests would let a ~/.netrc entry replace the header.
        self._session.auth = _Bearer(profile.api_key)

    def greet(self) -> None:
        """Find out whether the gateway takes the key, before anything large is sent."""
        self._json("GET", "/batches?limit=1")

    def upload(self, path: Path, *, provider: str | None, sent: Sent) -> dict[str, Any]:
        """The file object of `path`, streamed as a batch input; `sent` is told bytes as they leave."""
        fields = {"purpose": "batch"} | ({"provider": provider} if provider else {})
        with path.open("rb") as file:
            form = _Form(fields, file, name=path.name, sent=sent)
            return self._json("POST", "/files", data=form, headers={"Content-Type": form.content_type}, timeout=None)

    def delete_file(self, file_id: str) -> None:
        """Delete a file."""
        self._json("DELETE", f"/files/{file_id}")

    def estimate(self, file_id: str, *, provider: str | None, model: str | None) -> dict[str, Any]:
        """What a batch of this file would take, as the gateway sees it."""
        asked = {"provider": provider, "model": model}
        params = {name: value for name, value in asked.items() if value}
        return self._json("GET", f"/files/{file_id}/estimate", params=params)

    def create_batch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new batch; a repetition after a lost answer makes no second one."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        try:
            return self._json("POST", "/batches", json=body, headers=headers)
        except AwayError:
            return self._json("POST", "/batches", json=body, headers=headers)

    def batch(self, batch_id: str) -> dict[str, Any]:
        """A batch as it is now."""
        return self._json("GET", f"/batches/{batch_id}")

    def download(self, file_id: str, target: BinaryIO) -> None:
        """Write a file's content to `target`."""
        with self._ask("GET", f"/files/{file_id}/content", stream=True) as response:
            try:
                target.writelines(response.iter_content(PIECE_BYTES))
            except requests.RequestException as error:
                raise AwayError(f"The download of {file_id} broke off: {error}") from error

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        with self._ask(method, path, **options) as response:
            try:
                answer = json.loads(response.content)
            except ValueError as error:
                raise Refused(f"{response.url} does not answer as a gateway does. Is the base URL right?") from error
        if not isinstance(answer, dict):
            raise Refused(f"{response.url} does not answer as a gateway does. Is the base URL right?")
        return answer

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        timeout = options.pop("timeout", ANSWER_S)
        url = f"{self.base_url}/v1{path}"
        try:
            response = self._session.request(
                method, url, timeout=(CONNECT_S, timeout), allow_redirects=False, **options
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            raise AwayError(f"No gateway answers at {self.base_url}. Is it running?") from error
        except requests.RequestException as error:
            raise Refused(f"{url} cannot be asked: {error}") from error
        # A 409 with Retry-After is a twin in flight, whose answer will be ours.
        if response.status_code in TRANSIENT or (response.status_code == 409 and "Retry-After" in response.headers):
            raise AwayError(_message(response), retry_after_s=_retry_after(response))
        if response.status_code >= 300:
            raise Refused(_message(response))
        return response


class _Bearer(requests.auth.AuthBase):
    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class _Form:
    """A multipart body with a length, read from its file piece by piece: requests' own would hold it in memory."""

    def __init__(self, fields: Mapping[str, str], file: BinaryIO, *, name: str, sent: Sent) -> None:
        boundary = uuid.uuid4().hex
        self.content_type = f"multipart/form-data; boundary={boundary}"
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        )
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._file, self._sent = file, sent
        self._size = file.seek(0, 2)

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        left = self._size
        yield self._head
        while left and (piece := self._file.read(min(PIECE_BYTES, left))):
            left -= len(piece)
            yield piece
            self._sent(len(piece))
        if left:
            raise Refused("The input file became shorter while it was sent.")
        yield self._tail


def _message(response: requests.Response) -> str:
    """The envelope's message, with the field it is about and the id that the operator can look up."""
    try:
        body = json.loads(response.content)
        error = body["error"]
        text, event = str(error["message"]), body.get("event_id")
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{response.url} answers {response.status_code} {response.reason}. Is the base URL right?"
    return f"{text} (HTTP {response.status_code}, event {event})" if event else f"{text} (HTTP {response.status_code})"


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
