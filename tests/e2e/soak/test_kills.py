"""Random kill -9 of workers and web processes, under load: nothing is lost, nothing is done twice."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from sqlalchemy import func, select

from app.data.tables import batches, files
from app.services.access import keys
from app.services.gateway import Gateway
from bench.processes import Fake
from tests.e2e.crash.audit import assert_clean, assert_lines_counted_once
from tests.e2e.soak.conftest import Scale, tell
from tests.e2e.soak.customer import SLOW, Customer
from tests.e2e.soak.fleet import Fleet
from tests.support.batches import TERMINAL
from tests.support.waiting import until

pytestmark = pytest.mark.soak

ENDS_S = 180.0
LATENCY_MS = 40
SLOW_S = 0.8
LONGEST_PAUSE_S = 2.0


@pytest.fixture
def fake() -> Iterator[Fake]:
    """The provider: a process of its own, which nobody kills."""
    with Fake(latency_ms=LATENCY_MS) as server:
        slow = {"containing": SLOW, "latency_s": SLOW_S}
        requests.post(f"{server.url}/_fake/faults", json=[slow], timeout=10).raise_for_status()
        yield server


@pytest.fixture
def local_base_url(fake: Fake) -> str:
    return f"{fake.url}/v1"


@pytest.mark.parametrize("workers", [1, 2])
def test_random_kills_lose_nothing_and_repeat_nothing(
    gateway: Gateway, environment: dict[str, str], tmp_path: Path, workers: int, scale: Scale, seed: int
) -> None:
    tell(f"\nseed {seed}: pass --seed {seed} for the same kills after the same pauses")
    dice = random.Random(seed)
    log = tmp_path / "processes.log"
    key = keys.create(gateway, project="alpha", name="soak").key
    settings = {
        **environment,
        "BATCHGATE_LEASE_SECONDS": "1",
        "BATCHGATE_UPLOAD_LEASE_SECONDS": "3",
        "BATCHGATE_LOG_LEVEL": "info",
    }
    with Fleet(settings, workers=workers, log=log) as fleet:
        customer = Customer(fleet.url, key, random.Random(seed))
        customer.start()
        for number in range(scale.kills):
            _pause(dice)
            tell(f"kill {number + 1}: {fleet.kill_one(dice)}")
        customer.stop()
        until(lambda: _over(gateway), seconds=ENDS_S, what="the end of all batches")
        for batch_id, lines in customer.batches.items():
            _assert_right(customer, batch_id, lines)
        fleet.stop()
    _assert_nothing_twice(gateway, customer)
    assert_lines_counted_once(gateway)
    assert_clean(gateway)
    assert "Traceback" not in log.read_text()
    tell(f"{len(customer.batches)} batches, {sum(customer.batches.values())} lines")


def _pause(dice: random.Random) -> None:
    """Let them work: the instant of a kill is what is random here."""
    with suppress(AssertionError):
        ends = time.monotonic() + dice.uniform(0.1, LONGEST_PAUSE_S)
        until(lambda: time.monotonic() > ends)


def _over(gateway: Gateway) -> bool:
    with gateway.database.read() as connection:
        return not connection.execute(select(batches.c.id).where(batches.c.status.not_in(TERMINAL)).limit(1)).first()


def _assert_right(customer: Customer, batch_id: str, lines: int) -> None:
    batch = customer.get(f"/v1/batches/{batch_id}").json()
    told = (batch["status"], batch["request_counts"]["completed"], batch["request_counts"]["failed"])
    assert told == ("completed", lines, 0), batch
    output = customer.get(f"/v1/files/{batch['output_file_id']}/content").content.splitlines()
    number = [json.loads(line)["custom_id"].partition("-")[2] for line in output]
    assert number == [str(line) for line in range(lines)]


def _assert_nothing_twice(gateway: Gateway, customer: Customer) -> None:
    """Each request was repeated under its Idempotency-Key, and done once."""
    with gateway.database.read() as connection:
        assert set(connection.execute(select(batches.c.public_id)).scalars()) == set(customer.batches)
        uploads = connection.execute(select(func.count()).where(files.c.origin == "upload")).scalar_one()
    assert uploads == len(customer.batches)
