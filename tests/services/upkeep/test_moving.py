"""Moving blobs to another store beside traffic, with processes that die, and back again."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from app.blobs import BlobStore, LocalBlobs, Stores
from app.cli.commands.blobs import blobs as command
from app.data.files import blobs as rows
from app.data.tables import blobs
from app.errors import InvalidRequestError
from app.services import blobs as service
from app.services.gateway import Gateway
from app.services.upkeep import moving
from tests.conftest import KeyClient
from tests.support import stored
from tests.support.batches import upload
from tests.support.process import Process
from tests.support.waiting import until

FAIL_POINTS = ("move.before_exchange", "move.after_exchange")
LINE = b'{"custom_id": "%d", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": []}}\n'


@pytest.fixture
def target(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "target")


@pytest.fixture
def environment(environment: dict[str, str], target: LocalBlobs) -> dict[str, str]:
    return {**environment, "BATCHGATE_BLOB_STORES": json.dumps([{"url": target.url}])}


@pytest.fixture
def files(client: KeyClient) -> dict[str, bytes]:
    """Ids and contents of some files."""
    contents = [LINE % number * (number + 1) for number in range(5)]
    return {upload(client, content): content for content in contents}


def left(gateway: Gateway) -> list[str]:
    """What the store has that new blobs go to."""
    return sorted(stored.sizes(gateway))


def names(store: LocalBlobs) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.is_file())


def move(gateway: Gateway, to: BlobStore) -> Counter[str]:
    return Counter(outcome.state for outcome in moving.move(gateway, to=to.url))


def assert_whole(client: KeyClient, gateway: Gateway, contents: dict[str, bytes], *, at: BlobStore) -> None:
    """The files are as they were uploaded, all at `at`, and no store has anything else."""
    for file_id, content in contents.items():
        assert client.get(f"/v1/files/{file_id}/content").data == content
    with gateway.database.read() as connection:
        found = connection.execute(select(blobs.c.store, blobs.c.state, blobs.c.object, blobs.c.key)).all()
    assert {(row.store, row.state) for row in found} == {(at.url, "live")}
    assert (names(at) if isinstance(at, LocalBlobs) else left(gateway)) == sorted(
        row.object or row.key for row in found
    )


def test_all_blobs_are_moved_and_can_be_read(
    client: KeyClient, gateway: Gateway, files: dict[str, bytes], target: LocalBlobs
) -> None:
    assert move(gateway, target) == {"moved": 5}
    assert_whole(client, gateway, files, at=target)
    assert left(gateway) == []
    assert move(gateway, target) == {}


def test_blobs_can_be_moved_back_and_their_files_deleted(
    client: KeyClient, gateway: Gateway, files: dict[str, bytes], target: LocalBlobs
) -> None:
    move(gateway, target)
    assert move(gateway, stored.own(gateway)) == {"moved": 5}
    assert_whole(client, gateway, files, at=stored.own(gateway))
    for file_id in files:
        assert client.delete(f"/v1/files/{file_id}").status_code == 200
    assert left(gateway) == names(target) == []


def test_what_is_open_can_be_read_on(gateway: Gateway, files: dict[str, bytes], target: LocalBlobs) -> None:
    with gateway.database.read() as connection:
        key, size = connection.execute(select(blobs.c.key, blobs.c.bytes).order_by(blobs.c.bytes.desc()).limit(1)).one()
    reader, stream = gateway.blobs.open_read(key), gateway.blobs.stream(key, length=size)
    move(gateway, target)
    content = max(files.values(), key=len)
    assert reader.read(0, size) == content
    assert b"".join(stream) == content
    reader.close()


class Disturbed(LocalBlobs):
    """A store that lets something happen while the first blob is copied from it."""

    def __init__(self, root: Path, disturb: Callable[[str], None]) -> None:
        super().__init__(root)
        self._disturb: Callable[[str], None] | None = disturb

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        data = list(super().stream(key, offset=offset, length=length))
        disturb, self._disturb = self._disturb, None
        if disturb is not None:
            disturb(key)
        return iter(data)


def disturbed(gateway: Gateway, disturb: Callable[[str], None]) -> Gateway:
    """`gateway`, whose own store is disturbed."""
    assert isinstance(gateway.blobs, Stores)
    own = Disturbed(stored.local(gateway).root, disturb)

    def locate(key: str):  # type: ignore[no-untyped-def]
        with gateway.database.read() as connection:
            return rows.place(connection, key)

    return replace(gateway, blobs=Stores(own, gateway.blobs.all[1:], locate))


def test_a_file_that_is_deleted_meanwhile_is_gone_everywhere(
    client: KeyClient, gateway: Gateway, files: dict[str, bytes], target: LocalBlobs
) -> None:
    first = min(files)

    def delete(_key: str) -> None:
        assert client.delete(f"/v1/files/{first}").status_code == 200

    assert Counter(outcome.state for outcome in moving.move(disturbed(gateway, delete), to=target.url, threads=1)) == {
        "gone": 1,
        "moved": 4,
    }
    del files[first]
    assert_whole(client, gateway, files, at=target)


def test_a_copy_that_the_sweeper_took_meanwhile_is_not_used(
    client: KeyClient, gateway: Gateway, files: dict[str, bytes], target: LocalBlobs
) -> None:
    def sweep(_key: str) -> None:
        with gateway.database.write() as connection:
            connection.execute(update(blobs).where(blobs.c.state == "pending").values(lease_until=0))
        assert service.sweep(gateway) == 1

    moved = moving.move(disturbed(gateway, sweep), to=target.url, threads=1)
    assert Counter(outcome.state for outcome in moved) == {"failed": 1, "moved": 4}
    assert move(gateway, target) == {"moved": 1}
    assert_whole(client, gateway, files, at=target)


def test_two_moves_at_once_move_each_blob_once(
    client: KeyClient, gateway: Gateway, files: dict[str, bytes], target: LocalBlobs
) -> None:
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: move(gateway, target), range(2)))
    assert sum(count["moved"] for count in counts) == 5
    service.sweep(gateway)
    assert_whole(client, gateway, files, at=target)
    assert left(gateway) == []


def test_damaged_bytes_stay_where_they_are(
    client: KeyClient, gateway: Gateway, files: dict[str, bytes], target: LocalBlobs
) -> None:
    [damaged, *_] = [path for path in stored.local(gateway).root.rglob("*") if path.is_file()]
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])
    outcomes = {outcome.key: outcome for outcome in moving.move(gateway, to=target.url)}
    assert outcomes[damaged.name].state == "failed"
    assert "another SHA-256 than its row" in outcomes[damaged.name].reason
    assert (left(gateway), len(names(target))) == ([damaged.name], 4)


def test_a_store_that_takes_nothing_ends_the_move(
    gateway: Gateway, files: dict[str, bytes], target: LocalBlobs
) -> None:
    target.root.touch()
    assert {outcome.state for outcome in moving.move(gateway, to=target.url)} == {"failed"}
    assert len(left(gateway)) == 5
    target.root.unlink()
    assert move(gateway, target) == {"moved": 5}


@pytest.mark.parametrize("url", ["s3://nowhere/x", "file:///nowhere"])
def test_only_a_store_that_the_settings_name_is_moved_to(gateway: Gateway, url: str) -> None:
    with pytest.raises(InvalidRequestError, match="BATCHGATE_BLOB_STORES"):
        list(moving.move(gateway, to=url))


@pytest.mark.parametrize("point", FAIL_POINTS)
def test_a_move_whose_process_dies_is_gone_on_with(
    client: KeyClient,
    gateway: Gateway,
    environment: dict[str, str],
    files: dict[str, bytes],
    target: LocalBlobs,
    tmp_path: Path,
    point: str,
) -> None:
    armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("mover", {**environment, **armed, "MOVE_TO": target.url}) as mover:
        until(lambda: mover.died)
    for file_id, content in files.items():
        assert client.get(f"/v1/files/{file_id}/content").data == content
    move(gateway, target)
    with gateway.database.write() as connection:
        connection.execute(update(blobs).where(blobs.c.state == "pending").values(lease_until=0))
    service.sweep(gateway)
    assert_whole(client, gateway, files, at=target)
    assert left(gateway) == []


@pytest.mark.one_database
def test_the_command_moves_and_lists(
    gateway: Gateway, environment: dict[str, str], files: dict[str, bytes], target: LocalBlobs
) -> None:
    runner = CliRunner(env=environment)
    moved = runner.invoke(command, ["move", "--to", target.url])
    assert (moved.exit_code, "5 moved" in moved.output) == (0, True), moved.output
    listed = runner.invoke(command, ["stores"]).output
    lines = [line.split() for line in listed.splitlines()[1:]]
    assert [(line[0], line[1], line[3]) for line in lines] == [
        (stored.own(gateway).url, "0", "default"),
        (target.url, "5", "yes"),
    ]
    assert runner.invoke(command, ["move", "--to", "s3://nowhere/x"]).exit_code == 2
