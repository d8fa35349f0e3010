"""What opens an account, as `requests.auth.AuthBase`: each adds headers to a request that is otherwise complete.

Both clients call these: management calls through `requests`, lines with a bare `PreparedRequest`. They see the method,
the whole URL, the headers (with `Host`) and the body (bytes, or an `Upload` that can be read more than once). An
authorisation may raise UpstreamError; nothing of the call was sent then.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from requests import PreparedRequest
from requests.auth import AuthBase


class HeaderAuth(AuthBase):
    """Headers that never change, such as an API key."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = dict(headers)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers.update(self.headers)
        return request


class TokenAuth(AuthBase):
    """A bearer token that is renewed now and then: `token` gives the current one."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        return request


def bearer(key: str) -> HeaderAuth:
    """`Authorization: Bearer <key>`; nothing for an empty key: some servers refuse an empty one that ask for none."""
    return HeaderAuth({"Authorization": f"Bearer {key}"} if key else {})


def api_key(name: str, key: str) -> HeaderAuth:
    """A key in the header `name`; nothing for an empty key."""
    return HeaderAuth({name: key} if key else {})


def body_sha256(body: Any) -> str:
    """The SHA-256 of a request's body in hex. A streamed body is read for it; what reading raises passes through."""
    pieces: Iterable[bytes] = (body or b"",) if isinstance(body, bytes | None) else body.payload.open()
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
