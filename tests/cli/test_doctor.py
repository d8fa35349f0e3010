"""`batchgate doctor` finds each fault, says what to do, and ends with 0, 1 or 2."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from app.cli import batchgate
from app.cli.operate import front
from app.data.batches import pauses, workers
from app.services.access import keys
from app.services.accounts import admin
from app.services.backups import fence
from app.services.doctor import checks
from app.services.gateway import Gateway
from tests.cli.client.conftest import started
from tests.conftest import KeyClient
from tests.support.answering import Answering
from tests.support.server import LiveServer
from tests.support.web import application

pytestmark = pytest.mark.one_database
Found = dict[str, dict[str, str]]
Fault = Callable[[Gateway, dict[str, str]], object]


@pytest.fixture
def well(gateway: Gateway, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A store with nothing wrong, and a worker."""
    monkeypatch.chdir(tmp_path)
    gateway.settings.home.mkdir(exist_ok=True, mode=0o700)
    (tmp_path / "batchgate.db").chmod(0o600)
    keys.create(gateway, project="alpha", name="one")
    with gateway.database.write() as connection:
        workers.register(connection, name="w", host="h", pid=7)
    return gateway


def examine(environment: dict[str, str], *words: str) -> tuple[int, Found]:
    """The exit status, and what was found: the worst finding of each check."""
    done = CliRunner(env=environment).invoke(batchgate, ["doctor", "--json", *words], catch_exceptions=False)
    found: Found = {}
    for finding in json.loads(done.stdout):
        if finding["check"] not in found or finding["state"] != "ok":
            found[finding["check"]] = finding
    return done.exit_code, found


def test_the_level_of_the_log_need_not_be_set(well: Gateway, environment: dict[str, str]) -> None:
    bare = {**environment, "BATCHGATE_LOG_LEVEL": None}
    done = CliRunner(env=bare).invoke(batchgate, ["doctor", "--offline"], catch_exceptions=False)
    assert "LOG_LEVEL" not in done.output and "ok    store" in done.output, done.output


def test_nothing_is_wrong_where_nothing_is(well: Gateway, environment: dict[str, str]) -> None:
    status, found = examine(environment, "--offline")
    assert {finding["state"] for finding in found.values()} == {"ok"}, found
    assert {"folder", "permissions", "migrations", "store", "key ring", "blobs", "disk", "clock"} < set(found)
    assert {"settings", "workers", "accounts", "pauses"} < set(found)
    assert status == 0
    shown = CliRunner(env=environment).invoke(batchgate, ["doctor", "--offline"]).stdout
    assert len(shown.splitlines()) == 12


def migrated_to(revision: str) -> Fault:
    def change(gateway: Gateway, _: dict[str, str]) -> None:
        with gateway.database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})

    return change


def loosen(gateway: Gateway, _: dict[str, str]) -> None:
    (gateway.settings.home / "secret_key").write_text("s")
    (gateway.settings.home / "secret_key").chmod(0o644)


def expose_dotenv(*_: object) -> None:
    Path(".env").write_text("A=1\n")
    Path(".env").chmod(0o644)


def take_blobs_away(gateway: Gateway, _: dict[str, str]) -> None:
    folder = gateway.settings.home / "blobs"
    if folder.exists():
        folder.rename(folder.with_name("elsewhere"))
    folder.write_text("no folder")


def pause(gateway: Gateway, _: dict[str, str]) -> None:
    account = next(row.id for row in admin.list_(gateway))
    with gateway.database.write() as connection:
        pauses.note(
            connection,
            account_id=account,
            model="m",
            project_id=None,
            pause_ms=60_000,
            kind="rate",
            status_code=429,
            code="slow",
            message="Slow down.",
        )


def fenced(gateway: Gateway, _: dict[str, str]) -> None:
    gateway.database.run(lambda connection: fence.fence(connection, reason="a copy"))


def faulty_worker(gateway: Gateway, _: dict[str, str]) -> None:
    with gateway.database.write() as connection:
        workers.set_fault(connection, name="w", fault="Its key ring is another one.")


def no_worker(gateway: Gateway, _: dict[str, str]) -> None:
    with gateway.database.write() as connection:
        workers.unregister(connection, name="w")


def disable(gateway: Gateway, _: dict[str, str]) -> None:
    row = admin.list_(gateway)[0]
    admin.set_enabled(gateway, provider=row.provider, name=row.name, enabled=False)


def set_to(**values: str) -> Fault:
    return lambda _, environment: environment.update(values)


@pytest.mark.parametrize(
    ("fault", "check", "state", "words"),
    [
        (migrated_to("0001"), "migrations", "fail", "batchgate db upgrade"),
        (migrated_to("9999"), "migrations", "fail", "release"),
        (set_to(DATABASE_URL="sqlite:////dev/shm/none/none.db"), "migrations", "fail", "batchgate db upgrade"),
        (set_to(DATABASE_URL="postgresql://me:hush@127.0.0.1:9/none"), "store", "fail", "refused"),
        (set_to(BATCHGATE_SECRET_KEY="another"), "key ring", "fail", "does not belong to this store"),
        (loosen, "permissions", "fail", "chmod 600"),
        (expose_dotenv, "permissions", "warn", "chmod 600 .env"),
        (set_to(BATCHGATE_HOME="/proc/self/fdinfo"), "folder", "fail", "cannot be written"),
        (take_blobs_away, "blobs", "fail", "BATCHGATE_BLOB_URL"),
        (set_to(BATCHGATE_DISK_RESERVE_BYTES=str(10**18)), "disk", "fail", "refused"),
        (set_to(PORT="many"), "settings", "fail", "PORT"),
        (set_to(BATCHGATE_DEFAULT_PROVIDER="nobody"), "settings", "fail", "nobody"),
        (fenced, "store", "warn", "batchgate takeover"),
        (no_worker, "workers", "warn", "batchgate worker"),
        (faulty_worker, "workers", "fail", "another one"),
        (disable, "accounts", "warn", "batchgate accounts enable"),
        (pause, "pauses", "warn", "Slow down."),
    ],
)
def test_each_fault_is_found_with_what_to_do(
    well: Gateway, environment: dict[str, str], fault: Fault, check: str, state: str, words: str
) -> None:
    changed = dict(environment)
    fault(well, changed)
    status, found = examine(changed, "--offline")
    assert found[check]["state"] == state, found
    assert words in found[check]["message"] + found[check]["action"]
    assert status == {"warn": 1, "fail": 2}[state]
    assert "hush" not in json.dumps(found)


def test_batches_that_wait_without_a_worker_are_a_failure(
    well: Gateway, environment: dict[str, str], client: KeyClient, caller: Any
) -> None:
    started(client, well, caller)
    no_worker(well, environment)
    status, found = examine(environment, "--offline")
    assert (status, found["workers"]["state"]) == (2, "fail")
    assert "1 batches wait" in found["workers"]["message"]


@pytest.fixture
def local_base_url() -> Iterator[str]:
    """A provider that refuses every key."""

    def refuse(handler: BaseHTTPRequestHandler) -> None:
        say(handler, 401, b'{"error": {"message": "Incorrect API key provided."}}')

    with Answering(refuse) as server:
        yield f"{server.url}/v1"


def say(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response_only(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def test_a_key_that_its_provider_refuses_is_found(well: Gateway, environment: dict[str, str]) -> None:
    admin.list_(well)  # stores the account of the environment
    status, found = examine(environment)
    assert (status, found["providers"]["state"]) == (2, "fail")
    assert "Incorrect API key" in found["providers"]["message"]
    assert "batchgate accounts set local" in found["providers"]["action"]


class Late:
    """A clock that is behind."""

    def __init__(self, by_ms: int) -> None:
        self._by_ms = by_ms

    def now_ms(self) -> int:
        return int(time.time() * 1000) - self._by_ms

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.mark.parametrize(("by_ms", "state"), [(-60_000, "fail"), (60_000, "fail"), (5_000, "warn"), (0, "ok")])
def test_clocks_that_differ_are_found(gateway: Gateway, by_ms: int, state: str) -> None:
    found = checks.run(replace(gateway, clock=Late(by_ms)), checks.clock)
    assert [finding.state for finding in found] == [state]


def test_a_gateway_at_a_url_is_asked_what_its_clients_would_see(
    well: Gateway, environment: dict[str, str], live_server: LiveServer
) -> None:
    words = ("--offline", "--url", live_server.url, "--api-key", live_server.key)
    status, found = examine(environment, *words)
    assert status == 0, found
    assert {"gateway", "ready", "body size", "downloads", "address"} < set(found)
    assert "127.0.0.1" in found["address"]["message"]

    behind = replace(well.settings, trusted_proxies=1, accel_prefix="/_blobs/")
    with LiveServer(application(replace(well, settings=behind))) as server:
        status, found = examine(environment, "--offline", "--url", server.url, "--api-key", live_server.key)
    assert status == 2
    assert "X-Accel-Redirect" in found["downloads"]["message"]
    assert "BATCHGATE_TRUSTED_PROXIES" in found["address"]["action"]
    with well.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM files WHERE deleted_at IS NULL")).scalar() == 0


def test_what_a_proxy_does_wrong_is_found() -> None:
    def wrong(handler: BaseHTTPRequestHandler) -> None:
        date = formatdate(time.time() - 3600, usegmt=True)
        if handler.command == "POST":
            say(handler, 413, b"<html>Too large</html>")
            handler.close_connection = True
        elif handler.path == "/readyz":
            report = dict.fromkeys(front.READY_PARTS, "ok") | {"database": "replaced", "disk": "low"}
            say(handler, 503, json.dumps(report).encode(), Date=date)
        else:
            say(handler, 200, b'{"status":"ok"}', Date=date)

    with Answering(wrong) as server:
        seen = front.examine(server.url, key="sk-bf-a-b", limit_bytes=2**33)
    found = {(finding.check, finding.state) for finding in seen.findings}
    assert {
        ("headers", "warn"),
        ("clock", "fail"),
        ("ready", "fail"),
        ("ready", "warn"),
        ("workers", "warn"),
        ("body size", "fail"),
        ("downloads", "fail"),
    } <= found
    assert any("restart web and workers" in finding.action for finding in seen.findings)


def test_a_url_where_no_gateway_is_ends_in_one_finding() -> None:
    seen = front.examine("http://127.0.0.1:9", key=None, limit_bytes=0)
    assert [(finding.check, finding.state) for finding in seen.findings] == [("gateway", "fail")]
