"""`/readyz`: what a look in the background found, for nothing; and what a process notices of its store."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from app.data.store.database import Database
from app.services.gateway import Gateway
from app.services.health import CHECK_S, STALE_S, Probe
from tests.support import stored
from tests.support.full_disk import full
from tests.support.web import application


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(gateway: Gateway, clock: Clock) -> Gateway:
    return replace(gateway, clock=clock)  # type: ignore[arg-type]


def writes(gateway: Gateway) -> list[str]:
    """Collects the writes that the database gets from now on."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("UPDATE", "INSERT")):
            found.append(statement)

    event.listen(gateway.database.writers, "before_cursor_execute", note)
    return found


def test_it_writes_and_says_how_long_ago(timed: Gateway, clock: Clock) -> None:
    probe = Probe(timed)
    found = writes(timed)
    report = probe.latest()
    assert (report.ready, report.database, report.secrets, report.blobs, report.disk) == (True, *["ok"] * 4)
    assert found
    clock.seconds += 0.5
    assert probe.latest().checked_seconds_ago == 0.5


def test_strangers_cost_one_check_in_a_while(timed: Gateway, clock: Clock) -> None:
    client: FlaskClient = application(timed).test_client()
    found = writes(timed)
    assert {client.get("/readyz").status_code for _ in range(20)} == {200}
    assert len(found) == 1
    clock.seconds += CHECK_S
    assert {client.get("/readyz").status_code for _ in range(20)} == {200}
    assert len(found) == 2


def test_a_check_that_hangs_is_not_ready(timed: Gateway, clock: Clock) -> None:
    probe = Probe(timed)
    assert probe.latest().ready
    probe._lock.acquire()  # as the thread that hangs
    clock.seconds += STALE_S
    assert not probe.latest().ready


@pytest.mark.one_database
def test_a_disk_below_its_reserve_is_told_and_the_gateway_stays_ready(timed: Gateway) -> None:
    low = replace(timed, settings=replace(timed.settings, disk_reserve_bytes=2**62))
    report = Probe(low).latest()
    assert (report.ready, report.disk) == (True, "low")


def test_a_full_database_is_called_full(timed: Gateway, clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    probe = Probe(timed)
    with full(timed.database, "periodic_leases"):
        assert (probe.latest().database, probe.latest().ready) == ("full", False)
        clock.seconds += CHECK_S
        probe.latest()
        assert capfd.readouterr().err.count('"ready.failed"') == 1  # the first of the episode
    clock.seconds += CHECK_S
    assert probe.latest().ready
    assert '"ready.recovered"' in capfd.readouterr().err


@pytest.mark.one_database
@pytest.mark.parametrize("is_put_back", [False, True])
def test_a_database_that_was_deleted_or_replaced_is_never_written(
    timed: Gateway, clock: Clock, is_put_back: bool
) -> None:
    path = Path(make_url(timed.database.url).database or "")
    probe = Probe(timed)
    assert probe.latest().ready
    shutil.copy(path, path.with_suffix(".backup"))
    path.unlink()
    if is_put_back:
        os.rename(path.with_suffix(".backup"), path)
    before = path.read_bytes() if is_put_back else b""
    clock.seconds += CHECK_S
    assert probe.latest().database == ("replaced" if is_put_back else "not available")
    with pytest.raises(OperationalError, match="restart this process"), timed.database.write():
        pass
    assert application(timed).test_client().get("/v1/files", headers={"x-api-key": KEY}).status_code == 503
    assert path.exists() is is_put_back  # and no empty one was made
    assert (path.read_bytes() if is_put_back else b"") == before
    # The thread of a web process ends, so that gunicorn starts another one.
    if is_put_back:
        assert probe.run() is True
        again = Database(timed.database.url)
        with again.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM projects")).scalar() == 0
        again.dispose()


KEY = "sk-bf-0011223344556677-" + "x" * 43


@pytest.mark.one_database
def test_a_blob_folder_that_is_gone_is_not_made_again(timed: Gateway, clock: Clock) -> None:
    folder = stored.local(timed).root
    probe = Probe(timed)
    assert probe.latest().ready
    away = folder.with_name("away")
    folder.rename(away)
    clock.seconds += CHECK_S
    assert (probe.latest().blobs, folder.exists()) == ("not available", False)
    folder.mkdir()  # the empty mount point of a volume that is not there
    clock.seconds += CHECK_S
    assert probe.latest().blobs == "not available"
    folder.rmdir()
    away.rename(folder)
    clock.seconds += CHECK_S
    assert probe.latest().ready
