"""Nobody but the user of the service reads what is under `var/`, whatever its umask is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import batchgate
from app.cli.demo import lock
from app.cli.shared import profile
from app.settings import from_environment
from app.wiring import build_gateway

pytestmark = pytest.mark.one_database


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def used(home: Path, **environ: str) -> dict[str, int]:
    """Use a store as web, worker and commands do; returns the modes of what there is meanwhile."""
    environment = {"BATCHGATE_HOME": str(home), "BATCHGATE_LOG_LEVEL": "error", **environ}
    for command in (["release"], ["keys", "create", "--project", "p"]):
        assert CliRunner(env=environment).invoke(batchgate, command, catch_exceptions=False).exit_code == 0
    gateway = build_gateway(from_environment(environment))
    with gateway.database.write() as connection:  # its journal is there, too
        connection.exec_driver_sql("UPDATE projects SET description = 'q'")
        writer = gateway.blobs.open_write("a1b2c3")
        writer.write(b"secret")
        writer.commit()
    profile.save(home, profile.Profile("http://127.0.0.1:1", "sk"))
    partial = gateway.blobs.open_write("a1partial")
    with lock.held(home):
        found = modes(home)
    partial.abort()
    gateway.database.dispose()
    return found


def modes(home: Path) -> dict[str, int]:
    paths = [home, *home.rglob("*")]
    return {str(path.relative_to(home)): path.stat().st_mode & 0o777 for path in paths}


def test_everything_is_private(tmp_path: Path) -> None:
    home = tmp_path / "srv" / "var"
    found = used(home)

    assert {"batchgate.db", "batchgate.db-wal", "batchgate.db-shm", "secret_key", "client.json"} <= found.keys()
    assert {"blobs/a1/a1b2c3", "blobs/a1/a1partial.part", lock.FILE} <= found.keys()
    assert {name: oct(mode) for name, mode in found.items() if mode not in (0o600, 0o700)} == {}


def test_a_store_of_an_earlier_release_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "var"
    used(home)
    for path in (home, home / "batchgate.db", home / "secret_key"):
        path.chmod(path.stat().st_mode | 0o055)
    assert all(mode & 0o077 == 0 for mode in used(home).values())


def test_nginx_reads_blobs_as_a_member_of_the_group_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "var"
    found = used(home, BATCHGATE_ACCEL_PREFIX="/_blobs/")

    way = {found[name] for name in (".", "blobs", "blobs/a1")}
    assert (way, found["blobs/a1/a1b2c3"]) == ({0o750}, 0o640)
    assert {found[name] for name in ("batchgate.db", "batchgate.db-wal", "secret_key", "client.json")} == {0o600}
