"""The ring that seals secrets changes while everything runs; nothing is lost, and nothing is told of it."""

import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import LargeBinary, select, update

import app as batchgate
from app.cli import batchgate as command_line
from app.data.access import secrets
from app.data.store.database import Connection, Database
from app.data.tables import accounts, events, metadata
from app.errors import ConflictError, InvalidRequestError
from app.lib import json
from app.services.access import keys, secret_rotation
from app.services.accounts import add as account_add
from app.services.accounts.add import NewAccount
from app.services.gateway import Gateway
from app.settings import from_environment
from tests.support.web import application

FAIL_POINTS = ("secrets.after_key", "secrets.between_values")
# A ring of the environment gets no key here.
DEATHS = [("sqlite", FAIL_POINTS[0]), ("sqlite", FAIL_POINTS[1]), ("postgresql", FAIL_POINTS[1])]
Start = Callable[..., Gateway]
Run = Callable[..., Result]


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """On SQLite the ring is the kept file; elsewhere the variable, with three keys that every process knows."""
    if environment["DATABASE_URL"].startswith("sqlite"):
        return {name: value for name, value in environment.items() if name != "BATCHGATE_SECRET_KEY"}
    return environment | {"BATCHGATE_SECRET_KEY": "canary-ring-1,canary-ring-2,canary-ring-3"}


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Gateways on the same store, as other processes have them."""
    built: list[Gateway] = []

    def another(**changes: str) -> Gateway:
        built.append(batchgate.build_gateway(from_environment(environment | changes)))
        return built[-1]

    yield another
    for gateway in built:
        gateway.database.dispose()


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs `batchgate`; `changes` are variables."""
    return lambda *arguments, **changes: CliRunner(env=environment | changes).invoke(command_line, arguments)


def add(gateway: Gateway, number: int) -> None:
    """An account whose credential tells which it is."""
    new = NewAccount("openai", name=f"n{number}", base_url="http://127.0.0.1:9/v1", credential=f"canary-{number}")
    account_add.add(gateway, new)


def credentials(gateway: Gateway) -> dict[str, str]:
    """What opens, by the name of the account."""
    gateway.accounts.reread()
    found = [gateway.accounts.by_id(account_id) for account_id in gateway.accounts.ids()]
    return {account.name: account.connector.target.credential for account in found if account.provider == "openai"}


def turned(gateway: Gateway, start: Start) -> Gateway:
    """The gateway that rotates: with a new key in the file, or with the last key of the variable put ahead."""
    if gateway.ring.file is not None:
        return gateway
    ring = gateway.settings.secret_key.split(",")
    return start(BATCHGATE_SECRET_KEY=",".join([ring[-1], *ring[:-1]]))


def test_every_value_is_sealed_anew_and_still_opens(gateway: Gateway, start: Start) -> None:
    for number in range(5):
        add(gateway, number)
    key = keys.create(gateway, project="alpha", name="kept").key
    before = secret_rotation.status(gateway)
    rotating = turned(gateway, start)
    done = secret_rotation.rotate(rotating, new_key=rotating.ring.file is not None)

    assert (before.outdated, before.unopened, done.after.outdated, done.after.unopened) == (0, 0, 0, 0)
    assert done.after.key_ids[0] != before.key_ids[0]
    counts = {column.label: dict(column.by_key) for column in done.after.columns}
    assert counts["accounts.sealed_credential"] == {done.after.key_ids[0]: done.resealed - 1}
    assert counts["sealed_secrets.sealed"] == {done.after.key_ids[0]: 1}
    assert secret_rotation.rotate(rotating).resealed == 0
    for other in (gateway, start()):
        assert credentials(other) == {f"n{number}": f"canary-{number}" for number in range(5)}
        assert keys.authenticate(other, key, request_id="r").project == "alpha"


def test_every_column_of_bytes_is_one_that_is_sealed_anew() -> None:
    sealed = {(column.table.name, column.name) for column in secrets.COLUMNS}
    tables = metadata.sorted_tables
    assert sealed == {(t.name, c.name) for t in tables for c in t.columns if isinstance(c.type, LargeBinary)}


class Meddling:
    """A database on which somebody writes just before the first write of another."""

    def __init__(self, database: Database, meddle: Callable[[Connection], Any]) -> None:
        self._database = database
        self._meddle: Callable[[Connection], Any] | None = meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        meddle, self._meddle = self._meddle, None
        if meddle is not None:
            with self._database.write() as connection:
                meddle(connection)
        with self._database.write() as connection:
            yield connection


def test_a_credential_that_is_replaced_at_the_same_time_stays_replaced(gateway: Gateway, start: Start) -> None:
    add(gateway, 1)
    keys.create(gateway, project="alpha", name="")

    def meddle(connection: Connection) -> None:
        for row in connection.execute(select(accounts.c.id)).all():
            sealed = gateway.accounts.vault.seal("canary-new", account_id=row.id)
            connection.execute(update(accounts).where(accounts.c.id == row.id).values(sealed_credential=sealed))

    rotating = turned(gateway, start)
    if rotating.ring.file is not None:
        rotating.ring.add_key()
    meddled = replace(rotating, database=Meddling(rotating.database, meddle))  # type: ignore[arg-type]
    done = secret_rotation.rotate(meddled)

    assert (done.after.outdated, done.after.unopened) == (0, 0)
    assert credentials(start()) == {"n1": "canary-new"}


@pytest.mark.parametrize(("database_url", "point"), DEATHS, indirect=["database_url"])
def test_a_rotation_that_dies_is_finished_by_another(
    gateway: Gateway, environment: dict[str, str], run: Run, start: Start, point: str
) -> None:
    for number in range(4):
        add(gateway, number)
    is_kept = gateway.ring.file is not None
    ring = {} if is_kept else {"BATCHGATE_SECRET_KEY": turned(gateway, start).settings.secret_key}
    command = [sys.executable, "-m", "app.cli", "secrets", "rotate", *(["--new-key"] if is_kept else [])]
    armed = environment | ring | {"BATCHGATE_FAILPOINT": f"{point}:{1 if 'key' in point else 3}", "PATH": "/usr/bin"}
    assert subprocess.run(command, env=armed, capture_output=True, timeout=30).returncode == -9

    between = secret_rotation.status(start(**ring))
    assert between.unopened == 0
    assert between.outdated == (6 if "key" in point else 3)
    assert credentials(gateway) == credentials(start()) == {f"n{number}": f"canary-{number}" for number in range(4)}
    assert run("secrets", "rotate", **ring).exit_code == 0
    assert secret_rotation.status(start(**ring)).outdated == 0
    assert credentials(start()) == {f"n{number}": f"canary-{number}" for number in range(4)}


def test_another_ring_is_refused_and_changes_nothing(gateway: Gateway, run: Run) -> None:
    add(gateway, 1)
    before = rows(gateway)
    wrong = {"BATCHGATE_SECRET_KEY": "canary-of-another-store"}
    said = run("secrets", "rotate", **wrong)
    assert said.exit_code == 2
    assert "does not belong to this store; nothing was changed" in said.output
    told = run("secrets", "status", "--json", **wrong)
    assert told.exit_code == 1
    assert json.loads(told.stdout)["unopened"] == len(before)
    made = run("keys", "create", "--project", "alpha", **wrong)
    assert made.exit_code == 2
    assert "restore the key that encrypted it" in made.output
    assert "canary" not in said.output + told.output + made.output
    assert rows(gateway) == before


def test_a_value_that_opens_under_no_key_is_told_and_the_others_go_on(gateway: Gateway, run: Run, start: Start) -> None:
    for number in range(3):
        add(gateway, number)
    with gateway.database.write() as connection:  # sealed for another row
        first = connection.execute(select(accounts).where(accounts.c.name == "n0")).one()
        other = update(accounts).where(accounts.c.name == "n2").values(sealed_credential=first.sealed_credential)
        connection.execute(other)
    rotating = turned(gateway, start)
    changes = {"BATCHGATE_SECRET_KEY": rotating.settings.secret_key} if rotating.ring.file is None else {}
    said = run("secrets", "rotate", *([] if changes else ["--new-key", "--drop-old"]), **changes)

    assert said.exit_code == 1
    assert "opens under no key" in said.output
    after = secret_rotation.status(rotating)
    assert (after.outdated, after.unopened) == (0, 1)
    assert len(after.key_ids) > 1
    assert {name: credentials(start())[name] for name in ("n0", "n1")} == {"n0": "canary-0", "n1": "canary-1"}


def rows(gateway: Gateway) -> list[tuple[str, int, bytes]]:
    """Every sealed value."""
    with gateway.database.read() as connection:
        return [
            (column.label, row.id, row.sealed)
            for column in secrets.COLUMNS
            for row in secrets.page(connection, column, after=0, limit=100)
        ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestKeptRing:
    def test_old_keys_are_dropped_only_when_nothing_needs_them(self, gateway: Gateway, run: Run, start: Start) -> None:
        add(gateway, 1)
        gateway.ring.add_key()
        with pytest.raises(ConflictError, match="The old keys were not removed"):
            secret_rotation.drop_old(gateway)
        assert len(gateway.ring.key_ids) == 2
        said = run("secrets", "rotate", "--new-key", "--drop-old")

        assert said.exit_code == 0, said.output
        fresh = start()
        assert len(fresh.ring.key_ids) == 1
        assert credentials(fresh) == {"n1": "canary-1"}
        with gateway.database.read() as connection:
            acts = connection.execute(select(events.c.operation, events.c.actor, events.c.detail)).all()
        assert [act.operation for act in acts if act.operation.startswith("secrets_")] == [
            "secrets_add_key",
            "secrets_rotate",
            "secrets_drop",
        ]
        kept = gateway.ring.file.read_text().strip()
        assert kept not in repr(acts) + said.output

    def test_the_file_is_for_its_owner_only_and_nothing_lies_beside_it(self, gateway: Gateway) -> None:
        gateway.ring.add_key()
        file = gateway.ring.file
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert list(file.parent.glob("secret_key*")) == [file]

    def test_a_process_from_before_follows_the_file(self, gateway: Gateway, start: Start) -> None:
        add(gateway, 1)
        before = start()
        assert credentials(before) == {"n1": "canary-1"}
        secret_rotation.rotate(gateway, new_key=True)
        secret_rotation.drop_old(gateway)
        add(before, 2)

        assert secret_rotation.status(gateway).unopened == 0
        assert credentials(before) == credentials(start()) == {"n1": "canary-1", "n2": "canary-2"}

    def test_what_was_read_before_its_key_was_dropped_opens_where_it_was_read(self, gateway: Gateway) -> None:
        sealed = gateway.ring.seal(b"secret", purpose="p")
        gateway.ring.add_key()
        gateway.ring.drop_others()
        assert gateway.ring.open(sealed, purpose="p") == b"secret"

    def test_a_file_that_is_gone_is_no_reason_for_another_key(self, gateway: Gateway, start: Start, run: Run) -> None:
        add(gateway, 1)
        file: Path = gateway.ring.file
        text = file.read_text()
        file.unlink()
        with pytest.raises(ValueError, match="cannot be read"):
            add(gateway, 2)
        assert not file.exists()
        file.write_text(text)
        add(gateway, 2)
        assert credentials(start()) == {"n1": "canary-1", "n2": "canary-2"}


def test_a_ring_of_the_environment_is_changed_there(gateway: Gateway, start: Start, run: Run) -> None:
    ours = start(BATCHGATE_SECRET_KEY="one,two")
    keys.create(ours, project="alpha", name="")
    for act in (lambda: secret_rotation.rotate(ours, new_key=True), lambda: secret_rotation.drop_old(ours)):
        with pytest.raises(InvalidRequestError, match="BATCHGATE_SECRET_KEY"):
            act()
    said = run("secrets", "rotate", "--new-key", BATCHGATE_SECRET_KEY="one,two")
    assert (said.exit_code, "Traceback" in said.output) == (2, False)


def test_status_shows_no_key(gateway: Gateway, run: Run) -> None:
    add(gateway, 1)
    said = run("secrets", "status")
    assert said.exit_code == 0
    assert "accounts.sealed_credential" in said.output
    assert "canary" not in said.output
    if gateway.ring.file is not None:
        assert gateway.ring.file.read_text().strip() not in said.output


def test_a_gateway_with_another_ring_says_that_it_cannot_serve(gateway: Gateway, start: Start) -> None:
    key = keys.create(gateway, project="alpha", name="").key
    for ring, status in (("canary-of-another-store", 503), (None, 200)):
        served = gateway if ring is None else start(BATCHGATE_SECRET_KEY=ring)
        client = application(served).test_client()
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json["secrets"]) == (status, "ok" if status == 200 else "not available")
        answer = client.get("/v1/files", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == (200 if status == 200 else 500)
        assert "canary" not in answer.text + ready.text
