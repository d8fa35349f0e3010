"""Files that lines name, in each dialect: by their native ids where a provider has them, else in the lines.

The fakes refuse an id of a file that they do not have, and remember the bytes of what they were shown.
"""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import KeyClient
from tests.e2e.conformance.conftest import workers  # noqa: F401 - a fixture
from tests.e2e.conformance.farm import Farm
from tests.support.batches import CHAT, TERMINAL, chat_line, jsonl, read, retrieve, upload
from tests.support.waiting import until

MESSAGES, RESPONSES = "/v1/messages", "/v1/responses"
PDF = b"%PDF-1.7\n" + bytes(range(256)) + b"\n%%EOF"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TEXT = 'Line one.\nA "quoted" word: ü.\n'.encode()
FILES = {"report.pdf": PDF, "photo": PNG, "notes.txt": TEXT}
# (provider, model, endpoint, execution), and which of the files are named by their ids there.
TARGETS = {
    ("openai", "gpt-5-mini", CHAT, "provider"): {"report.pdf"},
    ("openai", "gpt-5-mini", CHAT, "gateway"): {"report.pdf"},
    ("openai", "gpt-5-mini", RESPONSES, "provider"): set(FILES),
    ("openai", "gpt-5-mini", RESPONSES, "gateway"): set(FILES),
    ("anthropic", "claude-sonnet-4-5", CHAT, "provider"): set(FILES),
    ("anthropic", "claude-sonnet-4-5", CHAT, "gateway"): set(FILES),
    ("anthropic", "claude-sonnet-4-5", RESPONSES, "gateway"): set(FILES),
    ("anthropic", "claude-sonnet-4-5", MESSAGES, "provider"): set(FILES),
    ("anthropic", "claude-sonnet-4-5", MESSAGES, "gateway"): set(FILES),
    ("gemini", "gemini-2.5-flash", CHAT, "provider"): set(FILES),
    ("gemini", "gemini-2.5-flash", CHAT, "gateway"): set(FILES),
    ("gemini", "gemini-2.5-flash", MESSAGES, "provider"): set(FILES),
    ("vertex", "gemini-2.5-flash", CHAT, "provider"): set(),
    ("vertex", "claude-sonnet-4-5", MESSAGES, "gateway"): set(),
    ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", CHAT, "provider"): set(),
    ("bedrock", "us.amazon.nova-pro-v1:0", MESSAGES, "gateway"): set(),
    ("mistral", "mistral-small-latest", CHAT, "provider"): {"report.pdf"},
    ("mistral", "mistral-small-latest", CHAT, "gateway"): {"report.pdf"},
    ("groq", "llama", CHAT, "provider"): set(),
    ("groq", "llama", RESPONSES, "gateway"): set(),
    ("ollama", "llama3.2", CHAT, "gateway"): set(),
    ("ollama", "llama3.2", RESPONSES, "gateway"): set(),
}
PROVIDERS = tuple(dict.fromkeys(provider for provider, *_ in TARGETS))


@pytest.fixture
def farm() -> Iterator[Farm]:
    """The fakes of these providers."""
    with Farm(PROVIDERS) as running:
        for server in running.servers.values():
            model = getattr(server.app, "model", server.app)
            model.terse, model.models = True, ()
        yield running


@pytest.fixture
def environment(environment: dict[str, str], farm: Farm) -> dict[str, str]:
    return {
        **environment,
        **farm.environment,
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_REFRESH_SECONDS": "3600",
        "BATCHGATE_RECONCILE_SECONDS": "1",
    }


def stored(client: KeyClient, filename: str, data: bytes, provider: str = "ollama") -> str:
    """The id of a file that only the gateway has."""
    form = {"purpose": "user_data", "provider": provider, "file": (io.BytesIO(data), filename)}
    answer = client.post("/v1/files", data=form, content_type="multipart/form-data")
    assert answer.status_code == 200, answer.text
    return str(answer.json["id"])


def line(endpoint: str, name: str, file_id: str) -> dict[str, Any]:
    """A line that asks about a file."""
    if endpoint == CHAT:
        parts: list[Any] = [{"type": "text", "text": "What?"}, {"type": "file", "file": {"file_id": file_id}}]
        return chat_line(name, messages=[{"role": "user", "content": parts}])
    kind = "image" if name == "photo" else "document"
    if endpoint == MESSAGES:
        block = {"type": kind, "source": {"type": "file", "file_id": file_id}}
        content = [{"type": "text", "text": "What?"}, block]
        return chat_line(name, url=MESSAGES, messages=[{"role": "user", "content": content}], max_tokens=99)
    part = {"type": "input_image" if kind == "image" else "input_file", "file_id": file_id}
    content = [{"type": "input_text", "text": "What?"}, part]
    made = chat_line(name, url=RESPONSES, input=[{"role": "user", "content": content}])
    del made["body"]["messages"]
    return made


@pytest.mark.usefixtures("workers")
def test_files_are_shown_to_every_model(client: KeyClient, farm: Farm) -> None:
    ids = {name: stored(client, name, data) for name, data in FILES.items()}
    started = {}
    for provider, model, endpoint, execution in TARGETS:
        source = upload(client, jsonl(line(endpoint, name, file_id) for name, file_id in ids.items()))
        body = {"input_file_id": source, "endpoint": endpoint, "provider": provider, "model": model}
        answer = client.post("/v1/batches", json={**body, "execution": execution})
        assert answer.status_code == 200, answer.text
        started[provider, model, endpoint, execution] = answer.json["id"]
    until(
        lambda: all(retrieve(client, batch)["status"] in TERMINAL for batch in started.values()),
        seconds=90,
        what="the end of every batch",
    )
    for target, batch_id in started.items():
        batch = retrieve(client, batch_id)
        errors = read(client, batch["error_file_id"])
        assert (target, batch["status"], batch["errors"], errors) == (target, "completed", None, [])
        assert batch["request_counts"]["completed"] == len(FILES), target
    for provider, server in farm.servers.items():
        model = getattr(server.app, "model", server.app)
        runs = sum(1 for target in TARGETS if target[0] == provider)
        for name in ("report.pdf", "photo"):
            assert model.seen.count(FILES[name]) == runs, (provider, name)
        kept = [file.data for file in getattr(server.app, "files", {}).values()]
        by_id = set().union(*(names for target, names in TARGETS.items() if target[0] == provider))
        # One copy for all lines and batches.
        assert {name: kept.count(data) for name, data in FILES.items()} == {name: name in by_id for name in FILES}
