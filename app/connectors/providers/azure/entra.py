"""Tokens of Entra ID for a client with a secret: one at a time, kept until shortly before it expires."""

from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from app.connectors.cloud.renewal import Renewal
from app.connectors.contract.errors import RefusedError
from app.connectors.http import judging
from app.connectors.http.redaction import Redaction
from app.connectors.http.transport import Client as HttpClient
from app.connectors.shared import parsing
from app.lib import json

AUTHORITY = "https://login.microsoftonline.com"
SCOPE = "https://cognitiveservices.azure.com/.default"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks for tokens: an application of a tenant."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)


class Entra:
    """The tokens of one client; safe to share between threads, of which one renews for all.

    `secrets` holds what must be in no text: the client's secret, and the tokens of now and before.
    """

    def __init__(self, client: Client, *, authority: str = "", timeout_s: float = 30.0) -> None:
        self._client = client
        self._timeout_s = timeout_s
        authority = authority or AUTHORITY
        self._authority = (authority if "://" in authority else f"https://{authority}").rstrip("/")
        self._http = HttpClient()
        self._renewal = Renewal(self._asked, hidden=[client.client_secret])
        self.secrets = self._renewal.secrets

    def token(self) -> str:
        """A token that is good for a while. Raises UpstreamError: nothing of the call that needed it was sent."""
        return self._renewal.token()

    def close(self) -> None:
        """Close the idle connection."""
        self._http.close()

    def _asked(self) -> tuple[str, float]:
        client = self._client
        form = {
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "scope": SCOPE,
        }
        path = f"/{quote(client.tenant_id, safe='')}/oauth2/v2.0/token"
        body = urlencode(form).encode()
        answer = self._http.send("POST", self._authority + path, body, headers=FORM, timeout_s=self._timeout_s)
        redaction = Redaction(client.client_secret)
        judging.raise_unless_final(answer if answer.is_success else redaction.answer(answer))
        try:
            found = parsing.fields(json.loads(answer.body), "the token")
        except json.JSONDecodeError as error:
            raise parsing.bad_answer("the token of Entra ID is not JSON") from error
        if answer.status >= 400:
            raise self._refused(answer.status, parsing.text(found, "error_description") or "no reason was given")
        return parsing.required(found, "access_token"), float(parsing.count(found, "expires_in") or 0)

    def _refused(self, status: int, reason: str) -> RefusedError:
        told = Redaction(self._client.client_secret).text(reason.splitlines()[0])
        return RefusedError(f"Entra ID refused the client: {told}", status=status, code="invalid_client")
