"""Azure OpenAI, in both URL styles. Model names are names of deployments.

Option `api_version`: a date (`2024-10-21`) means the dated style, `/openai/...?api-version=`, without containers and
expiries; anything else `/openai/v1/...`. The credential is one of:

- an API key;
- `{"token": "..."}`, a token that is never renewed;
- `{"tenant_id": "...", "client_id": "...", "client_secret": "..."}`, an application that gets tokens from Entra ID, at
  the host in the option `authority`;
- `{"managed_identity": true}`, the identity of the Azure machine that the gateway runs on, or with a `client_id` one
  that is assigned to it. The option `identity_endpoint` replaces the address of Azure's metadata service
  (http://169.254.169.254).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from requests.auth import AuthBase

from app.connectors.contract.abilities import CONTAINERS, Abilities
from app.connectors.contract.base import LineCall, Target
from app.connectors.contract.errors import RefusedError
from app.connectors.contract.objects import EncodedLine, JobLine, NativeFile, NativeJob, NewFile, NewJob
from app.connectors.http.auth import TokenAuth, api_key, bearer
from app.connectors.http.redaction import Redaction
from app.connectors.http.remote import Remote
from app.connectors.http.wire import Answer
from app.connectors.providers.azure.entra import Entra, identity
from app.connectors.providers.openai.connector import FILES, expiry_fields
from app.connectors.providers.openai.containers import OpenAIContainers
from app.connectors.providers.openai.lines import CHAT
from app.lib import json

BAD_REQUEST = 400
DIALECT = "azure-dated"
DATE = re.compile(r"\d{4}-\d{2}-\d{2}.*")
STYLES = ("/openai/v1", "/openai")
# In the dated style these URLs name a deployment.
OF_DEPLOYMENT = (CHAT, "/v1/completions", "/v1/embeddings")


class Azure(OpenAIContainers):
    """One resource of Azure OpenAI."""

    def __init__(self, target: Target) -> None:
        version = target.options.get("api_version", "")
        self._dated = DATE.fullmatch(version) is not None
        self._version = f"?{urlencode({'api-version': version})}" if version else ""
        access = _access(target)
        self._entra = access.entra
        url = _base_url(target.base_url, dated=self._dated)
        super().__init__(target, Remote(url, Redaction(target.credential, access.secrets), access.auth))

    @property
    def abilities(self) -> Abilities:
        """What the account can do. The dated style has no containers, and its jobs take chats only."""
        abilities = self.target.abilities
        if not self._dated:
            return abilities
        kept = {name: support for name, support in abilities.operations.items() if name not in CONTAINERS}
        jobs = replace(abilities.jobs, dialect=DIALECT, endpoints=abilities.jobs.endpoints & {CHAT})
        return replace(abilities, operations=kept, jobs=jobs)

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""
        super().close()
        if self._entra:
            self._entra.close()

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file. Expiry fields are named with brackets or dots, depending on the resource: try brackets first.

        No job can use it before its status is `processed`.
        """
        if self._dated:
            return super().upload_file(replace(new, expires_after_s=None))
        try:
            return super().upload_file(new)
        except RefusedError as error:
            blamed = f"{error.param} {error.message}"
            if new.expires_after_s is None or error.status != BAD_REQUEST or "expires_after" not in blamed:
                raise
            return self._upload(new, expiry_fields(new.expires_after_s, ".{}"))

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line of a job; the dated style has no version in the line's URL."""
        return super().encode_line(replace(line, endpoint=self.job_endpoint(line.endpoint)))

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job from a processed input file."""
        return super().create_job(replace(new, output_expires_after_s=None) if self._dated else new)

    def job_endpoint(self, endpoint: str) -> str:
        """The URL style's name of an endpoint in a job."""
        return endpoint.removeprefix("/v1") if self._dated else endpoint

    def _post(self, call: LineCall, *, tolerate: tuple[int, ...] = ()) -> Answer:
        if self._dated and call.endpoint in OF_DEPLOYMENT:
            deployment = quote(str(call.body.get("model", "")), safe="")
            call = replace(call, endpoint=f"/deployments/{deployment}{call.endpoint.removeprefix('/v1')}")
        return super()._post(call, tolerate=tolerate)

    def _at(self, path: str, *parts: str) -> str:
        return super()._at(path, *parts).removeprefix("/v1") + self._version

    def _path(self, endpoint: str) -> str:
        return super()._path(endpoint).removeprefix("/v1") + self._version

    def _paging(self, path: str, after: str | None, limit: int) -> Mapping[str, str | int | None]:
        return {} if self._dated and path == FILES else super()._paging(path, after, limit)


@dataclass(frozen=True, slots=True)
class _Access:
    """What opens a resource; `secrets` may change while Entra ID renews tokens."""

    auth: AuthBase
    secrets: Sequence[str] = ()
    entra: Entra | None = None


def _access(target: Target) -> _Access:
    """An API key, a fixed token, or tokens of Entra ID. Raises ConfigurationError for JSON that is none of these."""
    try:
        fields = json.loads(target.credential) if target.credential.startswith("{") else None
    except json.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        return _Access(api_key("api-key", target.credential))
    if isinstance(fields.get("token"), str):
        return _Access(bearer(fields["token"]), [fields["token"]])
    entra = Entra(identity(fields, target.options), timeout_s=target.call_timeout_s)
    return _Access(TokenAuth(entra.token), entra.secrets, entra)


def _base_url(endpoint: str, *, dated: bool) -> str:
    """The base URL for an endpoint, which may already include a style."""
    endpoint = endpoint.rstrip("/")
    for style in STYLES:
        endpoint = endpoint.removesuffix(style)
    return endpoint + ("/openai" if dated else "/openai/v1")
