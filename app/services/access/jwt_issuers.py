"""The issuers of JWTs that the settings name, and how their public keys are read."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.auth import issuers, tokens
from app.auth.jwks import PATIENCE_S, JwksError
from app.connectors.contract.errors import UpstreamError
from app.connectors.http.transport import Client
from app.settings import Settings, SettingsError

VARIABLE = "BATCHGATE_JWT_ISSUERS"
MAX_BYTES = 2**20
OK = 200


def verifier(settings: Settings, *, log: Any) -> tokens.Verifier:
    """The verifier of JWTs for the issuers in the settings. Raises SettingsError, which shows no secret."""
    text = settings.jwt_issuers.strip()
    if not text:
        return tokens.Verifier()
    try:
        parsed = issuers.parsed(text if text.startswith("[") else Path(text).read_bytes())
    except issuers.IssuerError as error:
        raise SettingsError(f"{VARIABLE}: {error}") from None
    except OSError as error:
        # It may be malformed JSON rather than a path, and then hold a secret, so it is not quoted.
        raise SettingsError(
            f"{VARIABLE} is neither a JSON list nor the path of a readable file ({error.strerror})."
        ) from None
    return tokens.verifier(parsed, read=_reader, log=log)


def _reader(issuer: issuers.Issuer) -> Callable[[], bytes]:
    if issuer.jwks_file:
        return lambda: _from_file(Path(issuer.jwks_file))
    return lambda: _from_url(issuer.jwks_url)


def _from_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            document = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise JwksError(f"The file cannot be read: {error.strerror}.") from None
    if len(document) > MAX_BYTES:
        raise JwksError(f"The file is larger than {MAX_BYTES} bytes.")
    return document


def _from_url(url: str) -> bytes:
    """The document at `url`, within `PATIENCE_S` in all. No redirect is followed. Raises JwksError."""
    client = Client(connect_timeout_s=PATIENCE_S)
    parts = urlsplit(url)
    url = parts._replace(path=parts.path or "/", fragment="").geturl()
    try:
        with closing(client):
            answer = client.send("GET", url, timeout_s=PATIENCE_S, max_bytes=MAX_BYTES)
    except UpstreamError as error:
        raise JwksError(error.message) from None
    if answer.status != OK:
        raise JwksError(f"The answer has status {answer.status}.")
    return answer.body
