"""Bytes stored and uploads per day: counted with each row of files, whatever makes it or takes it away."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import event, func, select, update

from app import migrate
from app.data.files import blobs as blob_rows
from app.data.files import files as file_rows
from app.data.money import limit_counters as limit_counter_rows
from app.data.store.database import Database
from app.data.tables import blobs, containers, files, limit_counters, projects, upload_parts
from app.services.containers import hosted
from app.services.files import files as file_service
from app.services.gateway import Caller, Gateway
from app.settings import from_environment
from tests.conftest import KeyClient
from tests.services.running.conftest import Workers, fake, local_base_url, workers  # noqa: F401 - fixtures
from tests.support import postgres
from tests.support.batch_states import put_file
from tests.support.batches import CHAT, chat_line, ended, jsonl, upload
from tests.support.keyed import keyed

MAX_PENDING_UPLOADS = 4
LINES = jsonl([chat_line("a"), chat_line("b")])


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_MAX_PENDING_UPLOADS": str(MAX_PENDING_UPLOADS)}


def stored(gateway: Gateway, owner: str) -> int:
    where = (limit_counters.c.owner == owner, limit_counters.c.name == "stored_bytes")
    statement = select(func.coalesce(func.sum(limit_counters.c.value), 0)).where(*where)
    with gateway.database.read() as connection:
        return int(connection.execute(statement).scalar_one())


def held(gateway: Gateway) -> int:
    """What the rows say."""
    with gateway.database.read() as connection:
        alive = (files.c.deleted_at.is_(None), files.c.blob_id.is_not(None))
        return int(connection.execute(select(func.coalesce(func.sum(files.c.bytes), 0)).where(*alive)).scalar_one())


def send(client: KeyClient, data: bytes = LINES, **headers: str) -> Any:
    form = {"purpose": "batch", "file": (io.BytesIO(data), "in.jsonl")}
    return client.post("/v1/files", data=form, content_type="multipart/form-data", headers=headers)


def leftovers(gateway: Gateway) -> tuple[int, int]:
    """(files, live blobs that nothing refers to) after a sweep."""
    with gateway.database.read() as connection:
        count = connection.execute(select(func.count()).select_from(files)).scalar_one()
        return int(count), blob_rows.count_orphans(connection)


def test_uploads_and_deletions_are_counted(gateway: Gateway, client: KeyClient) -> None:
    first, second = upload(client, LINES), upload(client, LINES * 3)
    assert stored(gateway, "project") == stored(gateway, "key") == 4 * len(LINES)

    client.delete(f"/v1/files/{first}")
    assert client.delete(f"/v1/files/{first}").status_code == 404

    assert stored(gateway, "project") == stored(gateway, "key") == 3 * len(LINES) == held(gateway)
    client.delete(f"/v1/files/{second}")
    assert stored(gateway, "project") == stored(gateway, "key") == 0


def test_what_expires_is_no_longer_counted(gateway: Gateway, client: KeyClient) -> None:
    upload(client, LINES)
    with gateway.database.write() as connection:
        connection.execute(update(files).values(expires_at=1))

    assert file_service.expire_due(gateway) == 1
    assert file_service.expire_due(gateway) == 0

    assert stored(gateway, "project") == stored(gateway, "key") == 0


def test_files_that_only_a_provider_has_are_not_counted_until_they_come_home(gateway: Gateway, caller: Caller) -> None:
    same: dict[str, Any] = {"home": "openai", "purpose": "batch", "filename": "in.jsonl", "origin": "upload"}
    with gateway.database.write() as connection:
        file_id = file_rows.insert(
            connection,
            public_id="file-away",
            project_id=caller.project_id,
            key_id=caller.key_id,
            blob_id=None,
            size=1000,
            sha256=None,
            lines=None,
            expires_after_s=None,
            **same,
        )
    assert stored(gateway, "project") == 0
    blob_of = put_file(gateway, caller, b"x" * 10)
    with gateway.database.write() as connection:
        blob_id = connection.execute(select(files.c.blob_id).where(files.c.public_id == blob_of)).scalar_one()
        kept = {"blob_id": blob_id, "size": 1000, "sha256": None, "lines": 1, "status_details": None}
        assert file_rows.keep(connection, file_id, **kept)
        assert not file_rows.keep(connection, file_id, **kept)

    assert stored(gateway, "project") == stored(gateway, "key") == 1010 == held(gateway)


def test_inline_requests_and_results_are_counted(
    gateway: Gateway,
    client: KeyClient,
    workers: Workers,  # noqa: F811 - the fixture
) -> None:
    requests = [{"custom_id": "r1", "method": "POST", "url": CHAT, "body": {"model": "m", "messages": []}}]
    made = client.post("/v1/batches", json={"requests": requests, "endpoint": CHAT, "completion_window": "24h"})
    assert made.status_code == 200, made.text
    workers.start()
    ended(client, made.json["id"])

    assert stored(gateway, "project") == stored(gateway, "key") == held(gateway)
    with gateway.database.read() as connection:
        assert len(connection.execute(select(files.c.id)).all()) == 2


def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"stored_bytes": 3 * len(LINES)})
    assert [send(client).status_code for _ in range(2)] == [200, 200]

    answer = send(client, LINES * 2)

    assert answer.status_code == 429
    assert f"{3 * len(LINES)} bytes" in answer.json["error"]["message"]
    assert int(answer.headers["Retry-After"]) > 0
    file_service.blobs.sweep(gateway)
    assert leftovers(gateway) == (2, 0)
    assert stored(gateway, "key") == 2 * len(LINES)
    assert send(client, LINES).status_code == 200
    assert send(client, b"x").status_code == 429


def test_inline_requests_that_do_not_fit_leave_nothing(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"stored_bytes": 10})
    requests = [{"custom_id": "r1", "method": "POST", "url": CHAT, "body": {"model": "m", "messages": []}}]

    answer = client.post("/v1/batches", json={"requests": requests, "endpoint": CHAT, "completion_window": "24h"})

    assert answer.status_code == 429
    file_service.blobs.sweep(gateway)
    assert leftovers(gateway) == (0, 0)
    assert stored(gateway, "key") == 0


def test_a_limit_counts_what_was_there_before_it(gateway: Gateway) -> None:
    upload(keyed(gateway), LINES)

    with gateway.database.write() as connection:
        connection.execute(update(projects).values(limits={"stored_bytes": len(LINES)}))

    assert send(keyed(gateway)).status_code == 429


def test_uploads_per_day(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"uploads_per_day": 2})
    assert [send(client).status_code for _ in range(3)] == [200, 200, 429]

    answer = send(client)
    assert 86_000 <= int(answer.headers["Retry-After"]) <= 86_400 + 300
    assert leftovers(gateway) == (2, 0)

    with gateway.database.write() as connection:
        where = limit_counters.c.name == "uploads_per_day"
        found = connection.execute(select(limit_counters.c.windows).where(where)).scalar_one()
        used = [(at - 86_400_000 - 300_000, count) for at, count in found["used"]]
        connection.execute(update(limit_counters).where(where).values(windows={**found, "used": used}))
    assert send(client).status_code == 200


def test_the_same_upload_again_is_answered_though_the_day_is_full(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"uploads_per_day": 1})
    first = send(client, **{"Idempotency-Key": "one"})

    again = send(client, **{"Idempotency-Key": "one"})

    assert first.status_code == again.status_code == 200
    assert again.json["id"] == first.json["id"]
    assert send(client, **{"Idempotency-Key": "two"}).status_code == 429


def test_an_upload_that_fails_is_not_counted(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"uploads_per_day": 1})
    assert send(client, b"").status_code == 400

    assert send(client).status_code == 200


def test_an_upload_in_parts_counts_when_it_is_complete(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"uploads_per_day": 1})
    wanted = {"filename": "in.jsonl", "purpose": "batch", "bytes": len(LINES), "mime_type": "text/jsonl"}
    first, second = (client.post("/v1/uploads", json=wanted).json["id"] for _ in range(2))
    for upload_id, status in ((first, 200), (second, 429)):
        form = {"data": (io.BytesIO(LINES), "part")}
        part = client.post(f"/v1/uploads/{upload_id}/parts", data=form, content_type="multipart/form-data")
        done = client.post(f"/v1/uploads/{upload_id}/complete", json={"part_ids": [part.json["id"]]})
        assert done.status_code == status, done.text

    assert client.post("/v1/uploads", json=wanted).status_code == 429
    parts = select(upload_parts.c.id).where(upload_parts.c.blob_id.is_not(None))
    live = select(blobs.c.id).where(blobs.c.state == "live")
    with gateway.database.read() as connection:
        assert len(connection.execute(parts).all()) == 1  # of the one that can be completed another day
        assert len(connection.execute(live).all()) == 2


def begin(client: KeyClient, size: int) -> Any:
    announced = {"filename": "in.jsonl", "purpose": "batch", "bytes": size, "mime_type": "text/jsonl"}
    return client.post("/v1/uploads", json=announced)


def used(client: KeyClient) -> int:
    return int(client.get("/api/governance/virtual-keys/quota").json["limits_used"]["key"]["stored_bytes"])


def test_a_pending_upload_counts_with_what_it_was_announced_with(gateway: Gateway) -> None:
    size = len(LINES)
    client = keyed(gateway, limits={"stored_bytes": 2 * size})
    first = begin(client, size).json["id"]
    assert begin(client, size + 1).status_code == 429
    second = begin(client, size).json["id"]
    assert used(client) == 2 * size
    assert send(client, b"x").status_code == begin(client, 1).status_code == 429

    assert client.post(f"/v1/uploads/{second}/cancel").status_code == 200
    part = client.post(f"/v1/uploads/{first}/parts", data={"data": (io.BytesIO(LINES), "part")}).json["id"]
    assert client.post(f"/v1/uploads/{first}/complete", json={"part_ids": [part]}).status_code == 200
    assert used(client) == stored(gateway, "key") == size
    assert send(client).status_code == 200
    assert send(client, b"x").status_code == 429


def test_an_upload_as_large_as_the_limit_can_be_completed(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"stored_bytes": len(LINES)})
    upload_id = begin(client, len(LINES)).json["id"]
    part = client.post(f"/v1/uploads/{upload_id}/parts", data={"data": (io.BytesIO(LINES), "part")}).json["id"]
    assert client.post(f"/v1/uploads/{upload_id}/complete", json={"part_ids": [part]}).status_code == 200


def test_a_project_has_a_limit_of_uploads_that_wait(
    gateway: Gateway, client: KeyClient, other_client: KeyClient
) -> None:
    waiting = [begin(client, 1).json["id"] for _ in range(MAX_PENDING_UPLOADS)]
    refused = begin(client, 1)
    assert refused.status_code == 429
    assert "wait for their parts" in refused.json["error"]["message"]
    assert begin(other_client, 1).status_code == 200
    client.post(f"/v1/uploads/{waiting[0]}/cancel")
    assert begin(client, 1).status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL plans by how much there is
@pytest.mark.parametrize("owner", ["key", "project"])
def test_pending_uploads_are_found_by_an_index_of_their_own(gateway: Gateway, owner: str) -> None:
    seen: list[tuple[str, Any]] = []
    event.listen(gateway.database.readers, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    with gateway.database.read() as connection:
        limit_counter_rows.pending_uploads(connection, owner=owner, owner_id=1)
        statement, parameters = seen[-1]
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))

    assert "ix_uploads_pending" in plan, plan


def put(client: KeyClient, box: str, data: bytes) -> Any:
    return client.post(f"/v1/containers/{box}/files", data={"file": (io.BytesIO(data), "a.txt")})


def test_files_in_containers_count_for_who_put_them_there(gateway: Gateway, client: KeyClient) -> None:
    limited = keyed(gateway, limits={"stored_bytes": 10})
    box = client.post("/v1/containers", json={"name": "box", "provider": "local"}).json["id"]
    first = put(limited, box, b"123456")
    assert first.status_code == 200
    assert put(limited, box, b"12345").status_code == 429
    assert put(client, box, b"12345").status_code == 200
    assert (used(limited), stored(gateway, "project")) == (6, 11)

    assert limited.delete(f"/v1/containers/{box}/files/{first.json['id']}").status_code == 200
    assert (used(limited), stored(gateway, "project")) == (0, 5)
    assert put(limited, box, b"1234567890").status_code == 200
    assert put(limited, box, b"1").status_code == 429

    assert client.delete(f"/v1/containers/{box}").status_code == 200
    assert (used(limited), stored(gateway, "project"), stored(gateway, "key")) == (0, 0, 0)
    file_service.blobs.sweep(gateway)
    assert leftovers(gateway) == (0, 0)


def test_a_copy_in_a_container_counts_again_since_it_outlives_its_source(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"stored_bytes": 2 * len(LINES)})
    file_id = upload(client, LINES)
    made = client.post("/v1/containers", json={"name": "box", "provider": "local", "file_ids": [file_id]})
    assert used(client) == 2 * len(LINES)
    client.delete(f"/v1/files/{file_id}")
    assert used(client) == len(LINES)
    assert send(client).status_code == 200
    refused = client.post("/v1/containers", json={"name": "box", "provider": "local", "file_ids": [file_id]})
    assert refused.status_code == 400  # it is deleted
    other = upload(keyed(gateway), LINES)
    refused = client.post(f"/v1/containers/{made.json['id']}/files", json={"file_id": other})
    assert refused.status_code == 429

    with gateway.database.write() as connection:
        connection.execute(update(containers).values(expires_at=1))
    assert hosted.expire_due(gateway) == 1
    assert used(client) == len(LINES)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new.db'}"
        return
    url = postgres.create()
    yield url
    postgres.drop(url)


def test_the_migration_counts_what_is_stored_already(new_url: str) -> None:
    database = Database(new_url)
    directory = ScriptDirectory.from_config(migrate._config())
    steps = {"fn": lambda revision, _context: directory._upgrade_revs("0003", revision)}  # and no views, which are new
    with database.writers.connect() as connection:
        context = MigrationContext.configure(connection, opts=steps)
        with Operations.context(context), context.begin_transaction():
            context.run_migrations()
        connection.commit()
    with database.write() as connection:
        for statement in (
            "INSERT INTO projects (id, name, created_at) VALUES (1, 'alpha', 1), (2, 'beta', 1)",
            "INSERT INTO virtual_keys (id, public_id, project_id, name, secret_hmac, created_at) "
            "VALUES (7, 'k', 1, 'k', 'x', 1)",
            "INSERT INTO blobs (id, key, store, state, bytes, refs, created_at) "
            "VALUES (1, 'a', 'local', 'live', 10, 1, 1), (2, 'b', 'local', 'live', 5, 1, 1)",
        ):
            connection.exec_driver_sql(statement)
        for number, (project, key, blob, size, deleted) in enumerate(
            [
                (1, 7, 1, 10, None),
                (1, None, 2, 5, None),
                (1, 7, None, 99, None),
                (1, 7, 1, 77, 1),
                (2, None, 1, 0, None),
            ]
        ):
            values = (f"file-{number}", project, key, blob, size, deleted)
            told = ", ".join("NULL" if value is None else repr(value) for value in values)
            connection.exec_driver_sql(
                "INSERT INTO files "
                "(public_id, project_id, key_id, blob_id, bytes, deleted_at, home, purpose, filename, "
                f"origin, status, created_at) VALUES ({told}, 'local', 'batch', 'f', 'upload', 'processed', 1)"
            )

        for statement in (
            "INSERT INTO containers (id, public_id, project_id, key_id, provider, name, status, expires_after_minutes, "
            "memory_limit, created_at, last_active_at, expires_at) VALUES (1, 'c', 1, 7, 'local', 'c', 'running', 20, "
            "'1g', 1, 1, 1)",
            "INSERT INTO container_files "
            "(public_id, container_id, path, source, blob_id, bytes, created_at, deleted_at) "
            "VALUES ('f1', 1, 'a', 'user', 1, 1000, 1, NULL), ('f2', 1, 'b', 'user', NULL, 2000, 1, NULL), "
            "('f3', 1, 'c', 'user', 1, 4000, 1, 1)",
        ):
            connection.exec_driver_sql(statement)

    migrate.upgrade(from_environment({"DATABASE_URL": new_url, "BATCHGATE_SECRET_KEY": "x"}))

    columns = (limit_counters.c.owner, limit_counters.c.owner_id, limit_counters.c.name, limit_counters.c.value)
    with database.read() as connection:
        found = {tuple(row) for row in connection.execute(select(*columns))}
    database.dispose()
    assert found == {
        ("project", 1, "stored_bytes", 1015),
        ("project", 2, "stored_bytes", 0),
        ("key", 7, "stored_bytes", 1010),
    }
