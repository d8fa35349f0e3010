"""Which files a batch names: recorded once, seen when they were deleted, forgotten with its lines."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from app.data.batches import named_files
from app.data.files import files
from app.data.tables import batch_files, batches
from app.data.tables import files as file_rows
from app.services.files.files import FileRow
from app.services.gateway import Gateway
from app.services.line_files.line_files import LineFiles
from app.services.line_files.naming import BatchNames
from app.services.lines import rules
from app.services.upkeep import retention
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm
from tests.services.running.conftest import Workers
from tests.services.running.test_named_files import naming, stored
from tests.support.batches import CHAT, create, ended, jsonl, read

PDF = b"%PDF-1.4\n"
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def farm() -> Iterator[Farm]:
    with Farm(["openai", "ollama", "anthropic"]) as running:
        for server in running.servers.values():
            getattr(server.app, "model", server.app).models = ()
        yield running


@pytest.fixture
def environment(environment: dict[str, str], farm: Farm) -> dict[str, str]:
    return {
        **environment,
        **farm.environment,
        "BATCHGATE_DEFAULT_PROVIDER": "ollama",
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_KEEP_FILES": "false",
    }


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    found = Workers(gateway)
    yield found
    found.stop()


def row(gateway: Gateway, public_id: str) -> FileRow:
    with gateway.database.read() as connection:
        project = connection.execute(select(file_rows.c.project_id).limit(1)).scalar_one()
        found = files.find(connection, project, public_id)
    assert found is not None
    return found


def recorded(gateway: Gateway) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(batch_files)))


def test_a_file_is_recorded_once_and_one_that_is_deleted_not_at_all(client: KeyClient, gateway: Gateway) -> None:
    kept, gone = row(gateway, stored(client, PDF)), row(gateway, stored(client, PDF))
    assert client.delete(f"/v1/files/{gone.public_id}").status_code == 200
    for _ in range(2):  # the second time by the worker that plans the batch anew
        with gateway.database.write() as connection:
            assert named_files.add(connection, 7, [kept.id, gone.id, kept.id]) == {gone.id}
    assert recorded(gateway) == [(7, kept.id)]


def test_a_file_that_is_deleted_after_it_was_looked_up_is_not_there(client: KeyClient, gateway: Gateway) -> None:
    file_id = stored(client, PDF)
    project = row(gateway, file_id).project_id
    files_of_lines = LineFiles(gateway, project_id=project, endpoint=CHAT, expires_at=2**50, worker="w")
    names, line = BatchNames(files_of_lines, CHAT), naming("a", file_id)
    assert names.check(rules.facts_of(line), jsonl([line]), number=3) is None
    assert client.delete(f"/v1/files/{file_id}").status_code == 200
    with gateway.database.write() as connection:
        [finding] = names.note(connection, 7)
    assert (finding.code, finding.line, finding.param) == (
        "file_not_found",
        3,
        "body.messages[0].content[0].file.file_id",
    )
    assert recorded(gateway) == []


@pytest.mark.parametrize("way", [{}, {"provider": "openai", "execution": "provider"}], ids=["gateway", "provider"])
@pytest.mark.parametrize("bad", [[], ["file-none"]], ids=["completed", "failed"])
def test_the_records_go_when_the_batch_ends(
    client: KeyClient, gateway: Gateway, workers: Workers, way: dict[str, str], bad: list[str]
) -> None:
    file_id = stored(client, PDF)
    workers.start()
    lines = [naming(name, name if name in bad else file_id) for name in ("a", *bad)]
    over = ended(client, create(client, jsonl(lines), **way)["id"])
    assert over["status"] == ("failed" if bad else "completed")
    assert recorded(gateway) == []
    assert client.delete(f"/v1/files/{file_id}").status_code == 200


def test_records_of_a_batch_that_an_older_release_ended_go_with_its_lines(
    client: KeyClient, gateway: Gateway, workers: Workers
) -> None:
    file_id = stored(client, PDF)
    workers.start()
    ended(client, create(client, jsonl([naming("a", file_id)]))["id"])
    with gateway.database.write() as connection:
        batch_id = connection.execute(select(batches.c.id)).scalar_one()
        named_files.add(connection, batch_id, [row(gateway, file_id).id])
    assert len(recorded(gateway)) == 1
    long_ago = gateway.clock.now_ms() - 400 * DAY_MS
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(created_at=long_ago, completed_at=long_ago))
    assert retention.drop_due(gateway) == 1
    assert recorded(gateway) == []


@pytest.mark.parametrize("execution", ["provider", "gateway"])
def test_a_file_that_only_a_provider_has_runs_there_and_nowhere_else(
    client: KeyClient, workers: Workers, farm: Farm, execution: str
) -> None:
    file_id = stored(client, PDF, provider="openai")
    workers.start()
    there = ended(client, create(client, jsonl([naming("a", file_id)]), provider="openai", execution=execution)["id"])
    assert there["request_counts"]["completed"] == 1
    # OpenAI gives nobody an upload back.
    model = {"provider": "anthropic", "model": "claude-sonnet-4-5", "execution": execution}
    elsewhere = ended(client, create(client, jsonl([naming("a", file_id)]), **model)["id"])
    assert (elsewhere["status"], elsewhere["request_counts"]["failed"]) == ("completed", 1)
    [line] = read(client, elsewhere["error_file_id"])
    error = line["error"] or line["response"]["body"]["error"]
    assert error["code"] == "file_refused"
    assert "Not allowed to download" in error["message"] or file_id in error["message"]


def test_a_file_for_the_tools_of_a_model_is_copied_whatever_its_type(
    client: KeyClient, workers: Workers, farm: Farm
) -> None:
    file_id = stored(client, b"PK\3\4\0\0", "a.zip")
    block = {"type": "container_upload", "file_id": file_id}
    content = [{"type": "text", "text": "x"}, block]
    params = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    workers.start()
    batch = create(client, jsonl([{"custom_id": "a", "params": params}]), endpoint="/v1/messages", provider="anthropic")
    assert ended(client, batch["id"])["request_counts"]["completed"] == 1
    app = farm.servers["anthropic"].app
    assert app.model.seen == [b"PK\3\4\0\0"]  # type: ignore[attr-defined]
    assert [file.filename.rpartition(".")[2] for file in app.files.values()] == ["zip"]  # type: ignore[attr-defined]
