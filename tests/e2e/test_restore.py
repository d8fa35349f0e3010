"""The commands of the page on operations back up a store and restore it, word by word."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from app import migrate
from app.services.access import keys
from app.services.accounts.add import NewAccount, add
from app.services.gateway import Gateway
from app.settings import from_environment
from app.wiring import build_gateway
from tests.architecture.test_docs import ROOT
from tests.support import postgres

KEY = "sk-of-an-account-0123456789"
BLOB = b"the bytes of a file"


def lines(heading: str, *programs: str) -> list[str]:
    """The commands of these programs in a section of the page, each once and in order."""
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(rf"^    ((?:{'|'.join(programs)}) .*)$", section, re.MULTILINE)
    return list(dict.fromkeys(found))


def shell(folder: Path, command: str, **environ: str) -> None:
    """Run a command of the page, with `folder` for the folder of the service and this user for its user."""
    text = command.replace("/srv/batchgate", str(folder)).replace(" -o batchgate -g batchgate", "")
    text = text.replace(".venv/bin/python", sys.executable)
    done = subprocess.run(
        ["sh", "-c", text], cwd=folder, env=os.environ | environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stderr}"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"BATCHGATE_HOME": str(tmp_path / "var"), "BATCHGATE_LOG_LEVEL": "error"}


def filled(gateway: Gateway) -> str:
    """Put a key, an account and a blob into a store; returns the key."""
    made = keys.create(gateway, project="p", name="").key
    add(gateway, NewAccount("openai", name="a", credential=KEY))
    writer = gateway.blobs.open_write("a1b2")
    writer.write(BLOB)
    writer.commit()
    gateway.database.dispose()
    return made


def check(environment: dict[str, str], key: str) -> None:
    """All that was in the store is there again."""
    settings = from_environment(environment)
    assert not migrate.pending(settings)
    gateway = build_gateway(settings)
    try:
        assert keys.authenticate(gateway, key, request_id="r").project == "p"
        account = gateway.accounts.choose("openai", name="a")
        assert account is not None and account.connector.target.credential == KEY
        assert b"".join(gateway.blobs.stream("a1b2")) == BLOB
    finally:
        gateway.database.dispose()


def test_a_store_on_sqlite(environment: dict[str, str], tmp_path: Path) -> None:
    migrate.upgrade(from_environment(environment))
    key = filled(build_gateway(from_environment(environment)))
    backup, restore = lines("Back up and restore", r"\.venv/bin/python"), lines("Back up and restore", "rm", "install")
    pack, unpack = lines("Back up and restore", "tar")
    assert (len(backup), len(restore)) == (1, 2)
    for command in (*backup, pack):
        shell(tmp_path, command)
    shutil.rmtree(tmp_path / "var" / "blobs")
    (tmp_path / "var" / "batchgate.db").write_bytes(b"broken")
    (tmp_path / "var" / "batchgate.db-wal").write_bytes(b"of the old file")
    for command in (*restore, unpack):
        shell(tmp_path, command)

    check(environment, key)
    assert (tmp_path / "var" / "batchgate.db").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def database_url() -> Iterator[str]:
    """A database that pg_dump can connect to."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.mark.one_database
def test_a_store_on_postgresql(environment: dict[str, str], database_url: str, tmp_path: Path) -> None:
    environment |= {"DATABASE_URL": database_url, "BATCHGATE_SECRET_KEY": "test"}
    migrate.upgrade(from_environment(environment))
    key = filled(build_gateway(from_environment(environment)))
    [dump], [load] = lines("Back up and restore", "pg_dump"), lines("Back up and restore", "pg_restore")
    of_the_server = {"DATABASE_URL": database_url, "PATH": f"{postgres.programs()}:{os.environ['PATH']}"}
    shell(tmp_path, dump, **of_the_server)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE virtual_keys, accounts, sealed_secrets CASCADE"))
    shell(tmp_path, load, **of_the_server)

    check(environment, key)
