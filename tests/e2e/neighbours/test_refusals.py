"""Lines that the provider refuses, or never answers, beside a project whose lines it answers."""

import json

import pytest

from app.services.gateway import Gateway
from tests.e2e.neighbours.street import CONCURRENCY, Street
from tests.fakes.faults import Fault
from tests.support.batches import retrieve
from tests.support.waiting import until

pytestmark = pytest.mark.one_database
HOSTILE = b"mark-hostile"


def refused(code: str, message: str) -> Fault:
    body = json.dumps({"error": {"message": message, "type": "requests", "param": None, "code": code}}).encode()
    return Fault(containing=HOSTILE, status=429, body=body, headers={"Retry-After": "86400"})


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_REFUSED_SECONDS": "4"}


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("code", ["rate_limit_exceeded", "insufficient_quota"])
def test_lines_that_are_always_refused_hold_up_nobody_else(
    street: Street, count: int, code: str, gateway: Gateway
) -> None:
    street.measure_alone()
    street.fake.faults.add(refused(code, "Not now."))
    data, _ = street.hostile.lines(count)
    batch = street.hostile.start(data)
    street.assert_good_is_not_slowed(batches=2)
    reasons = {"paused", "retry"}
    until(lambda: (retrieve(street.hostile.client, batch)["waiting_on"] or {}).get("reason") in reasons)
    street.hostile.client.post(f"/v1/batches/{batch}/cancel")
    assert street.hostile.reasons(batch) <= {"batch_cancelled", code}


def test_lines_that_hang_leave_permits_to_others_and_end_when_cancelled(street: Street) -> None:
    street.measure_alone()
    street.fake.faults.add(Fault(containing=HOSTILE, hold_s=600))
    data, _ = street.hostile.lines(10 * CONCURRENCY)
    batch = street.hostile.start(data)
    until(lambda: street.fake.in_flight >= CONCURRENCY // 2)
    street.assert_good_is_not_slowed()
    street.hostile.client.post(f"/v1/batches/{batch}/cancel")
    assert street.hostile.reasons(batch, seconds=20) == {"batch_cancelled"}
    until(lambda: street.fake.in_flight == 0)
