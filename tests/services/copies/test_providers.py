"""Files of direct purposes at the fakes of providers whose wire differs."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.services.gateway import Gateway
from app.settings import from_environment
from app.wiring import build_gateway
from tests.api.openai.test_files import made
from tests.conftest import KeyClient
from tests.fakes.serving import ServedApp
from tests.fakes.together_app import TogetherApp
from tests.services.copies.rows import states
from tests.support.batches import chat_line, jsonl
from tests.support.statements import sharing

DATA = jsonl([chat_line("a")])


@pytest.fixture
def app() -> TogetherApp:
    return TogetherApp()


@pytest.fixture
def environment(environment: dict[str, str], app: TogetherApp) -> Iterator[dict[str, str]]:
    with ServedApp(app) as served:
        yield {**environment, "TOGETHER_API_KEY": "key", "TOGETHER_BASE_URL": f"{served.url}/v1"}


@pytest.fixture
def gateway(environment: dict[str, str]) -> Iterator[Gateway]:
    built = sharing(build_gateway(from_environment(environment), retry_pause_s=0.001))
    yield built
    built.database.dispose()


def test_together_s_one_object_for_equal_bytes_goes_with_the_last_file(
    client: KeyClient, other_client: KeyClient, gateway: Gateway, app: TogetherApp
) -> None:
    def upload(sender: KeyClient) -> dict[str, Any]:
        return made(sender, DATA, name="train.jsonl", purpose="fine-tune", provider="together")

    files = [upload(client), upload(client), upload(other_client)]
    assert {file["extra_fields"]["native_id"] for file in files} == set(app.files)
    assert len(app.files) == 1
    for sender, file, left in zip((client, client, other_client), files, (1, 1, 0), strict=True):
        assert sender.delete(f"/v1/files/{file['id']}").status_code == 200
        assert len(app.files) == left
    assert states(gateway) == ["deleted"]
