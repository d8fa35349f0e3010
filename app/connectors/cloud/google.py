"""Google access tokens for one account, by google-auth: one at a time, kept until shortly before it expires.

A credential is the JSON of a service account's key or of an authorized user, plain or in base64; or the word `default`
for application default credentials (GOOGLE_APPLICATION_CREDENTIALS, gcloud's, the machine's); or an access token, which
is used until it expires.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import google.auth
from google.auth import exceptions
from google.auth.transport import Request
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account
from requests import PreparedRequest
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict

from app.connectors.cloud.renewal import Renewal
from app.connectors.contract.errors import (
    ConfigurationError,
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamServerError,
)
from app.connectors.contract.refusals import Kind
from app.connectors.http.redaction import Redaction
from app.connectors.http.transport import Client
from app.lib import json

DEFAULT = "default"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
LIFETIME_S = 3600.0
ENDPOINT = "https://oauth2.googleapis.com/token"
USER = ("refresh_token", "client_id", "client_secret", "quota_project_id")
SECRET = ("private_key", "private_key_id", "client_secret", "refresh_token")
# A shorter word is no secret; redacting it would redact ordinary words.
MIN_SECRET_CHARACTERS = 16
LOOPBACK = ("localhost", "127.0.0.1", "::1")
UNAUTHORIZED = 401
MAX_QUOTE = 500
MAX_TOKEN_BYTES = 2**20


class Tokens(AuthBase):
    """The tokens of one account, as what opens its calls; safe to share between threads, one of which renews for all.

    `secrets` must appear in no text: the parts of the credential, the current and the previous token. The list changes
    when a token is renewed.
    """

    def __init__(self, credential: str, *, timeout_s: float = 30.0, connect_timeout_s: float = 10.0) -> None:
        self._info = _parsed(credential)
        self._given = credential
        self._transport = _Transport(timeout_s, connect_timeout_s)
        self._found: Any = None
        named = self._info.get("project_id") or self._info.get("quota_project_id")
        self._project = named if isinstance(named, str) else ""
        self._renewal = Renewal(self._request_token, hidden=_secrets(credential, self._info))
        self.secrets = self._renewal.secrets
        self._redaction = Redaction(self.secrets, self._transport.sent)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers to a call; raises as `headers` does."""
        request.headers.update(self.headers())
        return request

    def project(self) -> str:
        """The project that the credential names, or empty; raises as `headers` does."""
        if not self._project and self._given == DEFAULT:
            self.token()  # loads the default credentials
        return self._project

    def headers(self) -> Mapping[str, str]:
        """The headers that open a call. Raises UpstreamError; nothing of the call was sent then."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        payer = getattr(self._found, "quota_project_id", None)
        if isinstance(payer, str) and payer:
            headers["x-goog-user-project"] = payer
        return headers

    def token(self) -> str:
        """A token that stays valid for a while; otherwise as `headers`."""
        return self._renewal.token()

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def _request_token(self) -> tuple[str, float]:
        if not self._info and self._given not in ("", DEFAULT):
            return self._given, LIFETIME_S
        try:
            if self._found is None:
                self._found = self._find()
            self._found.refresh(self._transport)
        except exceptions.TransportError as error:
            text = f"Google's token server could not be reached: {self._reason(error)}"
            raise OverloadedError(text, code="no_credentials", sent=False) from None
        except exceptions.GoogleAuthError as error:
            kind = OverloadedError if getattr(error, "retryable", False) is True else RefusedError
            text = f"Google refused a token for this account: {self._reason(error)}"
            refusal = Kind.CREDENTIAL
            raise kind(text, status=UNAUTHORIZED, code="invalid_client", kind=refusal, sent=False) from None
        except (ValueError, TypeError, KeyError, AttributeError, OSError, ArithmeticError) as error:
            # google-auth raises these for an invalid key or answer, and may quote either.
            text = f"Google's token for this account is invalid ({type(error).__name__})."
            raise UpstreamServerError(text, code="no_credentials", sent=False) from None
        token, expiry = self._found.token, self._found.expiry
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise UpstreamServerError("Google's answer has no token.", code="no_credentials", sent=False)
        if not isinstance(expiry, datetime):
            return token, LIFETIME_S
        return token, max(0.0, (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds())

    def _find(self) -> Any:
        if not self._info:
            credentials, project = google.auth.default(scopes=SCOPES, request=self._transport)
            self._project = project or ""
            return credentials
        if self._info["type"] == "authorized_user":
            user: Any = user_credentials.Credentials
            named = {name: self._info.get(name) for name in USER}
            return user(None, **named, token_uri=self._info.get("token_uri", ENDPOINT), scopes=SCOPES)
        account: Any = service_account.Credentials
        return account.from_service_account_info(self._info, scopes=SCOPES)

    def _reason(self, error: Exception) -> str:
        lines = str(error.args[0] if error.args else error).splitlines()
        return self._redaction.text(lines[0] if lines else type(error).__name__)[:MAX_QUOTE]


class _Transport(Request):
    """How google-auth calls for tokens: by our client, in time, to where the credential says and nowhere else."""

    def __init__(self, timeout_s: float, connect_timeout_s: float) -> None:
        self._client = Client(connect_timeout_s=connect_timeout_s)
        self._timeout_s = timeout_s
        self.sent: list[str] = []  # by the last call: whatever could open something

    def __call__(
        self, url: str, method: str = "GET", body: Any = None, headers: Any = None, timeout: Any = None, **_: Any
    ) -> Any:
        data = body.encode() if isinstance(body, str) else body or b""
        text = data.decode("utf-8", "replace")
        self.sent[:] = [value for _, value in parse_qsl(text) if len(value) >= MIN_SECRET_CHARACTERS]
        timeout_s = min(timeout, self._timeout_s) if isinstance(timeout, int | float) else self._timeout_s
        try:
            answer = self._client.send(
                method, url, data, headers=headers, timeout_s=timeout_s, max_bytes=MAX_TOKEN_BYTES
            )
        except UpstreamError as error:
            kind: Any = exceptions.TransportError
            raise kind(error.message) from error
        return _Response(answer.status, CaseInsensitiveDict(answer.headers), answer.body)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()


@dataclass(frozen=True)
class _Response:
    """What google-auth reads of an answer (`google.auth.transport.Response`)."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def _parsed(credential: str) -> dict[str, Any]:
    text = credential if credential.startswith("{") else _unpacked(credential)
    if text is None:
        return {}
    try:
        fields = json.loads(text)
    except json.JSONDecodeError:
        fields = None
    kind = fields.get("type") if isinstance(fields, dict) else None
    if kind not in ("service_account", "authorized_user"):
        raise ConfigurationError(
            "The credential of a Google account must be the JSON of a service account or of an authorized user, "
            f'or the word "{DEFAULT}".'
        )
    if kind == "service_account" and not isinstance(fields.get("token_uri"), str):
        raise ConfigurationError("The key of a service account must have a token_uri.")
    if "token_uri" in fields:
        _check_url(fields["token_uri"])
    return dict(fields)


def _unpacked(credential: str) -> str | None:
    """The JSON in base64; None if it is something else."""
    try:
        text = base64.b64decode(credential, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return text if text.startswith("{") else None


def _check_url(url: Any) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        valid = valid and bool(parts.hostname) and parts.username is None
    except (ValueError, AttributeError, TypeError):
        valid = False
    if not valid:
        raise ConfigurationError("The token_uri of a Google credential must be an https URL.")


def _secrets(credential: str, info: Mapping[str, Any]) -> list[str]:
    secrets = [value for name in SECRET if isinstance(value := info.get(name), str) and value]
    # A key has line breaks here, but escaped ones where it is quoted as JSON.
    secrets += [json.dumps(value).decode()[1:-1] for value in secrets]
    secrets += [line for value in secrets for line in value.splitlines() if len(line) >= 2 * MIN_SECRET_CHARACTERS]
    if not info and credential not in ("", DEFAULT):
        secrets.append(credential)
    return sorted({word for word in secrets if len(word) >= MIN_SECRET_CHARACTERS}, key=len, reverse=True)
