"""Builds the verifier of JWTs from the settings, and fetches the issuers' public keys."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.auth import issuers, tokens
from app.auth.jwks import PATIENCE_S, JwksError
from app.connectors.contract.errors import UpstreamError
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

VARIABLE = "BATCHGATE_JWT_ISSUERS"
MAX_KEY_SET_BYTES = 2**20
OK = 200


def verifier(settings: Settings, *, log: "FilteringBoundLogger") -> tokens.Verifier:
    """Returns the verifier of JWTs that the settings describe. Raises SettingsError, which contains no secret."""
    text = settings.jwt_issuers.strip()
    if not text:
        return tokens.Verifier()
    try:
        configured = issuers.parsed(text if text.startswith("[") else Path(text).read_bytes())
    except issuers.IssuerError as error:
        raise SettingsError(f"{VARIABLE}: {error}") from None
    except OSError as error:
        # The value may be malformed JSON with secrets in it, so the message does not repeat it.
        raise SettingsError(
            f"{VARIABLE} is neither a JSON list nor the path of a readable file ({error.strerror})."
        ) from None
    return tokens.verifier(configured, read=_reader, log=log)


def _reader(issuer: issuers.Issuer) -> Callable[[], bytes]:
    if issuer.jwks_file:
        return lambda: _from_file(Path(issuer.jwks_file))
    return lambda: _from_url(issuer.jwks_url)


def _from_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            key_set = file.read(MAX_KEY_SET_BYTES + 1)
    except OSError as error:
        raise JwksError(f"The file cannot be read: {error.strerror}.") from None
    if len(key_set) > MAX_KEY_SET_BYTES:
        raise JwksError(f"The file is larger than {MAX_KEY_SET_BYTES} bytes.")
    return key_set


def _from_url(url: str) -> bytes:
    """Fetches a key set within `PATIENCE_S` in total, without following redirects. Raises JwksError."""
    from app.connectors.http.transport import Client  # which imports requests

    client = Client(connect_timeout_s=PATIENCE_S)
    parts = urlsplit(url)
    url = parts._replace(path=parts.path or "/", fragment="").geturl()
    try:
        with closing(client):
            answer = client.send("GET", url, timeout_s=PATIENCE_S, max_bytes=MAX_KEY_SET_BYTES)
    except UpstreamError as error:
        raise JwksError(error.message) from None
    if answer.status != OK:
        raise JwksError(f"The server answered with status {answer.status}.")
    return answer.body
