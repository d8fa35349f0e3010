"""`batchgate backup` and `restore`: rows and bytes as one consistent pair, and nothing acts on the restored one."""

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app import migrate
from app.blobs import BlobError, BlobStore
from app.data.backups import state
from app.data.files import blobs as blob_rows
from app.lib import json
from app.services import blobs
from app.services.access import keys
from app.services.backups import create, fence
from app.services.gateway import Gateway
from app.settings import from_environment
from app.wiring import build_gateway
from tests.conftest import KeyClient
from tests.services.backups.conftest import Run
from tests.support.web import application

CONTENTS = [b"first file" * 40_000, b"x", b"third", b"fourth" * 9]


def upload(client: KeyClient, content: bytes) -> str:
    answer = client.post("/v1/files", data={"purpose": "user_data", "file": (io.BytesIO(content), "a.txt")})
    assert answer.status_code == 200, answer.text
    return str(answer.json["id"])


@pytest.fixture
def files(client: KeyClient) -> dict[str, bytes]:
    """Files of the store by id."""
    return {upload(client, content): content for content in CONTENTS}


class Between:
    """A blob store that calls `act` once, before the first byte is read."""

    def __init__(self, store: BlobStore, act: Callable[[], object]) -> None:
        self._store = store
        self._act: Callable[[], object] | None = act

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def at(self, url: str) -> "Between":
        return self

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        act, self._act = self._act, None
        if act:
            act()
        return self._store.stream(key, offset=offset, length=length)


def back_up(gateway: Gateway, folder: Path) -> None:
    def upgrade(url: str) -> None:
        migrate.upgrade(replace(gateway.settings, database_url=url))

    create.create(gateway, folder, revision=migrate.newest_revision(), upgrade=upgrade, report=lambda *_: None)


def restored(environment: dict[str, str], files: dict[str, bytes], key: str) -> Gateway:
    """The gateway on a restored store, which has the files."""
    gateway = build_gateway(from_environment(environment))
    client = application(gateway).test_client()
    for file_id, content in files.items():
        answer = client.get(f"/v1/files/{file_id}/content", headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.data) == (200, content)
    return gateway


def test_a_backup_is_restored_elsewhere_and_fenced(
    client: KeyClient, files: dict[str, bytes], run: Run, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    made = json.loads(run("backup", folder, "--json").stdout)
    assert made["rows"]["files"] == made["blobs"] == len(files)
    assert made["blob_bytes"] == sum(map(len, CONTENTS))
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}
    shutil.copytree(folder, tmp_path / "same")

    answer = run("restore", folder, on=elsewhere)
    assert answer.exit_code == 0, answer.output
    assert json.loads((folder / "manifest.json").read_bytes()) == made
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in (tmp_path / "same").iterdir())

    gateway = restored(elsewhere, files, client.key)
    copy = application(gateway).test_client()
    one = f"/v1/files/{next(iter(files))}"
    authorized = {"Authorization": f"Bearer {client.key}"}
    for method, path in (
        ("POST", "/v1/batches"),
        ("DELETE", one),
        ("POST", "/v1/uploads"),
    ):
        refused = copy.open(path, method=method, headers=authorized)
        assert (refused.status_code, refused.json["error"]["code"]) == (503, "store_fenced"), path
    assert copy.post("/api/projects", headers={"Authorization": "Bearer " + admin(gateway)}).status_code == 503
    assert (copy.get("/readyz").status_code, copy.get("/readyz").json["store"]) == (200, "fenced")
    swept = run("sweep", on=elsewhere)
    assert swept.exit_code == 2 and "takeover" in swept.output

    asked = run("takeover", on=elsewhere)
    assert asked.exit_code == 1 and fence.now(gateway.database).state == fence.FENCED
    assert run("takeover", "--yes", on=elsewhere).exit_code == 0
    gateway.database.dispose()
    opened = build_gateway(from_environment(elsewhere))
    assert application(opened).test_client().delete(one, headers=authorized).status_code == 200
    opened.database.dispose()


def admin(gateway: Gateway) -> str:
    return keys.create(gateway, project="ops", name="admin", role="admin").key


def test_bytes_that_are_deleted_meanwhile_are_in_the_backup(
    gateway: Gateway, client: KeyClient, files: dict[str, bytes], run: Run, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    def delete_all() -> None:
        for file_id in files:
            assert client.delete(f"/v1/files/{file_id}").status_code == 200
        assert blobs.sweep(gateway) == 0
        upload(client, b"after the backup began")

    back_up(replace(gateway, blobs=Between(gateway.blobs, delete_all)), tmp_path / "backup")
    assert blobs.sweep(gateway) == len(files)  # the hold is over
    assert run("restore", tmp_path / "backup", on=elsewhere).exit_code == 0
    copy = restored(elsewhere, files, client.key)
    with copy.database.read() as connection:
        assert blob_rows.total_live(connection)[0] == len(files)
    copy.database.dispose()


def test_an_interrupted_backup_and_an_interrupted_restore_go_on(
    gateway: Gateway, client: KeyClient, files: dict[str, bytes], run: Run, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "backup"

    def fail() -> None:
        raise BlobError("the store is away")

    with pytest.raises(BlobError):
        back_up(replace(gateway, blobs=Between(gateway.blobs, fail)), folder)
    refused = run("restore", folder, on=elsewhere)
    assert refused.exit_code == 2 and "not finished" in refused.output
    assert run("backup", folder).exit_code == 0
    again = run("backup", folder)
    assert again.exit_code == 2 and "finished backup already" in again.output

    [largest] = [path for path in (folder / "blobs").rglob("*") if path.is_file() and path.stat().st_size > 10**5]
    content = largest.read_bytes()
    largest.write_bytes(content[:-1] + b"?")
    damaged = run("restore", folder, on=elsewhere)
    assert damaged.exit_code == 2 and largest.name in damaged.output
    largest.write_bytes(content)
    assert run("restore", folder, on=elsewhere).exit_code == 0
    restored(elsewhere, files, client.key).database.dispose()


@pytest.mark.one_database
@pytest.mark.parametrize("elsewhere", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("store.sqlite3", lambda data: data[:-1] + b"?", "store.sqlite3 is damaged"),
        ("blobs.sha256", lambda data: data + b"x", "blobs.sha256 is damaged"),
        ("manifest.json", lambda data: data[:9], "cannot be read"),
        ("manifest.json", lambda data: data.replace(b'"format":1', b'"format":2'), "has format 2"),
        ("manifest.json", lambda data: data.replace(b'"revision":"0', b'"revision":"9'), "install that version"),
    ],
)
def test_what_is_no_sound_backup_is_refused_before_anything_is_written(
    run: Run, elsewhere: dict[str, str], tmp_path: Path, name: str, change: Callable[[bytes], bytes], text: str
) -> None:
    folder = tmp_path / "backup"
    assert run("backup", folder).exit_code == 0
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    refused = run("restore", folder, on=elsewhere)
    assert refused.exit_code == 2 and text in refused.output
    assert not Path(elsewhere["BATCHGATE_HOME"]).exists()


def test_two_backups_at_once_refuse_each_other(gateway: Gateway, run: Run, tmp_path: Path) -> None:
    with gateway.database.write() as connection:
        assert state.hold(connection, owner="another", lease_ms=60_000)
    refused = run("backup", tmp_path / "backup")
    assert refused.exit_code == 2 and "Another backup" in refused.output


def test_a_place_in_use_is_refused(run: Run, files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    refused = run("backup", tmp_path / "full")
    assert refused.exit_code == 2 and "notes.txt" in refused.output
    assert run("backup", tmp_path / "backup").exit_code == 0
    refused = run("restore", tmp_path / "backup")
    assert refused.exit_code == 2 and ("exists" in refused.output or "has rows" in refused.output)
