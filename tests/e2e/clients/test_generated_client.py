"""A client that a common generator makes of /openapi.json: it compiles, and does the work of a batch."""

import compileall
import importlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
import yaml

from tests.support.batches import CHAT, TERMINAL, chat_line, jsonl
from tests.support.server import LiveServer
from tests.support.waiting import until

pytestmark = [pytest.mark.one_database, pytest.mark.timeout(120)]
NAME = "generated_batchgate"
# What the generator cannot read as such: lines of JSON are bytes to it.
LINES = ("application/x-jsonl", "application/x-ndjson", "application/jsonl")


@pytest.fixture
def generated(live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The package that the generator makes of what the gateway serves."""
    (tmp_path / "openapi.json").write_bytes(requests.get(f"{live_server.url}/openapi.json", timeout=10).content)
    overrides = {"content_type_overrides": dict.fromkeys(LINES, "application/octet-stream"), "post_hooks": []}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(overrides))
    generate = [Path(sys.executable).with_name("openapi-python-client"), "generate", "--fail-on-warning"]
    files = ["--path", "openapi.json", "--config", "config.yaml", "--meta", "none", "--output-path", NAME]
    done = subprocess.run([*generate, *files], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert compileall.compile_dir(tmp_path / NAME, quiet=1)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(NAME)
    for name in [name for name in sys.modules if name.split(".")[0] == NAME]:
        del sys.modules[name]


def test_a_generated_client_runs_a_batch(generated: ModuleType, live_server: LiveServer, worker: None) -> None:
    client = generated.AuthenticatedClient(f"{live_server.url}/v1", live_server.key, raise_on_unexpected_status=True)
    models: Any = importlib.import_module(f"{NAME}.models")
    types: Any = importlib.import_module(f"{NAME}.types")

    def call(name: str, *path: str, **arguments: Any) -> Any:
        module: Any = importlib.import_module(f"{NAME}.api.{name}")
        answer = module.sync(*path, client=client, **arguments)
        assert not isinstance(answer, models.Error), answer
        return answer

    lines = jsonl(chat_line(f"c{n}", "hello") for n in range(3))
    upload = types.File(io.BytesIO(lines), "in.jsonl", "application/jsonl")
    file = call("files.file_upload", body=models.UploadFile(models.UploadFilePurpose("batch"), upload))
    assert call("files.file_retrieve", file.id).filename == "in.jsonl"
    new = models.CreateBatch(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    batch = call("batches.batch_create", body=new)
    until(lambda: call("batches.batch_retrieve", batch.id).status in TERMINAL)
    assert call("batches.batch_retrieve", batch.id).request_counts.completed == 3
    assert [each.id for each in call("batches.batch_list").data] == [batch.id]
    assert {line.custom_id for line in call("batches.batch_lines", batch.id).data} == {"c0", "c1", "c2"}
    output = call("files.file_content", call("batches.batch_retrieve", batch.id).output_file_id)
    assert len(output.payload.read().splitlines()) == 3
