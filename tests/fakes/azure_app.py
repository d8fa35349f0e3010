"""Azure OpenAI in both of its address styles, and Entra ID that gives out tokens for it (contracts: providers, 3)."""

import uuid
from typing import Any

from werkzeug import Request, Response

from tests.fakes.openai_app import Refusal
from tests.fakes.openai_lists import json_of
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.openai_quirks import AZURE_DATED, AZURE_V1
from tests.fakes.provider_app import Body, Handler, ProviderApp

SCOPE = "https://cognitiveservices.azure.com/.default"


class AzureApp(OpenAIProviderApp):
    """`dated` serves `/openai/...?api-version=2024-10-21` and nothing else; otherwise `/openai/v1/...`.

    `tokens` are the bearer tokens that open it too; share the set with an EntraApp.
    """

    def __init__(self, *, dated: bool = False, api_key: str = "", **options: Any) -> None:
        self.dated = dated
        self.tokens: set[str] = set()
        super().__init__(AZURE_DATED if dated else AZURE_V1, api_key=api_key, **options)

    def routes(self) -> list[tuple[str, str, Handler]]:
        deployed = r"/openai/deployments/([^/]+)(/chat/completions|/embeddings|/completions)"
        return [*super().routes(), *([("POST", deployed, self._run_deployed)] if self.dated else [])]

    def is_authorized(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if self.dated and not request.args.get("api-version", "").startswith("20"):
            raise Refusal(404, "Resource not found", code="404")
        return (scheme == "Bearer" and token in self.tokens) or super().is_authorized(request)

    def _run_deployed(self, request: Request, deployment: str, path: str) -> Body:
        return self.model.routes[f"/v1{path}"]({**json_of(request), "model": deployment})


class EntraApp(ProviderApp):
    """Gives tokens to one client. `given` are those it gave; `lifetime_s` is what it says of them."""

    def __init__(self, *, tenant: str, client_id: str, client_secret: str, lifetime_s: int = 3599) -> None:
        self.tenant, self.client_id, self.client_secret = tenant, client_id, client_secret
        self.lifetime_s = lifetime_s
        self.given: set[str] = set()
        super().__init__()

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", rf"/{self.tenant}/v2.0/.well-known/openid-configuration", self._configuration),
            ("POST", rf"/{self.tenant}/oauth2/v2.0/token", self._token),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        return {"error": code or "invalid_request", "error_description": message, "error_codes": [90002]}

    def _configuration(self, request: Request) -> Body:
        at = f"https://{request.host}/{self.tenant}"  # MSAL takes no other
        return {
            "issuer": f"{at}/v2.0",
            "authorization_endpoint": f"{at}/oauth2/v2.0/authorize",
            "token_endpoint": f"{at}/oauth2/v2.0/token",
        }

    def _token(self, request: Request) -> Body | Response:
        form = request.form
        if form.get("grant_type") != "client_credentials":
            raise Refusal(400, "AADSTS70003: The grant type is not supported.", code="unsupported_grant_type")
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            text = f"AADSTS7000215: Invalid client secret provided: {form.get('client_secret')}."
            raise Refusal(401, text, code="invalid_client")
        if form.get("scope") != SCOPE:
            raise Refusal(400, "AADSTS70011: The provided value for scope is not valid.", code="invalid_scope")
        token = f"entra-{uuid.uuid4().hex}"
        self.given.add(token)
        times = {"expires_in": self.lifetime_s, "ext_expires_in": self.lifetime_s}
        return {"token_type": "Bearer", **times, "access_token": token}
