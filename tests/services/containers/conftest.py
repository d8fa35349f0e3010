"""A gateway with two accounts at OpenAI, each a fake of its own."""

from collections.abc import Iterator

import pytest

from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp

KEY = "sk-canary-first"
OTHER_KEY = "sk-canary-second"


@pytest.fixture
def app() -> OpenAIProviderApp:
    """What the account of the environment has."""
    return OpenAIProviderApp(api_key=KEY)


@pytest.fixture
def server(app: OpenAIProviderApp) -> Iterator[ServedApp]:
    """The fake on its socket, with fault switches."""
    with ServedApp(app) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], server: ServedApp) -> dict[str, str]:
    del environment["LOCAL_BASE_URL"]
    return {
        **environment,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.base_url,
        "BATCHGATE_REFRESH_SECONDS": "3600",
        "BATCHGATE_RECONCILE_SECONDS": "0",
    }
