"""Access tokens of Entra ID, for an application with a secret or for a managed identity of this machine.

azure-identity was tried with our client as its transport and its retries off (1.27, msal 1.39), and does not hold the
rules of connectors:

- It logs each refusal at WARNING before its caller sees it, in Entra's words: a secret quoted there is in the log.
- Outages, malformed answers and refusals are all ClientAuthenticationError with a text and no status, so that what a
  retry may cure cannot be told from what it cannot.
- 8 threads that needed their first token together made 13 calls (8 for the authority's metadata, 5 for tokens); here
  they make one. A second thread does not wait for the token of the first.
- It gets the authority's metadata before the first token, and rejects an authority without TLS.
- Its managed identity takes the host from environment variables (AZURE_POD_IDENTITY_AUTHORITY_HOST, IDENTITY_ENDPOINT,
  MSI_ENDPOINT) instead of the account's configuration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import quote, urlencode

from app.connectors.cloud.renewal import Renewal
from app.connectors.contract.errors import ConfigurationError, OverloadedError, RefusedError
from app.connectors.contract.refusals import Kind
from app.connectors.http import judging
from app.connectors.http.redaction import Redaction
from app.connectors.http.transport import Client
from app.connectors.http.wire import Answer
from app.connectors.shared import parsing
from app.lib import json

AUTHORITY = "https://login.microsoftonline.com"
RESOURCE = "https://cognitiveservices.azure.com"
# The instance metadata service, which only a machine in Azure can reach.
METADATA_SERVICE = "http://169.254.169.254"
METADATA_VERSION = "2018-02-01"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MAX_TOKEN_BYTES = 2**20
APPLICATION = ("tenant_id", "client_id", "client_secret")


@dataclass(frozen=True, slots=True)
class TokenCall:
    """The HTTP request that gets a token."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Application:
    """An application of a tenant, with a client secret. `authority` is a host, or a URL without a path."""

    # How the error of a refusal begins; how long connecting may take; refusals that pass by themselves.
    refusal: ClassVar = "Entra ID refused the client"
    connect_timeout_s: ClassVar = 10.0
    transient: ClassVar[frozenset[int]] = frozenset()

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    authority: str = AUTHORITY

    @property
    def secrets(self) -> Sequence[str]:
        """The client secret."""
        return [self.client_secret]

    def call(self) -> TokenCall:
        """The OAuth 2.0 client credentials grant of the v2.0 endpoint."""
        authority = self.authority if "://" in self.authority else f"https://{self.authority}"
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": f"{RESOURCE}/.default",
        }
        url = f"{authority.rstrip('/')}/{quote(self.tenant_id, safe='')}/oauth2/v2.0/token"
        return TokenCall("POST", url, FORM, urlencode(form).encode())


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """An identity that Azure gives this machine: its own, or the user-assigned one with this client id."""

    refusal: ClassVar = "The metadata service refused the managed identity"
    # A link-local address answers at once, or the machine is not in Azure.
    connect_timeout_s: ClassVar = 2.0
    # The service is being updated, which takes up to 70 s (Microsoft, "How to use managed identities on an Azure VM to
    # acquire an access token", error handling).
    transient: ClassVar = frozenset({404, 410})

    client_id: str = ""
    endpoint: str = METADATA_SERVICE

    @property
    def secrets(self) -> Sequence[str]:
        """None: the machine itself is the credential."""
        return []

    def call(self) -> TokenCall:
        """The request of the metadata service; the header proves that it is not a forwarded one."""
        query = {"api-version": METADATA_VERSION, "resource": RESOURCE}
        query |= {"client_id": self.client_id} if self.client_id else {}
        url = f"{self.endpoint.rstrip('/')}/metadata/identity/oauth2/token?{urlencode(query)}"
        return TokenCall("GET", url, {"Metadata": "true"})


Identity = Application | ManagedIdentity


def identity(credential: Mapping[str, object], options: Mapping[str, str]) -> Identity:
    """The identity that a credential names, reached as the account's options say.

    Raises ConfigurationError for a credential that is neither an application's nor a managed identity's.
    """
    client_id = credential.get("client_id", "")
    if credential.get("managed_identity") is True and isinstance(client_id, str):
        return ManagedIdentity(client_id, options.get("identity_endpoint") or METADATA_SERVICE)
    values = {name: value for name in APPLICATION if isinstance(value := credential.get(name), str) and value}
    if len(values) < len(APPLICATION):
        needed = f"token, or {', '.join(APPLICATION)}, or managed_identity: true"
        raise ConfigurationError(f"The credential of an Azure account needs {needed}.")
    return Application(**values, authority=options.get("authority") or AUTHORITY)


class Entra:
    """The tokens of one identity; safe to share between threads, one of which renews for all.

    `secrets` must appear in no text: the identity's, the current and the previous token.
    """

    def __init__(self, identity: Identity, *, timeout_s: float = 30.0) -> None:
        self._identity = identity
        self._timeout_s = timeout_s
        self._http = Client(connect_timeout_s=identity.connect_timeout_s)
        self._renewal = Renewal(self._requested, hidden=identity.secrets)
        self.secrets = self._renewal.secrets

    def token(self) -> str:
        """A token that stays valid for a while. Raises UpstreamError; nothing of the call that needs it was sent."""
        return self._renewal.token()

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()

    def _requested(self) -> tuple[str, float]:
        """A new token and its lifetime in seconds."""
        call = self._identity.call()
        answer = self._http.send(
            call.method,
            call.url,
            call.body,
            headers=call.headers,
            timeout_s=self._timeout_s,
            max_bytes=MAX_TOKEN_BYTES,
        )
        redaction = Redaction(self._identity.secrets)
        judging.raise_unless_final(answer if answer.is_success else redaction.answer(answer))
        if answer.status in self._identity.transient:
            text = f"{self._identity.refusal} for now, with status {answer.status}."
            raise OverloadedError(text, status=answer.status, code="overloaded")
        fields = _fields(answer)
        if not answer.is_success:
            reason = parsing.text(fields, "error_description") or "it gave no reason"
            text = redaction.text(f"{self._identity.refusal}: {reason.splitlines()[0]}")
            raise RefusedError(text, status=answer.status, code="invalid_client", kind=Kind.CREDENTIAL)
        expires_in = parsing.whole_count(fields, "expires_in") or 0
        return parsing.required(fields, "access_token"), float(expires_in)


def _fields(answer: Answer) -> parsing.Fields:
    try:
        return parsing.fields(json.loads(answer.body), "the token")
    except json.JSONDecodeError as error:
        raise parsing.bad_answer("the token of Entra ID is not JSON") from error
