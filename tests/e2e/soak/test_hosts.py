"""Three hosts: one has the store and nginx, two have web and workers. One is cut off and healed, another killed, while
lines run: each line has one result, nothing is left behind.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from app.services.access import keys
from app.services.gateway import Gateway
from bench.processes import Fake, Process
from tests.e2e.crash.audit import assert_clean, assert_lines_counted_once
from tests.e2e.soak.conftest import FULL, Scale, tell
from tests.support import hosts, stored
from tests.support.batches import CHAT, TERMINAL, chat_line, jsonl
from tests.support.nginx import Nginx
from tests.support.seaweed import Seaweed
from tests.support.waiting import until

pytestmark = pytest.mark.soak

CEILING = 8
LEASE_S = 3
ANSWERS_S, ENDS_S = 90.0, 300.0
BATCHES = 4
WEB_PORT = 8080
AGAIN = (409, 429, 500, 502, 503, 504)


@pytest.fixture
def blob_settings(seaweed: Seaweed) -> dict[str, str]:
    return stored.settings(seaweed.address("hosts"))


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(latency_ms=100) as server:
        yield server


class Caller:
    """Asks nginx, and again while it gets no answer."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.headers = url, {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, path: str, *, key: str = "", **content: Any) -> requests.Response:
        found: list[requests.Response] = []
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}

        def answered() -> bool:
            try:
                answer = requests.request(method, self.url + path, headers=headers, timeout=10, **content)
            except requests.RequestException:
                return False
            if answer.status_code in AGAIN:
                return False
            assert answer.status_code == 200, answer.text
            found.append(answer)
            return True

        until(answered, seconds=ANSWERS_S, what=f"an answer to {method} {path}")
        return found[0]

    def start(self, name: str, lines: int) -> str:
        data = jsonl(chat_line(f"{name}-{n}", f"mark-{name}-{n}") for n in range(lines))
        form = {"data": {"purpose": "batch"}, "files": {"file": ("in.jsonl", data)}}
        file = self.ask("POST", "/v1/files", key=f"file-{name}", **form).json()["id"]
        body = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h", "provider": "local"}
        return str(self.ask("POST", "/v1/batches", key=f"batch-{name}", json=body).json()["id"])


def completed(gateway: Gateway) -> int:
    with gateway.database.read() as connection:
        query = "SELECT COALESCE(sum(lines_completed), 0) FROM batches"
        return int(connection.exec_driver_sql(query).scalar_one())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.timeout(900)
def test_hosts_may_be_cut_off_and_die(
    gateway: Gateway,
    environment: dict[str, str],
    database_url: str,
    fake: Fake,
    seaweed: Seaweed,
    scale: Scale,
    tmp_path: Path,
) -> None:
    if reason := hosts.why_not():
        tell(f"\nNOT RUN: {reason}. Three hosts were not tested.")
        pytest.skip(reason)
    lines = 5000 if scale == FULL else 400
    key = keys.create(gateway, project="alpha", name="hosts").key
    log = tmp_path / "processes.log"
    with ExitStack() as running:
        net = running.enter_context(hosts.Hosts(2))
        parts = psycopg.conninfo.conninfo_to_dict(database_url)
        targets = [f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}", _port(fake.url), _port(seaweed.url)]
        doors = running.enter_context(Process("-m", "tests.support.doors", hosts.HERE, *targets, piped=True))
        settings = _settings(environment, parts, doors.line().split())
        started: dict[int, list[Process]] = {1: [], 2: []}
        for number, workers in ((1, 2), (2, 1)):
            own = {**settings, "BATCHGATE_BIND": hosts.address(number), "PORT": str(WEB_PORT)}
            gunicorn = ("-m", "gunicorn", "wsgi:app", "-c", "deploy/gunicorn.conf.py")
            for words in (gunicorn, *([("-m", "app.cli", "worker")] * workers)):
                process = Process(*words, environment=own, log=log, within=net.within(number))
                started[number].append(running.enter_context(process))
        servers = [f"{hosts.address(number)}:{WEB_PORT}" for number in started]
        for server in servers:
            until(lambda: _answers(server), seconds=60, what=server)  # noqa: B023
        nginx = running.enter_context(Nginx(tmp_path / "nginx", servers=servers, blobs=tmp_path))
        caller = Caller(nginx.url, key)
        ids = [caller.start(f"b{number}", lines) for number in range(BATCHES)]

        _progress(gateway, lines // 4)
        net.cut(1)
        tell("host 1 is cut off")
        at = time.monotonic()
        until(lambda: time.monotonic() > at + 2 * LEASE_S, seconds=60)
        _progress(gateway, lines // 2)
        net.heal(1)
        tell("host 1 is healed")
        _progress(gateway, lines // 2)
        for process in started[2]:
            process.kill()
        tell("host 2 is dead")
        for number, batch_id in enumerate(ids):
            _check(caller, batch_id, f"b{number}", lines)
        stats = fake.stats()
        tell(f"at the provider: {stats}")
        assert stats["marks"] == BATCHES * lines
        for process in started[1]:
            process.stop()
    assert_lines_counted_once(gateway)
    assert_clean(gateway)
    # What the kernel of host 1 still had to send comes when it is healed, beside what others send with its permits.
    assert stats["most_in_flight"] <= 2 * CEILING


def _settings(environment: dict[str, str], database: Mapping[str, Any], doors: Sequence[str]) -> dict[str, str]:
    postgresql, provider, s3 = doors
    place = f"{database.get('user', 'postgres')}@{hosts.HERE}:{postgresql}/{database['dbname']}"
    return {
        **environment,
        "DATABASE_URL": f"postgresql://{place}",
        "LOCAL_BASE_URL": f"http://{hosts.HERE}:{provider}/v1",
        "LOCAL_MAX_CONCURRENCY": str(CEILING),
        "BATCHGATE_BLOB_ENDPOINT": f"http://{hosts.HERE}:{s3}",
        "BATCHGATE_LEASE_SECONDS": str(LEASE_S),
        "BATCHGATE_UPLOAD_LEASE_SECONDS": "5",
        "BATCHGATE_TRUSTED_PROXIES": "1",
        "BATCHGATE_PROXY_NETWORKS": f"{hosts.NET}.0/24",
    }


def _port(url: str) -> str:
    return url.rpartition(":")[2]


def _answers(server: str) -> bool:
    try:
        return requests.get(f"http://{server}/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def _progress(gateway: Gateway, lines: int) -> None:
    before = completed(gateway)
    until(lambda: completed(gateway) >= before + lines, seconds=ENDS_S, what=f"{lines} more lines")


def _check(caller: Caller, batch_id: str, name: str, lines: int) -> None:
    def is_over() -> bool:
        return caller.ask("GET", f"/v1/batches/{batch_id}").json()["status"] in TERMINAL

    until(is_over, seconds=ENDS_S, what=f"the end of {name}")
    over = caller.ask("GET", f"/v1/batches/{batch_id}").json()
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", lines), over
    output = caller.ask("GET", f"/v1/files/{over['output_file_id']}/content").content.splitlines()
    assert [json.loads(line)["custom_id"] for line in output] == [f"{name}-{n}" for n in range(lines)]
