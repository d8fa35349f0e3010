"""Azure's instance metadata service, which gives tokens to the managed identities of one machine.

As in Microsoft's "use managed identities on a virtual machine to acquire an access token": numbers are texts, and the
header `Metadata: true` is required. tests/fakes/test_imds_app.py proves it with azure-identity.
"""

import time
import uuid
from typing import Any

from werkzeug import Request

from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, Handler, ProviderApp

RESOURCE = "https://cognitiveservices.azure.com"
PATH = "/metadata/identity/oauth2/token"
SYSTEM = ""


class ImdsApp(ProviderApp):
    """`identities` are the client ids of the machine's identities, with SYSTEM for its own.

    `given` are the tokens that it gave; `lifetime_s` is what it says of them.
    """

    def __init__(self, *identities: str, lifetime_s: int = 86_400) -> None:
        self.identities = identities or (SYSTEM,)
        self.lifetime_s = lifetime_s
        self.given: set[str] = set()
        super().__init__()

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [("GET", PATH, self._token)]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        return {"error": code or "invalid_request", "error_description": message}

    def _token(self, request: Request) -> Body:
        if request.headers.get("Metadata") != "true" or "X-Forwarded-For" in request.headers:
            raise Refusal(400, "Required metadata header not specified")
        if request.args.get("api-version") != "2018-02-01" or request.args.get("resource") != RESOURCE:
            raise Refusal(400, "Bad request")
        client_id = request.args.get("client_id", SYSTEM)
        if client_id not in self.identities:
            raise Refusal(400, "Identity not found")
        token = f"imds-{uuid.uuid4().hex}"
        self.given.add(token)
        now = int(time.time())
        times = {"expires_in": str(self.lifetime_s), "expires_on": str(now + self.lifetime_s), "not_before": str(now)}
        return {
            "access_token": token,
            "client_id": client_id or "8f8e8a5c-0000-4000-8000-000000000001",
            "resource": RESOURCE,
            "token_type": "Bearer",
            **times,
        }
