"""A fake of every provider on its own socket, and the environment that makes accounts at all of them."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from app.connectors.catalogue import registry
from tests.fakes.anthropic_app import AnthropicApp
from tests.fakes.azure_app import AzureApp
from tests.fakes.bedrock_app import ACCESS_KEY_ID, BUCKET, ROLE, BedrockApp
from tests.fakes.cohere_app import CohereApp
from tests.fakes.fireworks_app import FireworksApp
from tests.fakes.gemini_app import GeminiApp
from tests.fakes.mistral_app import MistralApp
from tests.fakes.openai_app import OpenAIApp
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.openai_quirks import QUIRKS
from tests.fakes.openrouter_app import OpenRouterApp
from tests.fakes.replicate_app import ReplicateApp
from tests.fakes.serving import ServedApp
from tests.fakes.together_app import TogetherApp
from tests.fakes.vertex_app import VertexApp
from tests.fakes.xai_app import XAIApp

OWN = {
    "anthropic": AnthropicApp,
    "azure": AzureApp,
    "bedrock": BedrockApp,
    "cohere": CohereApp,
    "gemini": GeminiApp,
    "mistral": MistralApp,
    "together": TogetherApp,
    "vertex": VertexApp,
    "xai": XAIApp,
    "fireworks": FireworksApp,
    "openrouter": OpenRouterApp,
    "replicate": ReplicateApp,
}
# What stands between the host and `/files` where it is not `/v1`; some take the bare host.
BASES = {
    "openrouter": "/api/v1",
    "groq": "/openai/v1",
    "azure": "",
    "fireworks": "",
    "mistral": "",
    "anthropic": "",
    "bedrock": "",
    "cohere": "",
    "gemini": "",
}


def app_of(provider: str) -> Any:
    """The fake of a provider; those without an API for files answer single lines."""
    key = key_of(provider)
    if provider == "bedrock":
        bedrock = BedrockApp(api_key=key)
        bedrock.min_records = 1
        return bedrock
    if provider in OWN:
        return OWN[provider](api_key=key)
    if provider in QUIRKS:
        return OpenAIProviderApp(QUIRKS[provider], api_key=key)
    return OpenAIApp(models=(), api_key=key)


def key_of(provider: str) -> str:
    """The credential of the account at `provider`: one that is easy to find in a log."""
    return f"canary-{provider}-0123456789"


def bedrock_environment(url: str) -> dict[str, str]:
    """What is to be said of an account at the fake of Bedrock; its quota is one that short batches fit."""
    keys = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": key_of("bedrock")}
    return {
        "AWS_BEDROCK_CREDENTIALS": json.dumps(keys, separators=(",", ":")),
        "AWS_BEDROCK_BUCKET": BUCKET,
        "AWS_BEDROCK_PREFIX": "batchgate",
        "AWS_BEDROCK_ROLE_ARN": ROLE,
        "AWS_BEDROCK_MIN_RECORDS": "1",
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url,
    }


class Farm:
    """The fakes of `providers` while its `with` block runs; `servers` by name."""

    def __init__(self, providers: Iterable[str]) -> None:
        self.servers = {name: ServedApp(app_of(name)) for name in providers}
        self._stack = ExitStack()

    def __enter__(self) -> "Farm":
        for server in self.servers.values():
            self._stack.enter_context(server)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """What an operator would set for an account at each."""
        found: dict[str, str] = {}
        for name, server in self.servers.items():
            entry = registry.find(name)
            assert entry is not None
            found[entry.key_envs[0]] = key_of(name)
            found[entry.url_env] = server.url + BASES.get(name, "/v1")
        if "fireworks" in self.servers:
            found["FIREWORKS_DOWNLOAD_HOSTS"] = "127.0.0.1"
        if "cohere" in self.servers:
            found["COHERE_DOWNLOAD_HOSTS"] = "127.0.0.1"
        if "bedrock" in self.servers:
            found |= bedrock_environment(self.servers["bedrock"].url)
        if "vertex" in self.servers:
            server = self.servers["vertex"]
            found |= server.app.environment(server.url)  # type: ignore[attr-defined]
        return found

    def calls(self) -> int:
        """How often any of them was asked anything."""
        return sum(len(server.requests) for server in self.servers.values())
